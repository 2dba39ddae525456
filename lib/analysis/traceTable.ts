import { ratio } from './bootstrap'
import { FIXED_PROMINENCE, type PeakMode, peakModeName, tracePeaks } from './peakMode'
import type { TraceMeasures } from './traceMeasures'

/** One trace of a set. */
export interface TraceRow {
  set: string
  trace: string
  problem: string
  /** Null where it is not known. */
  correct: boolean | null
  truncated: boolean | null
  tokens: number
  peakMode: string
  waadPeaks: number
  faiPeaks: number
  /** Null without receiver heads. */
  receiverPeaks: number | null
  /** Nats. */
  meanEntropy: number | null
  /** Tokens. */
  meanWaad: number | null
  anchors: number
  introducers: number
}

/** What a trace set is made of. */
export interface SummaryRow {
  set: string
  traces: number
  problems: number
  tokens: number
  tokensPerTrace: number | null
  correct: number
  wrong: number
  /** Traces whose answer is not known to be right or wrong; they count as neither. */
  unjudged: number
  /** Of the judged traces; null if there is none. */
  accuracy: number | null
  truncated: number
  peakMode: string
  /** Shares of all tokens that are peaks. */
  waadPeakShare: number | null
  faiPeakShare: number | null
}

/** One row for each trace. */
export function traceTable(
  measures: readonly TraceMeasures[],
  set: string,
  mode: PeakMode = FIXED_PROMINENCE,
): TraceRow[] {
  return measures.map((trace) => {
    const peaks = tracePeaks(trace, mode)
    return {
      set,
      trace: trace.id,
      problem: trace.problem,
      correct: trace.correct,
      truncated: trace.truncated,
      tokens: trace.tokens,
      peakMode: peakModeName(mode),
      waadPeaks: peaks.waad.length,
      faiPeaks: peaks.fai.length,
      receiverPeaks: peaks.receiver?.length ?? null,
      meanEntropy: mean(trace.entropy),
      meanWaad: mean(trace.waad),
      anchors: trace.rl.anchors.length,
      introducers: trace.rl.introducers.length,
    }
  })
}

/** One row for the whole set. */
export function summary(
  measures: readonly TraceMeasures[],
  set: string,
  mode: PeakMode = FIXED_PROMINENCE,
): SummaryRow[] {
  const rows = traceTable(measures, set, mode)
  const tokens = rows.reduce((sum, row) => sum + row.tokens, 0)
  const count = (fits: (row: TraceRow) => boolean) => rows.filter(fits).length
  const [correct, wrong] = [count((row) => row.correct === true), count((row) => row.correct === false)]
  const share = (name: 'waadPeaks' | 'faiPeaks') =>
    ratio(
      rows.reduce((sum, row) => sum + row[name], 0),
      tokens,
    )
  return [
    {
      set,
      traces: rows.length,
      problems: new Set(rows.map((row) => row.problem)).size,
      tokens,
      tokensPerTrace: ratio(tokens, rows.length),
      correct,
      wrong,
      unjudged: rows.length - correct - wrong,
      accuracy: ratio(correct, correct + wrong),
      truncated: count((row) => row.truncated === true),
      peakMode: peakModeName(mode),
      waadPeakShare: share('waadPeaks'),
      faiPeakShare: share('faiPeaks'),
    },
  ]
}

function mean(values: readonly number[]): number | null {
  return ratio(
    values.reduce((sum, value) => sum + value, 0),
    values.length,
  )
}
