import type { TraceRhythm } from '../credit/traceRhythm'
import type { AnyHeadSeries } from '../rhythm/headSeries'

/** One stored trace as the analyses read it. `readTrace` gives `record` (its `rhythm`), `series` and `withoutSink`. */
export interface AnalysisTrace {
  id: string
  record: TraceRhythm
  /**
   * Per-head series of all layers. A trace without them (another program's record) can be analysed with the layers,
   * window, horizon and heads of its record only.
   */
  series?: AnyHeadSeries
  /** The same series with the attention sink left out, for measures with `excludeSink`. */
  withoutSink?: AnyHeadSeries
  /** Id of the problem that the response answers; traces of two sets are paired by it. Default: the trace's id. */
  problem?: string | null
  /** Whether the answer is right; null or absent where that is not known, which counts neither as right nor as wrong. */
  correct?: boolean | null
  /** Whether the response hit its length limit; null or absent where that is not known. */
  truncated?: boolean | null
}

/**
 * A set of traces that can be read from the beginning as often as needed. Traces are reduced one at a time and not kept, so
 * an iterator that reads files lets a set of any size be analysed.
 */
export type TraceSource = () => AsyncIterable<AnalysisTrace> | Iterable<AnalysisTrace>
