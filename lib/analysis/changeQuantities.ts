import { mean } from 'simple-statistics'
import { ratio } from './bootstrap'
import type { CheckpointMeasures } from './checkpointMeasures'
import { BOTH_MODES, paperBaseline } from './liftRow'
import { LiftStatistic } from './lifts'
import { FIXED_PROMINENCE, type PeakMode, peakModeName, tracePeaks } from './peakMode'
import { RHYTHM_ROWS, type RhythmRow, selectionOf } from './rhythmRows'
import type { TraceMeasures } from './traceMeasures'

/** What stands beside a quantity that two checkpoints are compared by. */
export interface QuantityColumns {
  quantity: string
  /** `lift` and `share` are fractions. */
  unit: 'lift' | 'share' | 'tokens' | 'nats'
  /** Of a lift: the paper's, or tokens of the same class. */
  baseline: 'paper' | 'same class' | null
  /** `trace`: each trace's own, `calibrated`: chosen once over a checkpoint's traces; null where no heads play a part. */
  heads: 'trace' | 'calibrated' | null
  peakMode: string | null
  /** Window and horizon. */
  setting: string | null
}

/** A statistic of a set of traces whose parts add up over traces. */
export interface Quantity extends QuantityColumns {
  measures: (checkpoint: CheckpointMeasures) => readonly TraceMeasures[]
  length: number
  vector: (trace: TraceMeasures, checkpoint: CheckpointMeasures) => ArrayLike<number>
  evaluate: (sums: ArrayLike<number>, offset: number) => number | null
}

const HEADS = ['trace', 'calibrated'] as const

/**
 * Everything that is compared: the lifts of Table 2 in both peak modes, with own and calibrated heads, over the paper's baseline and over
 * tokens of the same class; the shares of peaks; spans of local and global heads; WAAD, entropy, length, and what the responses are worth.
 * @param classes all classes of tokens
 */
export function changeQuantities(
  classes: readonly string[],
  setting: string,
  variations: readonly string[] = [],
): Quantity[] {
  const number = new Map(classes.map((name, i) => [name, i]))
  const strata = (trace: TraceMeasures) => trace.classes.map((name) => (name === null ? -1 : number.get(name)!))
  const lift = (
    row: RhythmRow,
    mode: PeakMode,
    baseline: 'paper' | 'same class',
  ): Omit<Quantity, 'heads' | 'measures' | 'setting'> => {
    const statistic =
      baseline === 'paper' ? new LiftStatistic(paperBaseline(row)) : new LiftStatistic('strata', classes.length)
    return {
      quantity: row.alignment === 'next token' ? `${row.claim} (next token)` : row.claim,
      ...{ unit: 'lift', baseline, peakMode: peakModeName(mode), length: statistic.length },
      vector: (trace) => {
        const selection = selectionOf(trace, row, mode)
        if (!selection) return new Float64Array(statistic.length)
        return statistic.vector(baseline === 'paper' ? selection : { ...selection, strata: strata(trace) })
      },
      evaluate: (sums, offset) => statistic.evaluate(sums, offset)[2],
    }
  }
  const lifts = HEADS.flatMap((heads) =>
    BOTH_MODES.flatMap((mode) =>
      (['paper', 'same class'] as const).flatMap((baseline) =>
        RHYTHM_ROWS.map(
          (row): Quantity => ({
            ...lift(row, mode, baseline),
            heads,
            setting,
            measures: (checkpoint) => checkpoint[heads],
          }),
        ),
      ),
    ),
  )
  const varied = variations.flatMap((name) =>
    RHYTHM_ROWS.map(
      (row): Quantity => ({
        ...lift(row, FIXED_PROMINENCE, 'paper'),
        ...{ heads: 'trace', setting: name, measures: (checkpoint) => checkpoint.varied[name]! },
      }),
    ),
  )
  return [...lifts, ...HEADS.flatMap((heads) => groupQuantities(heads, setting)), ...plainQuantities(), ...varied]
}

/** Sums and counts: `[count, sum]`. */
const averaged = { length: 2, evaluate: (sums: ArrayLike<number>, at: number) => ratio(sums[at + 1]!, sums[at]!) }
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

function groupQuantities(heads: 'trace' | 'calibrated', setting: string): Quantity[] {
  const common = {
    heads,
    setting,
    baseline: null,
    measures: (checkpoint: CheckpointMeasures) => checkpoint[heads],
    ...averaged,
  }
  const share = (name: 'waad' | 'fai' | 'receiver', quantity: string): Quantity => ({
    ...{ quantity, unit: 'share', peakMode: peakModeName(FIXED_PROMINENCE), ...common },
    vector: (trace) => [trace.tokens, tracePeaks(trace, FIXED_PROMINENCE)[name]?.length ?? 0],
  })
  const span = (group: 'local' | 'global'): Quantity => ({
    ...{ quantity: `mean span of ${group} heads`, unit: 'tokens', peakMode: null, ...common },
    vector: (trace, { spans }) => [
      1,
      mean(trace.heads[group].map(([layer, head]) => spans.get(trace.id)![layer]![head]!)),
    ],
  })
  return [
    share('waad', 'tokens that are WAAD peaks'),
    share('fai', 'tokens that are FAI peaks'),
    share('receiver', 'tokens that are receiver-FAI peaks'),
    span('local'),
    span('global'),
    {
      ...{ quantity: 'mean WAAD', unit: 'tokens', peakMode: null, ...common },
      vector: (trace) => [trace.tokens, sum(trace.waad)],
    },
  ]
}

function plainQuantities(): Quantity[] {
  const common = { heads: null, setting: null, baseline: null, peakMode: null, ...averaged }
  const measures = ({ trace }: CheckpointMeasures) => trace
  return [
    {
      ...{ quantity: 'mean entropy', unit: 'nats', measures, ...common },
      vector: ({ entropy }) => [entropy.length, sum(entropy)],
    },
    { ...{ quantity: 'response length', unit: 'tokens', measures, ...common }, vector: ({ tokens }) => [1, tokens] },
    {
      ...{ quantity: 'responses that are right', unit: 'share', measures, ...common },
      vector: ({ correct }) => [correct === null ? 0 : 1, Number(correct === true)],
    },
    {
      ...{ quantity: 'responses cut short', unit: 'share', measures, ...common },
      vector: ({ truncated }) => [1, Number(truncated === true)],
    },
  ]
}
