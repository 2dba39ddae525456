import { InvalidArgument } from './invalidArgument'

/** A local maximum of a series and how far it stands out. */
export interface Peak {
  index: number
  prominence: number
}

/**
 * Strict local maxima in ascending order with their prominences, as `scipy.signal.find_peaks(x, prominence=0)`: a plateau
 * counts once, at its middle (rounded down); the first and last value are never peaks. The prominence is the height above
 * the higher of the two minima between the peak and the next higher value (or the end) on either side.
 */
export function localMaxima(x: ArrayLike<number>): Peak[] {
  const peaks: Peak[] = []
  for (let i = 1; i < x.length - 1; i++) {
    if (!(x[i - 1]! < x[i]!)) continue
    let end = i
    while (end + 1 < x.length && x[end + 1] === x[i]) end++
    if (end + 1 < x.length && x[end + 1]! < x[i]!) {
      const index = (i + end) >> 1
      peaks.push({ index, prominence: prominence(x, index) })
    }
    i = end
  }
  return peaks
}

function prominence(x: ArrayLike<number>, peak: number): number {
  const height = x[peak]!
  let left = height
  for (let i = peak; i >= 0 && x[i]! <= height; i--) left = Math.min(left, x[i]!)
  let right = height
  for (let i = peak; i < x.length && x[i]! <= height; i++) right = Math.min(right, x[i]!)
  return height - Math.max(left, right)
}

/**
 * Indices of the peaks of a series: local maxima whose prominence is at least `fraction` of the series' population
 * standard deviation. The whole series counts, also where FAI is 0 because it is undefined; such tokens cannot be peaks.
 * @param valid tokens that may be peaks (default: all)
 */
export function peaks(x: ArrayLike<number>, fraction: number, valid?: readonly boolean[]): number[] {
  if (!(fraction >= 0)) throw new InvalidArgument(`invalid prominence ${fraction}: expected a number of at least 0`)
  const threshold = fraction * populationStd(x)
  return allowed(localMaxima(x), valid)
    .filter((peak) => peak.prominence >= threshold)
    .map((peak) => peak.index)
}

/** Peaks at the prominence that makes them a stated share of the tokens. */
export interface SharePeaks {
  indices: number[]
  /** The prominence that was chosen, as a fraction of the population standard deviation; null if no token is a peak. */
  prominence: number | null
}

/**
 * Peaks with the prominence chosen for this series so that their number comes closest to `share` of its tokens. Peaks of
 * equal prominence stand or fall together; where two prominences come equally close, the larger holds. If there are too
 * few local maxima, all of them are peaks.
 */
export function peaksAtShare(x: ArrayLike<number>, share: number, valid?: readonly boolean[]): SharePeaks {
  if (!(share >= 0 && share <= 1)) throw new InvalidArgument(`invalid peak share ${share}: not in [0, 1]`)
  const maxima = allowed(localMaxima(x), valid)
  const target = share * x.length
  const descending = maxima.map((peak) => peak.prominence).sort((a, b) => b - a)
  let best = { threshold: Number.POSITIVE_INFINITY, distance: target }
  descending.forEach((threshold, i) => {
    if (descending[i + 1] === threshold) return
    const distance = Math.abs(i + 1 - target)
    // A share such as 0.15 of 30 tokens is 4.5 in exact arithmetic; rounding must not decide the tie.
    if (distance < best.distance - 1e-9) best = { threshold, distance }
  })
  const chosen = maxima.filter((peak) => peak.prominence >= best.threshold)
  return {
    indices: chosen.map((peak) => peak.index),
    prominence: chosen.length === 0 ? null : best.threshold / populationStd(x),
  }
}

/** Population standard deviation (divided by n); 0 for an empty series. */
export function populationStd(x: ArrayLike<number>): number {
  if (x.length === 0) return 0
  let mean = 0
  for (let i = 0; i < x.length; i++) mean += x[i]!
  mean /= x.length
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += (x[i]! - mean) ** 2
  return Math.sqrt(sum / x.length)
}

function allowed(peaks: Peak[], valid?: readonly boolean[]): Peak[] {
  return valid ? peaks.filter((peak) => valid[peak.index]) : peaks
}
