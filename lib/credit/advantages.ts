import { InvalidArgument } from '../rhythm/invalidArgument'
import type { AdvantageSign } from './creditOptions'

/** Advantages of the responses to one prompt. */
export interface GroupAdvantages {
  advantages: number[]
  /** True if all rewards are equal: every advantage is 0 and the group teaches nothing. */
  dropped: boolean
}

/**
 * Group-relative advantages `A_i = (r_i - mean(r)) / std(r)` of the responses to one prompt.
 * @param std `population` (divided by n, default) or `sample` (by n - 1)
 */
export function groupAdvantages(
  rewards: readonly number[],
  std: 'population' | 'sample' = 'population',
): GroupAdvantages {
  if (rewards.length === 0) throw new InvalidArgument('no rewards: expected one for each response to the prompt')
  rewards.forEach((reward, i) => {
    if (!Number.isFinite(reward)) throw new InvalidArgument(`reward ${i} of the group is ${reward}, not a number`)
  })
  // Compared exactly: the computed deviation of equal rewards such as 0.1 may be a rounding error instead of 0.
  if (rewards.every((reward) => reward === rewards[0])) return { advantages: rewards.map(() => 0), dropped: true }
  const mean = rewards.reduce((sum, r) => sum + r, 0) / rewards.length
  const squares = rewards.reduce((sum, r) => sum + (r - mean) ** 2, 0)
  const deviation = Math.sqrt(squares / (std === 'population' ? rewards.length : rewards.length - 1))
  return { advantages: rewards.map((r) => (r - mean) / deviation), dropped: false }
}

/**
 * Shaped advantages `gamma_t * A` of one response (Eq. 12-13). An advantage that `sign` leaves out is not scaled.
 * @param gammas `[tokens]`
 */
export function shapeAdvantages(gammas: ArrayLike<number>, advantage: number, sign: AdvantageSign = 'both'): number[] {
  const scaled =
    sign === 'both' ||
    (sign === 'positive' && advantage > 0) ||
    (sign === 'negative' && advantage < 0) ||
    (sign === 'nonnegative' && advantage >= 0)
  return Array.from(gammas, (gamma) => (scaled ? gamma * advantage : advantage))
}
