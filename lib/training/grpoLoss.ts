import { InvalidArgument } from '../rhythm/invalidArgument'

/** Nats of each response token, ragged: what a forward pass says about a batch of responses. */
export interface ResponseStatistics {
  logprob: Float32Array[]
  entropy: Float32Array[]
}

/** d loss / d each of `ResponseStatistics`. */
export interface LossGradient {
  logprob: Float32Array[]
  /** Left out where the loss does not depend on entropy. */
  entropy?: Float32Array[]
}

/**
 * How the losses of single tokens become one number. `token`: mean over all response tokens of the batch. `sequence`: mean over
 * responses of the mean over their tokens. `dr-grpo`: sum over tokens divided by responses · the longest response possible, which
 * favours neither long nor short responses (Dr. GRPO, arXiv 2503.20783).
 */
export type Aggregation = 'token' | 'sequence' | 'dr-grpo'

export interface GrpoLossOptions {
  /** The ratio is clipped to `[1 - clipLow, 1 + clipHigh]`. Default 0.2 each. */
  clipLow?: number
  clipHigh?: number
  /** Default `token`. */
  aggregate?: Aggregation
  /** Weight of the KL divergence to the reference policy (the k3 estimate). Default 0, as in the paper. */
  klCoefficient?: number
  /** Weight of the entropy bonus, in reward per nat. Default 0, as in the paper. */
  entropyCoefficient?: number
}

/** The responses of a batch or of a part of it. Per-token arrays are over each response's own tokens. */
export interface GrpoResponses {
  /** Log-probabilities under the policy that wrote them, in nats. */
  oldLogprob: readonly ArrayLike<number>[]
  /** Shaped advantages `gamma_t · A` (Eq. 12-13). */
  advantages: readonly ArrayLike<number>[]
  /** Log-probabilities under the reference policy; needed where `klCoefficient` is above 0. */
  referenceLogprob?: readonly ArrayLike<number>[]
  /** False for a response that is left out, e.g. a truncated one: it counts in no mean. All if absent. */
  included?: readonly boolean[]
}

/** What the sums of a part are divided by, so that the parts' losses and gradients add up to the whole batch's. */
export interface LossNormalizer {
  /** Response tokens of the whole batch (`token`). */
  tokens: number
  /** Responses of the whole batch (`sequence`, `dr-grpo`). */
  responses: number
  /** Tokens of the longest response possible (`dr-grpo`). */
  longest: number
}

/** Sums over tokens, which add up over the parts of a batch. */
export interface GrpoSums {
  tokens: number
  responses: number
  /** Tokens whose ratio the lower (A < 0) or the upper (A > 0) bound holds back. */
  clippedLow: number
  clippedHigh: number
  entropy: number
  /** Sum of `old logprob - logprob`: the k1 estimate of KL(old || new). */
  oldKl: number
  /** Sum of the k3 estimate of KL(policy || reference). */
  referenceKl: number
  ratio: number
}

export interface GrpoLoss {
  /** This part's share of the batch's loss. */
  loss: number
  gradient: LossGradient
  sums: GrpoSums
}

/** The normaliser of a batch from the lengths of its responses, those left out not counted. */
export function lossNormalizer(
  lengths: readonly number[],
  longest: number,
  included?: readonly boolean[],
): LossNormalizer {
  const counted = lengths.filter((_, i) => included?.[i] !== false)
  return { tokens: counted.reduce((sum, n) => sum + n, 0), responses: counted.length, longest }
}

/**
 * The clipped objective of GRPO on plain numbers:
 * `-min(r_t A_t, clip(r_t, 1 - low, 1 + high) A_t) + beta · KL_t - c · H_t` with `r_t = exp(logprob - old logprob)` and the k3
 * estimate `KL_t = exp(ref - logprob) - (ref - logprob) - 1`, aggregated as the options say, and its gradient.
 * Throws on arrays of different lengths and on options out of range; numbers that are not finite pass through.
 */
