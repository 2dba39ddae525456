import { type HeadGroups, headGroups, meanSpans } from '../rhythm/headGroups'
import { type AnyHeadSeries, type Head, spanTable } from '../rhythm/headSeries'
import { InvalidArgument } from '../rhythm/invalidArgument'
import { resolveLayers } from '../rhythm/layerRange'
import {
  type KurtosisTable,
  meanKurtosis,
  receiverCount,
  receiverHeads,
  sentenceKurtosis,
  tokenKurtosis,
} from '../rhythm/receiverHeads'
import type { AnalysisTrace } from './analysisTrace'
import type { MeasureOptions } from './measureOptions'

/** The heads whose averages are a trace's WAAD, FAI and receiver FAI. */
export interface MeasureHeads extends HeadGroups {
  receiver: Head[]
}

/** Mean spans and mean kurtosis of each head over traces, by what the options make of them. */
export interface HeadCalibration {
  traces: number
  /** `[layer][head]`, with (`with`) and without (`without`) the sink. */
  spans: Record<string, number[][]>
  kurtosis: Record<string, KurtosisTable>
}

/** The head series that options read. Throws if the trace does not have them. */
export function seriesFor(trace: AnalysisTrace, options: Pick<MeasureOptions, 'excludeSink'>): AnyHeadSeries {
  const { id, series, withoutSink } = trace
  const found = [series, withoutSink].find((s) => s && (s.sinkExcluded ?? false) === options.excludeSink)
  if (!found)
    throw new InvalidArgument(
      `trace ${id} has no head series ${options.excludeSink ? 'without' : 'with'} the attention sink: trace it again with them, or leave this measure out`,
    )
  if (found.layers.some((layer, i) => layer !== i))
    throw new InvalidArgument(
      `trace ${id} has head series of layers ${found.layers.join(', ')}: the analyses need all layers of the model`,
    )
  return found
}

/** Gathers, trace by trace, what calibrated heads need: a few numbers for each head. */
export class HeadCalibrator {
  private readonly spans = new Map<string, number[][][]>()
  private readonly kurtosis = new Map<string, KurtosisTable[]>()
  private traces = 0

  /** @param options the measures that will use calibrated heads */
  constructor(private readonly options: readonly MeasureOptions[]) {}

  add(trace: AnalysisTrace): void {
    this.traces++
    const seen = new Set<string>()
    const once = (key: string, use: () => void) => {
      if (seen.has(key)) return
      seen.add(key)
      use()
    }
    for (const options of this.options) {
      const series = seriesFor(trace, options)
      once(spanKey(options), () => push(this.spans, spanKey(options), spanTable(series)))
      once(kurtosisKey(options), () => push(this.kurtosis, kurtosisKey(options), kurtosisTable(series, options)))
    }
  }

  result(): HeadCalibration {
    return {
      traces: this.traces,
      spans: Object.fromEntries([...this.spans].map(([key, tables]) => [key, meanSpans(tables)])),
      kurtosis: Object.fromEntries([...this.kurtosis].map(([key, tables]) => [key, meanKurtosis(tables)])),
    }
  }
}

/** The heads that options choose from a calibration over a set of traces. */
export function calibratedHeads(calibration: HeadCalibration, options: MeasureOptions): MeasureHeads {
  const spans = calibration.spans[spanKey(options)]
  const kurtosis = calibration.kurtosis[kurtosisKey(options)]
  if (!spans || !kurtosis)
    throw new InvalidArgument(
      'the calibration does not cover these options: calibrate with the options that the measures will have',
    )
  return chooseHeads(spans, kurtosis, options)
}

/** The heads that options choose from a trace's own series. */
export function ownHeads(series: AnyHeadSeries, options: MeasureOptions): MeasureHeads {
  return chooseHeads(spanTable(series), kurtosisTable(series, options), options)
}

function chooseHeads(spans: number[][], kurtosis: KurtosisTable, options: MeasureOptions): MeasureHeads {
  const layers = resolveLayers(options.layers, spans.length)
  const candidates = kurtosis.map((row, layer) => (layers.includes(layer) ? row : row.map(() => null)))
  const heads = layers.reduce((sum, layer) => sum + spans[layer]!.length, 0)
  const count = options.receiverCount ?? receiverCount(options.receiverVariant, heads)
  return {
    ...headGroups(spans, { share: options.headShare, layers, choice: options.headChoice }),
    receiver: receiverHeads(
      candidates,
      kurtosis.map((_, layer) => layer),
      count,
    ),
  }
}

/** Tables that were computed for a trace's series, as long as these are held: many options share one. */
const kurtosisTables = new WeakMap<AnyHeadSeries, Map<string, KurtosisTable>>()

function kurtosisTable(series: AnyHeadSeries, options: MeasureOptions): KurtosisTable {
  const known = kurtosisTables.get(series) ?? new Map<string, KurtosisTable>()
  kurtosisTables.set(series, known)
  const key = kurtosisKey(options)
  const table =
    known.get(key) ??
    (options.receiverVariant === 'token' ? tokenKurtosis(series) : sentenceKurtosis(series, options.sentenceGap))
  known.set(key, table)
  return table
}

function spanKey({ excludeSink }: MeasureOptions): string {
  return excludeSink ? 'without' : 'with'
}

function kurtosisKey(options: MeasureOptions): string {
  const variant = options.receiverVariant === 'token' ? 'token' : `sentence ${options.sentenceGap}`
  return `${variant} ${spanKey(options)}`
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}
