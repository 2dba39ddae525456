import { InvalidArgument } from '../rhythm/invalidArgument'

/** A threshold of coupled credit: a quantile of the response's own series (0.5 = the median), or a fixed value in tokens. */
export type Threshold = { quantile: number } | { value: number }

/** Which advantages are scaled by gamma; the others keep gamma 1. `nonnegative` is the paper's v1. */
export type AdvantageSign = 'both' | 'positive' | 'negative' | 'nonnegative'

/** The parameters of rhythm credit (Sec. 5). */
export interface CreditOptions {
  /** q: share of the valid tokens that are amplified. */
  topShare: number
  /** `bottom` amplifies the tokens with the smallest values, the paper's ablation. */
  end: 'top' | 'bottom'
  /** gamma_amp. */
  amplification: number
  /** a of Eq. 19: the share of a dominated anchor's bonus that goes to its introducer. */
  alpha: number
  /** k: how many tokens before an anchor may introduce it. */
  lookback: number
  /** tau_waad: an anchor is dominated only if its WAAD is at most this. */
  waadThreshold: Threshold
  /** tau_delta: an anchor is dominated only if a distance drop before it is at least this. */
  deltaThreshold: Threshold
  /** `mean` divides gamma by its mean over the response: where credit goes, without how much. */
  normalize: 'none' | 'mean'
  /** `shuffled` permutes a strategy's gammas at random within the response: the same amount of credit, elsewhere. A control of any strategy. */
  placement: 'own' | 'shuffled'
  sign: AdvantageSign
}

export const DEFAULT_CREDIT: CreditOptions = {
  topShare: 0.4,
  end: 'top',
  amplification: 1.5,
  alpha: 0.5,
  lookback: 3,
  waadThreshold: { quantile: 0.5 },
  deltaThreshold: { quantile: 0.5 },
  normalize: 'none',
  placement: 'own',
  sign: 'both',
}

/** Fills in defaults and checks ranges; refuses names that it does not know. */
export function creditOptions(given: Partial<CreditOptions> = {}): CreditOptions {
  for (const name of Object.keys(given))
    if (!(name in DEFAULT_CREDIT))
      throw new InvalidArgument(
        `unknown credit option '${name}': expected one of ${Object.keys(DEFAULT_CREDIT).join(', ')}`,
      )
  const options = { ...DEFAULT_CREDIT, ...dropUndefined(given) }
  const check = (name: keyof CreditOptions, fits: boolean, expected: string) => {
    if (!fits)
      throw new InvalidArgument(
        `invalid credit option ${name} = ${JSON.stringify(options[name])}: expected ${expected}`,
      )
  }
  const isThreshold = (t: Threshold) =>
    typeof t === 'object' &&
    t !== null &&
    ('quantile' in t ? t.quantile >= 0 && t.quantile <= 1 : Number.isFinite(t.value))
  const threshold = '{ quantile: a number in [0, 1] } or { value: a number of tokens }'
  check('topShare', options.topShare >= 0 && options.topShare <= 1, 'a share in [0, 1]')
  check('end', ['top', 'bottom'].includes(options.end), "'top' or 'bottom'")
  check('amplification', options.amplification >= 0 && Number.isFinite(options.amplification), 'a number of at least 0')
  check('alpha', options.alpha >= 0 && options.alpha <= 1, 'a number in [0, 1]')
  check('lookback', Number.isInteger(options.lookback) && options.lookback >= 1, 'a whole number of at least 1')
  check('waadThreshold', isThreshold(options.waadThreshold), threshold)
  check('deltaThreshold', isThreshold(options.deltaThreshold), threshold)
  check('normalize', ['none', 'mean'].includes(options.normalize), "'none' or 'mean'")
  check('placement', ['own', 'shuffled'].includes(options.placement), "'own' or 'shuffled'")
  check(
    'sign',
    ['both', 'positive', 'negative', 'nonnegative'].includes(options.sign),
    "'both', 'positive', 'negative' or 'nonnegative'",
  )
  return options
}

function dropUndefined<T extends object>(given: T): T {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T
}
