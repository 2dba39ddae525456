import { pacer } from '../engine/cooperate'
import { InvalidArgument } from '../rhythm/invalidArgument'
import { type BootstrapOptions, bootstrapSums } from './bootstrap'
import { changeQuantities, type Quantity, type QuantityColumns } from './changeQuantities'
import type { CheckpointMeasures } from './checkpointMeasures'

/** A run's checkpoints before and after, measured on the same items. */
export interface MeasuredRun {
  run: string
  before: CheckpointMeasures
  after: CheckpointMeasures
}

/** The row that has the mean over runs. */
export const ALL_RUNS = 'mean of runs'

/** A quantity before and after training, of one run or as the mean over runs. */
export interface ChangeRow extends QuantityColumns {
  run: string
  /** Items that all sets answer. */
  items: number
  before: number | null
  beforeLow: number | null
  beforeHigh: number | null
  after: number | null
  afterLow: number | null
  afterHigh: number | null
  /** After minus before. */
  difference: number | null
  differenceLow: number | null
  differenceHigh: number | null
  /** Of the mean: runs whose difference has its sign, and runs. */
  sameSign: number | null
  runs: number
}

export interface RhythmChangeOptions {
  /** Window and horizon as `settingName` says them. */
  setting: string
  bootstrap?: Partial<BootstrapOptions>
  signal?: AbortSignal
  onProgress?: (done: number, total: number, note?: string) => void
}

/**
 * Every quantity of `changeQuantities` before and after training, for each run and as the mean over runs. Intervals are of a bootstrap over items:
 * an item is drawn with its traces before and after in every run, so differences are paired by item and run. They say how far other
 * items would change the result, not other runs: for those see the runs' own rows. Throws unless all sets answer the same items, and `Interrupted`.
 */
export async function rhythmChange(runs: readonly MeasuredRun[], options: RhythmChangeOptions): Promise<ChangeRow[]> {
  if (runs.length === 0) throw new InvalidArgument('no run to compare: expected at least one')
  const items = sharedItems(runs)
  const sides = runs.flatMap(({ before, after }) => [before, after])
  const classes = new Set(sides.flatMap(({ trace }) => trace.flatMap((one) => one.classes)))
  const quantities = changeQuantities(
    [...classes].filter((name) => name !== null),
    options.setting,
    Object.keys(runs[0]!.before.varied),
  )
  const pause = pacer(options.signal)
  const rows: ChangeRow[] = []
  for (const [i, quantity] of quantities.entries()) {
    await pause()
    rows.push(...rowsOf(quantity, runs, sides, items, options.bootstrap))
    options.onProgress?.(i + 1, quantities.length, quantity.quantity)
  }
  return rows
}

function rowsOf(
  quantity: Quantity,
  runs: readonly MeasuredRun[],
  sides: readonly CheckpointMeasures[],
  items: readonly string[],
  bootstrap: Partial<BootstrapOptions> | undefined,
): ChangeRow[] {
  const { length } = quantity
  const place = new Map(items.map((item, i) => [item, i]))
  const vectors = items.map(() => new Float64Array(sides.length * length))
  for (const [s, side] of sides.entries())
    for (const trace of quantity.measures(side)) {
      const into = vectors[place.get(trace.problem)!]!
      const parts = quantity.vector(trace, side)
      for (let i = 0; i < length; i++) into[s * length + i]! += parts[i]!
    }
  const estimates = bootstrapSums(
    [vectors],
    (sums) => {
      const each = runs.map((_, r) => {
        const [before, after] = [2 * r, 2 * r + 1].map((s) => quantity.evaluate(sums, s * length)) as [Value, Value]
        return [before, after, before === null || after === null ? null : after - before]
      })
      return [...each, [0, 1, 2].map((part) => meanOf(each.map((values) => values[part]!)))].flat()
    },
    bootstrap,
  )
  const { measures: _, vector: __, evaluate: ___, length: ____, ...columns } = quantity
  return [...runs.map(({ run }) => run), ALL_RUNS].map((run, r): ChangeRow => {
    const [before, after, difference] = estimates.slice(3 * r, 3 * r + 3) as [Found, Found, Found]
    const signs = runs.map((__, i) => Math.sign(estimates[3 * i + 2]!.value ?? 0))
    const isMean = r === runs.length
    return {
      ...{ ...columns, run, items: items.length },
      ...{ before: before.value, beforeLow: before.low, beforeHigh: before.high },
      ...{ after: after.value, afterLow: after.low, afterHigh: after.high },
      ...{ difference: difference.value, differenceLow: difference.low, differenceHigh: difference.high },
      sameSign: isMean ? signs.filter((sign) => sign === Math.sign(difference.value ?? 0)).length : null,
      runs: isMean ? runs.length : 1,
    }
  })
}

type Value = number | null
type Found = ReturnType<typeof bootstrapSums>[number]

const meanOf = (values: readonly Value[]): Value =>
  values.some((value) => value === null) ? null : values.reduce<number>((sum, value) => sum + value!, 0) / values.length

/** The items that every set answers. */
function sharedItems(runs: readonly MeasuredRun[]): string[] {
  const itemsOf = ({ trace }: CheckpointMeasures) => [...new Set(trace.map(({ problem }) => problem))]
  const items = itemsOf(runs[0]!.before)
  for (const { run, before, after } of runs)
    for (const [side, measures] of Object.entries({ before, after }))
      if ([...itemsOf(measures)].sort().join() !== [...items].sort().join())
        throw new InvalidArgument(
          `the traces of ${run} ${side} training answer other items than those of ${runs[0]!.run} before: expected the same, or nothing can be paired`,
        )
  return items
}
