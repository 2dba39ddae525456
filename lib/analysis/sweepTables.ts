import { isDeepStrictEqual } from 'node:util'
import { mean, median, sampleStandardDeviation } from 'simple-statistics'
import { InvalidArgument } from '../rhythm/invalidArgument'
import { type BootstrapOptions, bootstrapSums, type Estimate } from './bootstrap'
import { paperAccuracies } from './paperAccuracies'
import { type PowerOptions, seedsNeeded, spreadInterval, visibleDifference } from './seedPower'
import { holm, signFlipP, smallestSignFlipP } from './signFlips'
import {
  armsOf,
  measureOf,
  pairKey,
  type SweepMeasure,
  type SweepRecord,
  type SweepRow,
  stepsToReach,
} from './sweepRow'

export interface SweepTableOptions {
  /** Default `final`. */
  measure?: SweepMeasure
  /** Which arm the others are compared with, or `axis=label`, as `baselineOf` says. Default: the record's. */
  baseline?: string
  bootstrap?: Partial<BootstrapOptions>
}

/** An arm of a sweep. Accuracies are shares; intervals are by bootstrap over seeds (`meanOverSeeds`). */
export interface ArmRow {
  sweep: string
  arm: string
  /** Finished runs. */
  seeds: number
  warmups: number
  final: number | null
  finalLow: number | null
  finalHigh: number | null
  best: number | null
  area: number | null
  gain: number | null
  finalGreedy: number | null
  /** Median steps to reach the threshold, over the runs that do, and the share of runs that do. */
  threshold: number | null
  stepsToThreshold: number | null
  reached: number | null
  meanCredit: number | null
  /** Mean minutes of a run. */
  minutes: number | null
  /** Percent, at the paper's scale. */
  paperAccuracy: number | null
}

/** One row for each arm, over its finished runs. `threshold` is a share of sampled accuracy. */
export function armTable(record: SweepRecord, options: SweepTableOptions & { threshold?: number } = {}): ArmRow[] {
  const { threshold = null } = options
  const paper = paperAccuracies(record.paper)
  return armsOf(record.rows).map((arm) => {
    const own = finished(record.rows, arm)
    const over = (measure: SweepMeasure) => meanOf(own.map((row) => measureOf(row, measure)))
    const final = meanOverSeeds(
      own.map((row) => ({ row, value: measureOf(row, 'final') })),
      options.bootstrap,
    )
    const steps = threshold === null ? [] : own.flatMap((row) => stepsToReach(row, threshold) ?? [])
    return {
      sweep: record.name,
      arm,
      seeds: own.length,
      warmups: new Set(own.map(({ warmup }) => warmup)).size,
      final: final.value,
      finalLow: final.low,
      finalHigh: final.high,
      best: over('best'),
      area: over('area'),
      gain: over('gain'),
      finalGreedy: over('finalGreedy'),
      threshold,
      stepsToThreshold: steps.length === 0 ? null : median(steps),
      reached: threshold === null || own.length === 0 ? null : steps.length / own.length,
      meanCredit: meanOf(own.map(({ meanCredit }) => meanCredit)),
      minutes: meanOf(own.map(({ seconds }) => seconds / 60)),
      paperAccuracy: paper.find((value) => value.arm === arm)?.accuracy ?? null,
    }
  })
}

/** An arm against the baseline, in pairs that share seed and warm-up. Differences are of shares. */
export interface ComparisonRow {
  sweep: string
  arm: string
  baseline: string
  measure: SweepMeasure
  pairs: number
  difference: number | null
  /** 95 % interval by bootstrap over pairs (`meanOverSeeds`). */
  low: number | null
  high: number | null
  /** Standard deviation of the pairs' differences. */
  spread: number | null
  /** Pairs in which the arm is ahead. */
  ahead: number
  /** Two-sided, by all assignments of signs; null without pairs. */
  p: number | null
  /** Corrected by Holm for all comparisons of this table. */
  adjustedP: number | null
  /** The smallest p that so many pairs can have. */
  smallestP: number | null
  /** The smallest difference that a test at 5 % sees in four of five sweeps of so many pairs; null if it sees none. */
  visible: number | null
  /** Points, at the paper's scale. */
  paperDifference: number | null
}

