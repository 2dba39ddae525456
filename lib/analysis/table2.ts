import { BOTH_MODES, type LiftRow, liftRow, paperBaseline, selectionsOf, type TableOptions } from './liftRow'
import { LiftStatistic, perTraceLift, pooledLift } from './lifts'
import { PAPER_VALUES } from './paperValues'
import type { PeakMode } from './peakMode'
import { RHYTHM_ROWS, type RhythmRow } from './rhythmRows'
import { circularShiftTest, permutationTest } from './shuffles'
import type { TraceMeasures } from './traceMeasures'

export interface Table2Options extends TableOptions {
  /** Shuffles of each kind. Default 1000. */
  shuffles?: number
}

/** One row of Table 2: the pooled lift, the same with every trace counting alike, the shuffled baselines, and the paper's values. */
export interface Table2Row extends LiftRow {
  /** Every trace counts alike: means of the traces' own means. */
  traceObserved: number | null
  traceBaseline: number | null
  traceLift: number | null
  traceLiftLow: number | null
  traceLiftHigh: number | null
  /** Expected if the looked-at tokens are shuffled within their trace, count kept (closed form). */
  shuffled: number | null
  shuffledLift: number | null
  shuffledLiftLow: number | null
  shuffledLiftHigh: number | null
  /** The same by shuffling them, and how often that reaches what is observed (one-sided). */
  permutation: number | null
  permutationP: number | null
  /** Moved along by one random distance in each trace, so that peaks stay non-adjacent. */
  shift: number | null
  shiftP: number | null
  paperObserved: number | null
  paperBaseline: number | null
  paperLift: number | null
  paperNote: string | null
}

/** Table 2 of a trace set in each peak mode, row 1 in both alignments. */
export function table2(measures: readonly TraceMeasures[], set: string, options: Table2Options = {}): Table2Row[] {
  const modes = options.peakModes ?? BOTH_MODES
  return modes.flatMap((mode) => RHYTHM_ROWS.map((row) => table2Row(measures, set, row, mode, options)))
}

function table2Row(
  measures: readonly TraceMeasures[],
  set: string,
  row: RhythmRow,
  mode: PeakMode,
  { bootstrap, shuffles }: Table2Options,
): Table2Row {
  const asked = selectionsOf(measures, row, mode)
  const selections = asked.map(({ selection }) => selection)
  const pooled = pooledLift(selections, new LiftStatistic(paperBaseline(row)), bootstrap)
  const own = perTraceLift(selections, bootstrap)
  const shuffled = pooledLift(selections, new LiftStatistic('same trace'), bootstrap)
  const seed = bootstrap?.seed
  const permutation = permutationTest(selections, { shuffles, seed })
  const shift = circularShiftTest(selections, { shuffles, seed })
  const paper = PAPER_VALUES.find((value) => value.table === '2' && value.row === row.row)
  return {
    ...liftRow(measures, set, row, mode, asked, pooled),
    traceObserved: own.observed.value,
    traceBaseline: own.baseline.value,
    traceLift: own.lift.value,
    traceLiftLow: own.lift.low,
    traceLiftHigh: own.lift.high,
    shuffled: shuffled.baseline.value,
    shuffledLift: shuffled.lift.value,
    shuffledLiftLow: shuffled.lift.low,
    shuffledLiftHigh: shuffled.lift.high,
    permutation: permutation.baseline,
    permutationP: permutation.p,
    shift: shift.baseline,
    shiftP: shift.p,
    paperObserved: paper?.observed ?? null,
    paperBaseline: paper?.baseline ?? null,
    paperLift: paper?.lift ?? null,
    paperNote: paper?.note ?? null,
  }
}
