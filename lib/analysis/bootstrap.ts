import { quantileSorted } from 'simple-statistics'
import { randomStream } from '../random/randomStream'
import { InvalidArgument } from '../rhythm/invalidArgument'

export interface BootstrapOptions {
  /** How many times the traces are drawn again. */
  replicates: number
  /** Coverage of the interval, in (0, 1). */
  level: number
  /** A whole number from 0 to 2³² - 1. */
  seed: number
}

export const DEFAULT_BOOTSTRAP: BootstrapOptions = { replicates: 2000, level: 0.95, seed: 0 }

/** A statistic and its percentile interval; null where undefined. */
export interface Estimate {
  value: number | null
  low: number | null
  high: number | null
}

/** Replicates in which a statistic must be defined for it to have an interval. */
const DEFINED_SHARE = 0.9

/** Fills in defaults and checks ranges. */
export function bootstrapOptions(given: Partial<BootstrapOptions> = {}): BootstrapOptions {
  for (const name of Object.keys(given))
    if (!(name in DEFAULT_BOOTSTRAP))
      throw new InvalidArgument(
        `unknown bootstrap option '${name}': expected one of ${Object.keys(DEFAULT_BOOTSTRAP).join(', ')}`,
      )
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const options: BootstrapOptions = { ...DEFAULT_BOOTSTRAP, ...set }
  if (!(Number.isSafeInteger(options.replicates) && options.replicates >= 1))
    throw new InvalidArgument(
      `invalid bootstrap replicates ${options.replicates}: expected a whole number of at least 1`,
    )
  if (!(options.level > 0 && options.level < 1))
    throw new InvalidArgument(`invalid bootstrap level ${options.level}: not in (0, 1)`)
  return options
}

/**
 * Percentile bootstrap over traces of statistics that are functions of sums over traces. In each replicate as many traces
 * are drawn, with replacement, from each group as it has; their vectors are added up and `evaluate` gives the statistics.
 * Replicates in which a statistic is undefined (null) do not count for its interval; if they are more than a tenth, or if
 * no group has two traces, the interval is null. The same seed draws the same traces for every statistic of a set.
 * @param groups vectors of one length, by group; groups are drawn independently (two sets that are compared)
 * @param evaluate from the summed vector to the statistics, null where undefined
 */
export function bootstrapSums(
  groups: readonly (readonly ArrayLike<number>[])[],
  evaluate: (sums: Float64Array) => readonly (number | null)[],
  given: Partial<BootstrapOptions> = {},
): Estimate[] {
  const { replicates, level, seed } = bootstrapOptions(given)
  const filled = groups.filter((group) => group.length > 0)
  const length = filled[0]?.[0]?.length ?? 0
  if (filled.some((group) => group.some((vector) => vector.length !== length)))
    throw new InvalidArgument(`bootstrap over vectors of different lengths: expected ${length} numbers for every trace`)
  const sums = new Float64Array(length)
  for (const group of filled) for (const vector of group) add(sums, vector)
  const values = evaluate(sums).map(defined)
  if (!filled.some((group) => group.length > 1)) return values.map((value) => ({ value, low: null, high: null }))
  const drawn = values.map(() => [] as number[])
  const streams = filled.map((_, i) => randomStream(seed, i))
  for (let replicate = 0; replicate < replicates; replicate++) {
    sums.fill(0)
    filled.forEach((group, g) => {
      for (let i = 0; i < group.length; i++) add(sums, group[streams[g]!.below(group.length)]!)
    })
    evaluate(sums).forEach((value, i) => {
      if (defined(value) !== null) drawn[i]!.push(value as number)
    })
  }
  return values.map((value, i) => {
    const found = Float64Array.from(drawn[i]!).sort()
    if (value === null || found.length < DEFINED_SHARE * replicates) return { value, low: null, high: null }
    const at = (p: number) => quantileSorted(found as unknown as number[], p)
    return { value, low: at((1 - level) / 2), high: at((1 + level) / 2) }
  })
}

/** `a / b`, null where it is undefined. */
export function ratio(a: number | null, b: number | null): number | null {
  return a === null || b === null || b === 0 ? null : a / b
}

/** Lift `(observed - baseline) / baseline`, null where it is undefined. */
export function liftOf(observed: number | null, baseline: number | null): number | null {
  return observed === null || baseline === null || baseline === 0 ? null : (observed - baseline) / baseline
}

function add(sums: Float64Array, vector: ArrayLike<number>): void {
  for (let i = 0; i < sums.length; i++) sums[i]! += vector[i]!
}

function defined(value: number | null): number | null {
  return value !== null && Number.isFinite(value) ? value : null
}