/** Every other arm against its baseline. Throws if no arm is called so. */
export function comparisonTable(record: SweepRecord, options: SweepTableOptions = {}): ComparisonRow[] {
  const { measure = 'final', bootstrap } = options
  const paper = paperAccuracies(record.paper)
  const paperOf = (arm: string) => paper.find((value) => value.arm === arm)?.accuracy ?? null
  const rows = baselineOf(record, options.baseline).compared.map(({ arm, baseline }): ComparisonRow => {
    const pairs = pairedDifferences(record.rows, arm, baseline, measure)
    const differences = pairs.map(({ value }) => value)
    const { value, low, high } = meanOverSeeds(pairs, bootstrap)
    const spread = differences.length > 1 ? sampleStandardDeviation(differences) : null
    const [ours, theirs] = [paperOf(arm), paperOf(baseline)]
    return {
      ...{ sweep: record.name, arm, baseline, measure, pairs: pairs.length, difference: value, low, high, spread },
      ahead: differences.filter((d) => d > 0).length,
      p: pairs.length === 0 ? null : signFlipP(differences),
      adjustedP: null,
      smallestP: pairs.length === 0 ? null : smallestSignFlipP(pairs.length),
      visible: spread === null ? null : visibleDifference(pairs.length, spread),
      paperDifference: ours === null || theirs === null ? null : ours - theirs,
    }
  })
  const adjusted = holm(rows.map(({ p }) => p))
  return rows.map((row, i) => ({ ...row, adjustedP: adjusted[i]! }))
}

/** How many seeds it takes to see a difference, from the runs that there are. */
export interface PowerRow {
  sweep: string
  measure: SweepMeasure
  /** The difference to be seen, as a share. */
  difference: number
  /** Standard deviation of paired differences, pooled over the arms, with an 80 % interval: few seeds tell little about it. */
  spread: number
  spreadLow: number
  spreadHigh: number
  /** Pairs that it was estimated from, over all arms. */
  pairs: number
  /** Seeds for one comparison chosen beforehand, and with the upper bound of the spread. */
  seeds: number
  seedsHigh: number
  /** Seeds if every arm is compared with its baseline, each tested at the level divided by their number. */
  seedsForAll: number
}

/**
 * The power estimate to be made before the main runs from a few pilot seeds: the variance of paired differences about each arm's own
 * mean, pooled over arms, and the seeds that a test of that spread needs. Empty where no arm has two pairs.
 * @param differences to be seen, as shares; default 1, 2, 3 and 5 points
 */
export function powerTable(
  record: SweepRecord,
  options: SweepTableOptions & PowerOptions & { differences?: readonly number[] } = {},
): PowerRow[] {
  const { measure = 'final', differences = [0.01, 0.02, 0.03, 0.05], power, alpha } = options
  const { compared } = baselineOf(record, options.baseline)
  let squares = 0
  let degrees = 0
  let pairs = 0
  for (const { arm, baseline } of compared) {
    const own = pairedDifferences(record.rows, arm, baseline, measure).map(({ value }) => value)
    if (own.length < 2) continue
    squares += (own.length - 1) * sampleStandardDeviation(own) ** 2
    degrees += own.length - 1
    pairs += own.length
  }
  if (degrees === 0) return []
  const spread = spreadInterval(squares / degrees, degrees)
  return differences.map((difference) => ({
    ...{ sweep: record.name, measure, difference, pairs },
    ...{ spread: spread.value, spreadLow: spread.low, spreadHigh: spread.high },
    seeds: seedsNeeded(difference, spread.value, { power, alpha }),
    seedsHigh: seedsNeeded(difference, spread.high, { power, alpha }),
    seedsForAll: seedsNeeded(difference, spread.value, { power, alpha, comparisons: compared.length }),
  }))
}

