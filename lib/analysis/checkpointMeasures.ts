import type { Horizon } from '../rhythm/headSeries'
import { horizonName } from '../rhythm/headSeries'
import { InvalidArgument } from '../rhythm/invalidArgument'
import type { AnalysisTrace, TraceSource } from './analysisTrace'
import { calibratedHeads, HeadCalibrator, type MeasureHeads } from './calibrateHeads'
import { type MeasureOptions, measureOptions } from './measureOptions'
import { measureTraces } from './measureTraces'
import type { TokenClassFunction } from './tokenClass'
import type { TraceMeasures } from './traceMeasures'

/** Heads chosen over a set of traces, and over its items of even and of odd number, whose difference is chance. */
export interface SplitHeads {
  whole: MeasureHeads
  even: MeasureHeads
  odd: MeasureHeads
}

/** The rhythm of one checkpoint's traces, as far as a comparison of two checkpoints needs it. */
export interface CheckpointMeasures {
  /** With each trace's own heads, with heads calibrated over the set, and by name with other windows and horizons (own heads). */
  trace: TraceMeasures[]
  calibrated: TraceMeasures[]
  varied: Record<string, TraceMeasures[]>
  /** Mean look-back distance of every head in tokens, `[layer][head]`, by trace. */
  spans: Map<string, readonly (readonly number[])[]>
  heads: SplitHeads
}

export interface CheckpointMeasureOptions {
  /** WAAD window in tokens. Default 10. */
  window?: number
  /** FAI horizon in tokens. Default `[0, null]`. */
  horizon?: Horizon
  /** Other choices of them whose lifts are shown too. */
  variations?: readonly Pick<MeasureOptions, 'window' | 'horizon'>[]
  tokenClass?: TokenClassFunction
  /** Number of traces, if known, for progress. */
  count?: number
  signal?: AbortSignal
  onProgress?: (done: number, total: number, note?: string) => void
}

/** Reads a checkpoint's traces three times. Throws on traces without the series that are asked for, and `Interrupted`. */
export async function checkpointMeasures(
  source: TraceSource,
  options: CheckpointMeasureOptions = {},
): Promise<CheckpointMeasures> {
  const { window = 10, horizon = [0, null], variations = [], ...reading } = options
  const base = measureOptions({ window, horizon })
  const calibrated = { ...base, heads: 'calibrated' as const }
  const varied = Object.fromEntries(variations.map((variation) => [settingName(variation), { ...base, ...variation }]))
  if ('trace' in varied || 'calibrated' in varied) throw new InvalidArgument('a variation needs a window and a horizon')
  const measured = await measureTraces(source, { trace: base, calibrated, ...varied }, reading)
  const spans = new Map<string, readonly (readonly number[])[]>()
  const calibrators = {
    whole: new HeadCalibrator([base]),
    even: new HeadCalibrator([base]),
    odd: new HeadCalibrator([base]),
  }
  let count = 0
  for await (const trace of source() as AsyncIterable<AnalysisTrace>) {
    spans.set(trace.id, trace.record.spans)
    calibrators.whole.add(trace)
    calibrators[count++ % 2 === 0 ? 'even' : 'odd'].add(trace)
  }
  if (count < 2) throw new InvalidArgument('one trace: halves of a set need two or more')
  const heads = (part: HeadCalibrator) => calibratedHeads(part.result(), base)
  return {
    trace: measured.trace!,
    calibrated: measured.calibrated!,
    varied: Object.fromEntries(Object.keys(varied).map((name) => [name, measured[name]!])),
    spans,
    heads: { whole: heads(calibrators.whole), even: heads(calibrators.even), odd: heads(calibrators.odd) },
  }
}

/** `W 8, horizon 0-end`. */
export const settingName = ({ window, horizon }: Pick<MeasureOptions, 'window' | 'horizon'>): string =>
  `W ${window}, horizon ${horizonName(horizon)}`
