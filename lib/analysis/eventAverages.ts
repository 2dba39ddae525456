import { bootstrapSums, liftOf, ratio } from './bootstrap'
import { BOTH_MODES, type TableOptions } from './liftRow'
import { peakModeName, tracePeaks } from './peakMode'
import type { TraceMeasures } from './traceMeasures'

/** The mean of a series at a fixed distance from events, pooled over events and traces. */
export interface EventAverageRow {
  set: string
  /** `WAAD peak`, `anchor` or `introducer`. */
  event: string
  /** Of peaks; null for other events. */
  peakMode: string | null
  /** `entropy` (nats), `WAAD` (tokens) or `FAI`. */
  series: string
  /** Tokens after the event; negative = before it. */
  offset: number
  mean: number | null
  low: number | null
  high: number | null
  /** The mean over all tokens of the same traces. */
  baseline: number | null
  /** Of `mean` over `baseline`, with its interval. */
  lift: number | null
  liftLow: number | null
  liftHigh: number | null
  /** Events with a value at this offset. */
  events: number
  traces: number
  tokens: number
}

export interface EventOptions extends TableOptions {
  /** Largest distance on either side, in tokens. Default 5. */
  reach?: number
}

/** The beat itself: entropy around WAAD peaks. Offset 0 is the peak's own token, offset 1 the one that its attention row predicts. */
export function entropyAroundPeaks(
  measures: readonly TraceMeasures[],
  set: string,
  options: EventOptions = {},
): EventAverageRow[] {
  return (options.peakModes ?? BOTH_MODES).flatMap((mode) =>
    averages(
      measures.map((trace) => ({ trace, events: tracePeaks(trace, mode).waad, values: trace.entropy })),
      { set, event: 'WAAD peak', peakMode: peakModeName(mode), series: 'entropy' },
      options,
    ),
  )
}

/**
 * FAI, WAAD and entropy around anchors and around introducers (Sec. 5), both of the trace's `rl` block, whose FAI and
 * WAAD these are. Tokens whose FAI is undefined do not count for FAI.
 */
export function rhythmAroundAnchors(
  measures: readonly TraceMeasures[],
  set: string,
  options: Omit<EventOptions, 'peakModes'> = {},
): EventAverageRow[] {
  return (['anchor', 'introducer'] as const).flatMap((event) =>
    (['FAI', 'WAAD', 'entropy'] as const).flatMap((series) =>
      averages(
        measures.map((trace) => ({
          trace,
          events: event === 'anchor' ? trace.rl.anchors : trace.rl.introducers,
          values:
            series === 'entropy'
              ? trace.entropy
              : series === 'WAAD'
                ? trace.rl.waad
                : trace.rl.fai.map((value, t) => (trace.rl.faiValid[t] ? value : null)),
        })),
        { set, event, peakMode: null, series },
        options,
      ),
    ),
  )
}

interface TraceEvents {
  trace: TraceMeasures
  events: readonly number[]
  values: readonly (number | null)[]
}

function averages(
  traces: readonly TraceEvents[],
  columns: Pick<EventAverageRow, 'set' | 'event' | 'peakMode' | 'series'>,
  { reach = 5, bootstrap }: EventOptions,
): EventAverageRow[] {
  const offsets = Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach)
  const vectors = traces.map(({ events, values }) => {
    const vector = new Float64Array(2 + 2 * offsets.length)
    const add = (at: number, value: number | null | undefined) => {
      if (value === null || value === undefined) return
      vector[at]!++
      vector[at + 1]! += value
    }
    for (const value of values) add(0, value)
    for (const event of events) for (const [i, offset] of offsets.entries()) add(2 + 2 * i, values[event + offset])
    return vector
  })
  const sum = (at: number) => vectors.reduce((total, vector) => total + vector[at]!, 0)
  const tokens = traces.reduce((total, { trace }) => total + trace.tokens, 0)
  const estimates = bootstrapSums(
    [vectors],
    (sums) => {
      const baseline = ratio(sums[1] ?? 0, sums[0] ?? 0)
      return offsets.flatMap((_, i) => {
        const mean = ratio(sums[3 + 2 * i] ?? 0, sums[2 + 2 * i] ?? 0)
        return [mean, liftOf(mean, baseline)]
      })
    },
    bootstrap,
  )
  return offsets.map((offset, i) => {
    const [mean, lift] = [estimates[2 * i]!, estimates[2 * i + 1]!]
    return {
      ...columns,
      offset,
      mean: mean.value,
      low: mean.low,
      high: mean.high,
      baseline: ratio(sum(1), sum(0)),
      lift: lift.value,
      liftLow: lift.low,
      liftHigh: lift.high,
      events: sum(2 + 2 * i),
      traces: traces.length,
      tokens,
    }
  })
}
