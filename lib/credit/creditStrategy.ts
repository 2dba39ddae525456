import { type RandomStream, randomStream } from '../random/randomStream'
import { InvalidArgument } from '../rhythm/invalidArgument'
import { type CreditOptions, creditOptions } from './creditOptions'

/** What a credit strategy sees of one response: its own tokens only, never padding. All arrays have `length` entries. */
export interface ResponseRhythm {
  length: number
  /** WAAD in tokens. */
  waad: ArrayLike<number>
  /** FAI, meaningful where `faiValid`. */
  fai: ArrayLike<number>
  faiValid: readonly boolean[]
  /** Distance drop, null where undefined (the last token). */
  delta: ArrayLike<number | null>
  /** Entropy of each token in nats. */
  entropy: ArrayLike<number>
}

/**
 * A credit strategy: from one response's rhythm to one gamma for each of its tokens (Eq. 12), 1 = the plain advantage.
 * Any function of this type can be used where a strategy is asked for.
 *
 *     const anchorsOnly: CreditStrategy = (rhythm, options) => {
 *       const anchors = new Set(topShare(rhythm.fai, 0.1, { valid: rhythm.faiValid }))
 *       return Array.from({ length: rhythm.length }, (_, t) => (anchors.has(t) ? options.amplification : 1))
 *     }
 */
export type CreditStrategy = (rhythm: ResponseRhythm, options: CreditOptions, random: RandomStream) => ArrayLike<number>

/**
 * The gammas of one response, `[length]`: runs the strategy, refuses a result that is not one finite, nonnegative number for
 * each token, and shuffles and normalises if asked. What the strategy throws is passed on: gamma never silently stays 1.
 * @param seed of the strategy's random stream; give each response its own
 */
export function creditOf(
  strategy: CreditStrategy,
  rhythm: ResponseRhythm,
  options: Partial<CreditOptions> = {},
  seed = 0,
): number[] {
  const complete = creditOptions(options)
  checkLengths(rhythm)
  const stream = randomStream(seed)
  const result = strategy(rhythm, complete, stream)
  const name = strategy.name || 'anonymous'
  if (result === null || typeof result !== 'object' || typeof result.length !== 'number')
    throw new InvalidArgument(
      `credit strategy '${name}' returned ${result}: expected an array of ${rhythm.length} gammas`,
    )
  if (result.length !== rhythm.length)
    throw new InvalidArgument(
      `credit strategy '${name}' returned ${result.length} gammas for ${rhythm.length} response tokens`,
    )
  const own = Array.from(result)
  own.forEach((gamma, t) => {
    if (typeof gamma !== 'number' || !Number.isFinite(gamma) || gamma < 0)
      throw new InvalidArgument(
        `credit strategy '${name}' returned ${gamma} at token ${t}: expected a finite number of at least 0`,
      )
  })
  const gammas = complete.placement === 'own' ? own : shuffle(own, stream)
  if (complete.normalize === 'none') return gammas
  const mean = gammas.reduce((sum, gamma) => sum + gamma, 0) / gammas.length
  if (!(mean > 0))
    throw new InvalidArgument(`credit strategy '${name}' gave only zeros: they cannot be normalised to a mean of 1`)
  return gammas.map((gamma) => gamma / mean)
}

/** The same gammas at random places of the response. */
export function shuffle(gammas: ArrayLike<number>, stream: RandomStream): number[] {
  return stream.permutation(gammas.length).map((t) => gammas[t]!)
}

function checkLengths(rhythm: ResponseRhythm): void {
  for (const name of ['waad', 'fai', 'faiValid', 'delta', 'entropy'] as const)
    if (rhythm[name].length !== rhythm.length)
      throw new InvalidArgument(
        `rhythm of ${rhythm.length} response tokens has ${rhythm[name].length} values of ${name}: cut padding and prompt off first`,
      )
  if (!(Number.isInteger(rhythm.length) && rhythm.length >= 1))
    throw new InvalidArgument(`invalid response length ${rhythm.length}: expected at least one token`)
}
