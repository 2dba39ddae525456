import { InvalidArgument } from '../rhythm/invalidArgument'
import { shareCount } from '../rhythm/shareCount'
import { couple } from './coupling'
import { type CreditStrategy, shuffle } from './creditStrategy'
import { topShare } from './topShare'

/** Plain GRPO: gamma is 1. */
export const uniform: CreditStrategy = (rhythm) => filled(rhythm.length, 1)

/** `amplification` on a random share of the tokens. */
export const random: CreditStrategy = ({ length }, options, stream) =>
  amplify(length, stream.permutation(length).slice(0, shareCount(options.topShare, length)), options.amplification)

/** `amplification` on TopQ(entropy). */
export const entropy: CreditStrategy = (rhythm, { topShare: q, end, amplification }) =>
  amplify(rhythm.length, topShare(rhythm.entropy, q, { end }), amplification)

/** `amplification` on `Tloc = TopQ(delta)` (Eq. 14-15). */
export const localChunk: CreditStrategy = (rhythm, { topShare: q, end, amplification }) =>
  amplify(rhythm.length, topShare(rhythm.delta, q, { end }), amplification)

/** `amplification` on `Tglob = TopQ(FAI)` (Eq. 16-17). */
export const globalAnchor: CreditStrategy = (rhythm, { topShare: q, end, amplification }) =>
  amplify(rhythm.length, topShare(rhythm.fai, q, { valid: rhythm.faiValid, end }), amplification)

/**
 * Coupled rhythm credit (Eq. 18-19): with bonus `b = amplification - 1`, an anchor gets `b`, a dominated one `(1 - alpha) b`,
 * and each token that introduces a dominated anchor `alpha b`. The terms add up.
 */
export const coupled: CreditStrategy = (rhythm, options) => {
  const { anchors, dominated, introducers } = couple(rhythm, options)
  const bonus = options.amplification - 1
  const gammas = filled(rhythm.length, 1)
  for (const t of anchors) gammas[t]! += bonus
  for (const t of dominated) gammas[t]! -= options.alpha * bonus
  for (const t of introducers) gammas[t]! += options.alpha * bonus
  return gammas
}

/** The coupled gammas permuted at random within the response, as the option `placement: 'shuffled'` does with any strategy's. */
export const shuffled: CreditStrategy = (rhythm, options, stream) => shuffle(coupled(rhythm, options, stream), stream)

/** The strategies of the paper and the controls, under the names that trace files, the command line and runs use. */
export const STRATEGIES = {
  uniform,
  random,
  entropy,
  'local-chunk': localChunk,
  'global-anchor': globalAnchor,
  coupled,
  shuffled,
}

export type StrategyName = keyof typeof STRATEGIES

/** Looks a strategy up by name. */
export function strategyNamed(name: string): CreditStrategy {
  if (!Object.hasOwn(STRATEGIES, name))
    throw new InvalidArgument(
      `unknown credit strategy '${name}': expected one of ${Object.keys(STRATEGIES).join(', ')}, or pass a function`,
    )
  return STRATEGIES[name as StrategyName]
}

function filled(length: number, value: number): number[] {
  return new Array<number>(length).fill(value)
}

function amplify(length: number, tokens: readonly number[], amplification: number): number[] {
  const gammas = filled(length, 1)
  for (const t of tokens) gammas[t] = amplification
  return gammas
}