export function grpoLoss(
  statistics: ResponseStatistics,
  responses: GrpoResponses,
  normalizer: LossNormalizer,
  options: GrpoLossOptions = {},
): GrpoLoss {
  const { clipLow = 0.2, clipHigh = 0.2, aggregate = 'token', klCoefficient = 0, entropyCoefficient = 0 } = options
  checkOptions({ clipLow, clipHigh, klCoefficient, entropyCoefficient })
  const { oldLogprob, advantages, referenceLogprob, included } = responses
  const sums = noSums()
  let loss = 0
  const entropyGradient =
    entropyCoefficient === 0 ? undefined : statistics.entropy.map((e) => new Float32Array(e.length))
  const logprobGradient = statistics.logprob.map((logprob, i) => {
    const gradient = new Float32Array(logprob.length)
    if (included?.[i] === false) return gradient
    const old = sameLength(oldLogprob[i], logprob.length, 'old log-probabilities', i)
    const advantage = sameLength(advantages[i], logprob.length, 'advantages', i)
    const entropy = sameLength(statistics.entropy[i], logprob.length, 'entropies', i)
    const reference =
      klCoefficient > 0 ? sameLength(referenceLogprob?.[i], logprob.length, 'reference log-probabilities', i) : null
    const weight = tokenWeight(aggregate, normalizer, logprob.length)
    sums.responses++
    sums.tokens += logprob.length
    for (let t = 0; t < logprob.length; t++) {
      const difference = logprob[t]! - old[t]!
      const ratio = Math.exp(difference)
      const a = advantage[t]!
      // Where the bound is the smaller objective, the token's gradient is 0.
      const low = a < 0 && ratio < 1 - clipLow
      const high = a > 0 && ratio > 1 + clipHigh
      const used = low ? 1 - clipLow : high ? 1 + clipHigh : ratio
      let value = -used * a
      let slope = low || high ? 0 : -ratio * a
      if (reference) {
        const toReference = reference[t]! - logprob[t]!
        const inverse = Math.exp(toReference)
        const kl = inverse - toReference - 1
        value += klCoefficient * kl
        slope += klCoefficient * (1 - inverse)
        sums.referenceKl += kl
      }
      if (entropyGradient) {
        value -= entropyCoefficient * entropy[t]!
        entropyGradient[i]![t] = -entropyCoefficient * weight
      }
      loss += weight * value
      gradient[t] = weight * slope
      if (low) sums.clippedLow++
      if (high) sums.clippedHigh++
      sums.entropy += entropy[t]!
      sums.oldKl -= difference
      sums.ratio += ratio
    }
    return gradient
  })
  return {
    loss,
    gradient: { logprob: logprobGradient, ...(entropyGradient ? { entropy: entropyGradient } : {}) },
    sums,
  }
}

/** Next-token loss of response tokens, in nats: minus the mean log-probability over `normalizer.tokens` tokens. */
export function supervisedLoss(
  statistics: ResponseStatistics,
  normalizer: Pick<LossNormalizer, 'tokens'>,
): { loss: number; gradient: LossGradient; tokens: number } {
  let sum = 0
  let tokens = 0
  for (const logprob of statistics.logprob) {
    for (const value of logprob) sum += value
    tokens += logprob.length
  }
  return {
    loss: -sum / normalizer.tokens,
    gradient: { logprob: statistics.logprob.map((l) => new Float32Array(l.length).fill(-1 / normalizer.tokens)) },
    tokens,
  }
}

/** Sums to begin with. */
export function noSums(): GrpoSums {
  return {
    tokens: 0,
    responses: 0,
    clippedLow: 0,
    clippedHigh: 0,
    entropy: 0,
    oldKl: 0,
    referenceKl: 0,
    ratio: 0,
  }
}

/** Adds a part's sums to `into`. */
export function addSums(into: GrpoSums, part: GrpoSums): void {
  for (const name of Object.keys(into) as (keyof GrpoSums)[]) into[name] += part[name]
}

function tokenWeight(aggregate: Aggregation, { tokens, responses, longest }: LossNormalizer, length: number): number {
  if (aggregate === 'token') return 1 / tokens
  if (aggregate === 'sequence') return 1 / (responses * length)
  return 1 / (responses * longest)
}

function sameLength(values: ArrayLike<number> | undefined, length: number, what: string, i: number): ArrayLike<number> {
  if (values?.length !== length)
    throw new InvalidArgument(`response ${i} has ${length} tokens and ${values?.length ?? 'no'} ${what}`)
  return values
}

function checkOptions(options: Record<string, number>): void {
  for (const [name, value] of Object.entries(options))
    if (!(value >= 0 && Number.isFinite(value)))
      throw new InvalidArgument(`invalid ${name} ${value}: expected a number of at least 0`)
  if (options.clipLow! > 1) throw new InvalidArgument(`invalid clipLow ${options.clipLow}: expected at most 1`)
}
