import type { CreditOptions, Threshold } from './creditOptions'
import type { ResponseRhythm } from './creditStrategy'
import { topShare } from './topShare'

/** How anchors and the tokens that introduce them are coupled (Eq. 18). Ascending positions in the response. */
export interface Coupling {
  /** `Tglob`: the anchors. */
  anchors: number[]
  /** `D`: the locally dominated anchors. */
  dominated: number[]
  /** `I(D)`: the tokens that introduce a dominated anchor, each once. */
  introducers: number[]
  /** The introducer of each entry of `dominated`. */
  introducedBy: number[]
}

/**
 * An anchor is dominated when its WAAD is at most `tau_waad` and the largest distance drop among the `k` tokens before it
 * (within the response) is at least `tau_delta`; its introducer is the token with that drop, ties to the earlier. An anchor
 * without an earlier token is never dominated. Undefined drops count neither in the window nor in the threshold.
 */
export function couple(rhythm: ResponseRhythm, options: CreditOptions): Coupling {
  const anchors = topShare(rhythm.fai, options.topShare, { valid: rhythm.faiValid, end: options.end })
  const waadLimit = threshold(rhythm.waad, options.waadThreshold)
  const deltaLimit = threshold(rhythm.delta, options.deltaThreshold)
  const dominated: number[] = []
  const introducedBy: number[] = []
  for (const anchor of anchors) {
    let introducer = -1
    let largest = Number.NEGATIVE_INFINITY
    for (let u = Math.max(0, anchor - options.lookback); u < anchor; u++) {
      const drop = rhythm.delta[u] ?? Number.NEGATIVE_INFINITY
      if (drop > largest) {
        largest = drop
        introducer = u
      }
    }
    if (introducer < 0 || !(rhythm.waad[anchor]! <= waadLimit && largest >= deltaLimit)) continue
    dominated.push(anchor)
    introducedBy.push(introducer)
  }
  const introducers = [...new Set(introducedBy)].sort((a, b) => a - b)
  return { anchors, dominated, introducers, introducedBy }
}

/** The quantile of those that are not null, by linear interpolation; NaN of none, which no comparison passes. */
function threshold(values: ArrayLike<number | null>, given: Threshold): number {
  if ('value' in given) return given.value
  const sorted = new Float64Array(values.length)
  let count = 0
  for (let t = 0; t < values.length; t++) if (values[t] !== null) sorted[count++] = values[t]!
  if (count === 0) return Number.NaN
  sorted.subarray(0, count).sort()
  const position = given.quantile * (count - 1)
  const low = sorted[Math.floor(position)]!
  const high = sorted[Math.ceil(position)]!
  return low + (high - low) * (position - Math.floor(position))
}