/** Differences of finished runs of two arms that share seed and warm-up. */
export function pairedDifferences(
  rows: readonly SweepRow[],
  arm: string,
  baseline: string,
  measure: SweepMeasure,
): { row: SweepRow; value: number }[] {
  const others = new Map(finished(rows, baseline).map((row) => [pairKey(row), row]))
  return finished(rows, arm).flatMap((row) => {
    const other = others.get(pairKey(row))
    const [own, theirs] = [measureOf(row, measure), other ? measureOf(other, measure) : null]
    return own === null || theirs === null ? [] : [{ row, value: own - theirs }]
  })
}

/**
 * A mean with its interval by bootstrap over seeds, drawn within each warm-up (over all of them together where a warm-up has one seed alone): what is said
 * holds for these warm-ups. Deviations from a warm-up's mean are widened by sqrt(n / (n - 1)) first, without which so few values give intervals that are
 * too narrow by as much. They still are: 95 % intervals of 8 seeds over two warm-ups hold the true mean in about 90 % of cases, of 5 in about 85 %.
 * So p-values go before intervals.
 */
export function meanOverSeeds(
  values: readonly { row: Pick<SweepRow, 'warmup'>; value: number | null }[],
  options: Partial<BootstrapOptions> = {},
): Estimate {
  const known = values.flatMap(({ row, value }) => (value === null ? [] : [{ warmup: row.warmup, value }]))
  if (known.length === 0) return { value: null, low: null, high: null }
  const warmups = [...new Set(known.map(({ warmup }) => warmup))]
  const groups = warmups.map((warmup) => known.filter((one) => one.warmup === warmup).map(({ value }) => value))
  const drawn = groups.some((group) => group.length === 1) ? [known.map(({ value }) => value)] : groups
  const widened = drawn.map((group) => {
    const centre = mean(group)
    const factor = group.length > 1 ? Math.sqrt(group.length / (group.length - 1)) : 1
    return group.map((value) => [centre + factor * (value - centre)])
  })
  return bootstrapSums(widened, ([sum]) => [sum! / known.length], options)[0]!
}

/** What the arms of a sweep are compared with. */
export interface SweepBaseline {
  /** As it is written: an arm, or `axis=label`. */
  text: string
  /** The one arm that all others are compared with; null where each has its own. */
  arm: string | null
  compared: { arm: string; baseline: string }[]
}

/**
 * What arms are compared with: one arm, by its name; or by `axis=label` (`placement=shuffled`) each with the arm that has this label on this axis and all other
 * labels as it has them, where there is one. Throws if no arm is called so and none has such a counterpart.
 */
export function baselineOf(
  {
    name,
    baseline,
    rows,
  }: Pick<SweepRecord, 'name' | 'baseline'> & { rows: readonly Pick<SweepRow, 'arm' | 'labels'>[] },
  given?: string,
): SweepBaseline {
  const arms = armsOf(rows)
  const text = given ?? baseline
  if (arms.includes(text))
    return { text, arm: text, compared: arms.filter((arm) => arm !== text).map((arm) => ({ arm, baseline: text })) }
  const [axis, label] = splitAtFirst(text, '=')
  const labels = new Map(rows.map((row) => [row.arm, row.labels]))
  const compared = arms.flatMap((arm) => {
    const own = labels.get(arm)!
    if (label === null || !(axis in own) || own[axis] === label) return []
    const counterpart = arms.find((other) => isDeepStrictEqual(labels.get(other), { ...own, [axis]: label }))
    return counterpart === undefined ? [] : [{ arm, baseline: counterpart }]
  })
  if (compared.length > 0) return { text, arm: null, compared }
  const known = new Map<string, Set<string>>()
  for (const row of rows)
    for (const [key, value] of Object.entries(row.labels)) known.set(key, (known.get(key) ?? new Set()).add(value))
  const choices = [...known].map(([key, values]) => `${key}=${[...values].join('|')}`)
  throw new InvalidArgument(
    `no arm of ${name} is called '${text}': expected one of ${arms.join('; ')}, or an axis with one of its labels (${choices.join('; ')})`,
  )
}

function splitAtFirst(text: string, separator: string): [string, string | null] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + separator.length)]
}

const finished = (rows: readonly SweepRow[], arm: string) =>
  rows.filter((row) => row.arm === arm && row.state === 'finished')

function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : mean(known)
}
