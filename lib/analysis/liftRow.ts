import type { BootstrapOptions } from './bootstrap'
import { type Baseline, type LiftEstimate, LiftStatistic, pooledLift } from './lifts'
import { layersName } from './measureOptions'
import { FIXED_PROMINENCE, PAPER_SHARES, type PeakMode, peakModeName } from './peakMode'
import { RHYTHM_ROWS, type RhythmRow, type Selection, selectionOf } from './rhythmRows'
import type { TraceMeasures } from './traceMeasures'

export interface TableOptions {
  /** Default: a fixed prominence of 0.25, and the paper's peak shares. */
  peakModes?: readonly PeakMode[]
  bootstrap?: Partial<BootstrapOptions>
}

/**
 * A lift of Table 2, pooled over traces. Lifts are fractions (0.2 = +20 %); entropies are in nats, shares are fractions. `liftLow` and `liftHigh`
 * bound the bootstrap interval over traces. What is undefined is null: no peak of the kind, a baseline of 0, an interval
 * over one trace.
 */
export interface LiftRow {
  /** The trace set. */
  set: string
  row: number
  claim: string
  /** Row 1: `own token`, or `next token` = entropy of the token that the attention row predicts; null for rows 2 and 3. */
  alignment: string | null
  peakMode: string
  layers: string
  /** `trace` = each trace's own heads, `calibrated` = chosen once over the set. */
  heads: string
  /** Traces in which the row can be asked. */
  traces: number
  /** Their response tokens. */
  tokens: number
  /** The tokens that are looked at: WAAD peaks (row 1), receiver-FAI peaks (2), FAI peaks (3). */
  peaks: number
  observed: number | null
  /** The paper's. Rows 1 and 2: over all tokens; row 3: expected if FAI peaks are shuffled within their trace (closed form). */
  baseline: number | null
  lift: number | null
  liftLow: number | null
  liftHigh: number | null
}

/** The peak modes of a table whose options name none. */
export const BOTH_MODES: readonly PeakMode[] = [FIXED_PROMINENCE, PAPER_SHARES]

/** The row's baseline in the paper. */
export const paperBaseline = ({ row }: Pick<RhythmRow, 'row'>): Baseline => (row === 3 ? 'same trace' : 'all tokens')

/** The traces in which a row can be asked, with their selections. */
export function selectionsOf(
  measures: readonly TraceMeasures[],
  row: RhythmRow,
  mode: PeakMode,
): { trace: TraceMeasures; selection: Selection }[] {
  return measures.flatMap((trace) => {
    const selection = selectionOf(trace, row, mode)
    return selection ? [{ trace, selection }] : []
  })
}

/** Lifts of every row in every peak mode over the paper's baseline. */
export function liftRows(measures: readonly TraceMeasures[], set: string, options: TableOptions = {}): LiftRow[] {
  return (options.peakModes ?? BOTH_MODES).flatMap((mode) =>
    RHYTHM_ROWS.map((row) => {
      const asked = selectionsOf(measures, row, mode)
      const selections = asked.map(({ selection }) => selection)
      const lift = pooledLift(selections, new LiftStatistic(paperBaseline(row)), options.bootstrap)
      return liftRow(measures, set, row, mode, asked, lift)
    }),
  )
}

/** One lift as columns, with what it is of and how it was made. */
export function liftRow(
  measures: readonly TraceMeasures[],
  set: string,
  row: RhythmRow,
  mode: PeakMode,
  asked: readonly { trace: TraceMeasures; selection: Selection }[],
  { observed, baseline, lift }: LiftEstimate,
): LiftRow {
  return {
    set,
    ...row,
    peakMode: peakModeName(mode),
    ...measureColumns(measures),
    traces: asked.length,
    tokens: asked.reduce((sum, { trace }) => sum + trace.tokens, 0),
    peaks: asked.reduce((sum, { selection }) => sum + selection.selected.length, 0),
    observed: observed.value,
    baseline: baseline.value,
    lift: lift.value,
    liftLow: lift.low,
    liftHigh: lift.high,
  }
}

/** How the measures of a set were made, as columns. */
export function measureColumns(measures: readonly TraceMeasures[]): { layers: string; heads: string } {
  const options = measures[0]?.options
  return { layers: options ? layersName(options.layers) : 'all', heads: options?.heads ?? 'trace' }
}
