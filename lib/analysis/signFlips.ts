import { randomStream } from '../random/randomStream'
import { InvalidArgument } from '../rhythm/invalidArgument'

/** Up to so many pairs every assignment of signs is counted; beyond, random ones are drawn. */
const EXACT_PAIRS = 20
const DRAWS = 200_000

/**
 * Two-sided p-value of paired differences by sign flips: if neither side were better, each difference could as well have the other
 * sign. The share of all 2^n assignments of signs whose mean is at least as far from 0 as the observed one; exact up to 20 pairs, and from 200,000 random
 * assignments (the observed one counted among them) beyond. With n pairs it cannot be less than 2 / 2^n. 1 without differences.
 */
export function signFlipP(differences: readonly number[], seed = 0): number {
  if (!differences.every(Number.isFinite)) throw new InvalidArgument('differences must be finite numbers')
  const n = differences.length
  if (n === 0) return 1
  const scale = differences.reduce((sum, d) => sum + Math.abs(d), 0)
  // Sums that are equal but for rounding count as equal.
  const observed = Math.abs(differences.reduce((sum, d) => sum + d, 0)) - 1e-12 * scale
  if (n > EXACT_PAIRS) {
    const stream = randomStream(seed)
    let reached = 1
    for (let draw = 0; draw < DRAWS; draw++) {
      let sum = 0
      for (const d of differences) sum += stream.below(2) === 1 ? d : -d
      if (Math.abs(sum) >= observed) reached++
    }
    return reached / (DRAWS + 1)
  }
  // One sign changes from each assignment to the next (Gray code).
  const signs = differences.map(() => 1)
  let reached = 0
  let sum = differences.reduce((total, d) => total + d, 0)
  const count = 2 ** n
  for (let i = 1; ; i++) {
    if (Math.abs(sum) >= observed) reached++
    if (i === count) return reached / count
    const flipped = 31 - Math.clz32(i & -i)
    signs[flipped] = -signs[flipped]!
    sum += 2 * signs[flipped]! * differences[flipped]!
  }
}

/** The smallest p-value that so many pairs can have. */
export const smallestSignFlipP = (pairs: number): number => Math.min(1, 2 / 2 ** pairs)

/**
 * p-values corrected for their number by Holm's method: the chance of one or more false findings among them all stays below the level
 * that an adjusted value is compared with, however they depend on each other. In the given order; null stays null and does not count.
 */
export function holm(values: readonly (number | null)[]): (number | null)[] {
  const ranked = values.flatMap((p, i) => (p === null ? [] : [{ p, i }])).sort((a, b) => a.p - b.p)
  const adjusted: (number | null)[] = values.map(() => null)
  let least = 0
  for (const [rank, { p, i }] of ranked.entries()) {
    least = Math.max(least, Math.min(1, (ranked.length - rank) * p))
    adjusted[i] = least
  }
  return adjusted
}
