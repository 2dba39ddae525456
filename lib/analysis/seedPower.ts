import { errorFunction, probit } from 'simple-statistics'
import { InvalidArgument } from '../rhythm/invalidArgument'

export interface PowerOptions {
  /** Chance of finding a difference that is there. Default 0.8. */
  power?: number
  /** Chance of finding one that is not. Default 0.05, two-sided. */
  alpha?: number
  /** How many comparisons are corrected for; each is then tested at `alpha` divided by it, which is no less strict than Holm's. Default 1. */
  comparisons?: number
}

/**
 * Pairs of seeds that a paired test needs to see a mean difference, given the standard deviation of the pairs' differences: the normal
 * approximation for a t-test, `((z_{1 - alpha/2} + z_power) spread / difference)² + z²_{1 - alpha/2} / 2` (Guenther 1981), and never fewer than
 * with which a sign-flip test can reach `alpha` at all.
 */
export function seedsNeeded(difference: number, spread: number, options: PowerOptions = {}): number {
  const { power, level } = checked(options)
  if (!(Number.isFinite(difference) && difference !== 0))
    throw new InvalidArgument(`invalid difference ${difference}: expected a number other than 0`)
  if (!(spread >= 0)) throw new InvalidArgument(`invalid spread ${spread}: expected a standard deviation`)
  const z = normalQuantile(1 - level / 2)
  const needed = ((z + normalQuantile(power)) * (spread / difference)) ** 2 + z ** 2 / 2
  return Math.max(Math.ceil(needed), Math.ceil(Math.log2(2 / level)))
}

/** The smallest mean difference that so many pairs let one see: the inverse of `seedsNeeded`. Null if they are too few for any. */
export function visibleDifference(pairs: number, spread: number, options: PowerOptions = {}): number | null {
  const { power, level } = checked(options)
  const z = normalQuantile(1 - level / 2)
  const left = pairs - z ** 2 / 2
  if (left <= 0 || pairs < Math.log2(2 / level)) return null
  return ((z + normalQuantile(power)) * spread) / Math.sqrt(left)
}

/**
 * Standard deviation with the bounds of its interval, from a variance with so many degrees of freedom. The bounds are from the
 * chi-square distribution by Wilson and Hilferty's approximation (within 1 % from 4 degrees of freedom on).
 */
export function spreadInterval(
  variance: number,
  degrees: number,
  coverage = 0.8,
): { value: number; low: number; high: number } {
  if (!(degrees >= 1)) throw new InvalidArgument(`invalid degrees of freedom ${degrees}: expected 1 or more`)
  const quantile = (p: number) => {
    const shift = 2 / (9 * degrees)
    return degrees * Math.max(0, 1 - shift + normalQuantile(p) * Math.sqrt(shift)) ** 3
  }
  const bound = (p: number) => Math.sqrt((degrees * variance) / quantile(p))
  return { value: Math.sqrt(variance), low: bound((1 + coverage) / 2), high: bound((1 - coverage) / 2) }
}

/** The library's quantile is right to three digits; one Newton step by its error function makes them six. */
function normalQuantile(p: number): number {
  const z = probit(p)
  const excess = (1 + errorFunction(z / Math.SQRT2)) / 2 - p
  return z - excess * Math.sqrt(2 * Math.PI) * Math.exp(z ** 2 / 2)
}

function checked({ power = 0.8, alpha = 0.05, comparisons = 1 }: PowerOptions) {
  for (const [name, value] of Object.entries({ power, alpha }))
    if (!(value > 0 && value < 1)) throw new InvalidArgument(`invalid ${name} ${value}: expected a number in (0, 1)`)
  if (!(Number.isSafeInteger(comparisons) && comparisons >= 1))
    throw new InvalidArgument(`invalid comparisons ${comparisons}: expected a whole number of at least 1`)
  return { power, level: alpha / comparisons }
}
