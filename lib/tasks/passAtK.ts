import { mean, quantileSorted } from 'simple-statistics'
import { randomStream } from '../random/randomStream'

/** A share with the bounds of its interval. */
export interface Estimate {
  value: number
  low: number
  high: number
}

/**
 * The chance that at least one of k responses is right, without bias, from n responses of which c are right (Chen et al.
 * 2021): 1 - C(n-c, k) / C(n, k). Throws a RangeError unless 0 <= c <= n and 1 <= k <= n, whole numbers.
 */
export function passAtK(n: number, c: number, k: number): number {
  if (![n, c, k].every(Number.isSafeInteger) || c < 0 || c > n || k < 1 || k > n)
    throw new RangeError(`invalid n ${n}, c ${c}, k ${k}: expected whole numbers, 0 <= c <= n and 1 <= k <= n`)
  let allWrong = 1
  for (let i = n - c + 1; i <= n; i++) allWrong *= Math.max(0, 1 - k / i)
  return 1 - allWrong
}

export interface IntervalOptions {
  /** Default 0.95. */
  confidence?: number
  /** Number of resamples. Default 2000. */
  resamples?: number
  /** Default 0. */
  seed?: number
}

/**
 * The mean of one value an item with its percentile bootstrap interval over items: responses to one item belong together,
 * and differences of two runs on the same items go in as differences. Where all values are equal the interval is a point.
 * Throws a RangeError without values or on options out of range.
 */
export function bootstrapMean(values: readonly number[], options: IntervalOptions = {}): Estimate {
  const { confidence = 0.95, resamples = 2000, seed = 0 } = options
  if (values.length === 0 || !values.every(Number.isFinite))
    throw new RangeError(`invalid values: expected one finite number an item; got ${values.length} values`)
  if (!(confidence > 0 && confidence < 1))
    throw new RangeError(`invalid confidence ${confidence}: expected a number between 0 and 1`)
  if (!(Number.isSafeInteger(resamples) && resamples >= 100))
    throw new RangeError(`invalid resamples ${resamples}: expected a whole number, 100 or more`)
  const stream = randomStream(seed)
  const means = Array.from({ length: resamples }, () => {
    let sum = 0
    for (let i = 0; i < values.length; i++) sum += values[stream.below(values.length)] as number
    return sum / values.length
  }).sort((a, b) => a - b)
  const bound = (share: number) => quantileSorted(means, share)
  return { value: mean([...values]), low: bound((1 - confidence) / 2), high: bound((1 + confidence) / 2) }
}

/** avg@k: the mean share of right responses, over items; `correct[item][response]`. Throws a RangeError where there are none. */
export function averageAccuracy(correct: readonly (readonly boolean[])[], options: IntervalOptions = {}): Estimate {
  return bootstrapMean(
    correct.map((responses) => count(responses) / responses.length),
    options,
  )
}

/** Mean pass@k over items; every item needs k responses or more. Throws a RangeError otherwise. */
export function meanPassAtK(
  correct: readonly (readonly boolean[])[],
  k: number,
  options: IntervalOptions = {},
): Estimate {
  return bootstrapMean(
    correct.map((responses) => passAtK(responses.length, count(responses), k)),
    options,
  )
}

const count = (responses: readonly boolean[]) => responses.filter(Boolean).length
