import { HeadStatistics } from '../attention/headStatistics'
import { type AttentionMap, AttentionPatterns } from '../attention/patterns'
import {
  type RhythmOptions,
  type RhythmOptionsInput,
  type RhythmPreset,
  requiredSeries,
  rhythmOptions,
} from '../credit/rhythmOptions'
import { type CalibratedHeads, computeTraceRhythm, type TraceRhythm } from '../credit/traceRhythm'
import { forward } from '../model/decoder'
import type { LanguageModel } from '../model/languageModel'
import { tokenStatistics } from '../model/tokenStatistics'
import type { HeadSeries, Horizon } from '../rhythm/headSeries'
import { sentenceStarts } from '../rhythm/sentences'

/** Prompt + response as one sequence of ids. */
export interface TokenSequence {
  /** `[N]` */
  ids: readonly number[]
  /** Tokens of the prompt, at least one; the rest is the response, at least one. */
  promptLength: number
}

export interface TraceOptions {
  /** Parameters of the method; what is left out comes from the preset. */
  rhythm?: RhythmOptionsInput
  /** Default `v2`. */
  preset?: RhythmPreset
  /** Heads calibrated over other traces, instead of the trace's own. */
  calibrated?: CalibratedHeads
  /** Windows and horizons whose series are kept beside those that the options need. */
  windows?: readonly number[]
  horizons?: readonly Horizon[]
  /** Also keep maps of `Aloc` and `Aglob` (Eq. 8) of at most so many cells a side; a second pass over the layers of these heads. Default: none. */
  mapCells?: number
  /**
   * Also keep series with the attention sink left out, of the options' own windows and horizons, from the same pass. Default
   * false. Where the options leave the sink out anyway, there is one set.
   */
  withSinkExcluded?: boolean
  /** Keep attention between sentences, whether or not the options need it. Default false. */
  withSentences?: boolean
  signal?: AbortSignal
  onProgress?: (done: number, total: number, note?: string) => void
}

/** What one forward pass says about one response. */
export interface ResponseTrace {
  rhythm: TraceRhythm
  series: HeadSeries
  withoutSink?: HeadSeries
  /** Text of each token of prompt + response; the ids where the model has no tokenizer. */
  tokens: string[]
  maps: { local: AttentionMap; global: AttentionMap } | null
}

/**
 * The rhythm of one response: one teacher-forced forward pass over prompt + response with head statistics of all layers, entropy and
 * log-probabilities, then head groups, WAAD, FAI, peaks and credit (method of Sec. 4 and 5 of the paper).
 * Throws on sequences that the model cannot read, options out of range, and `Interrupted`.
 */
export async function traceResponse(
  model: LanguageModel,
  { ids, promptLength }: TokenSequence,
  options: TraceOptions = {},
): Promise<ResponseTrace> {
  const { signal, onProgress } = options
  const chosen = rhythmOptions(options.rhythm, options.preset)
  const tokens = tokenTexts(model, ids)
  const statistics = new HeadStatistics({ promptLengths: [promptLength], ...seriesToKeep(chosen, options, tokens) })
  const sinkless = options.withSinkExcluded && !chosen.excludeSink ? withoutSinkStatistics(chosen, promptLength) : null
  const observers = sinkless ? [statistics, sinkless] : [statistics]
  const states = await forward(model, [ids], { observers, exactMlp: true, signal, onProgress })
  try {
    const [{ entropy, logprob }] = (await tokenStatistics(model, states, [ids], [promptLength], { signal })) as [
      { entropy: Float32Array; logprob: Float32Array },
    ]
    const series = statistics.results()[0]!
    const rhythm = computeTraceRhythm({
      ids,
      promptLength,
      entropy,
      logprob,
      series,
      options: chosen,
      calibrated: options.calibrated,
    })
    const maps = options.mapCells ? await groupMaps(model, ids, rhythm, options.mapCells, signal) : null
    return {
      rhythm: { ...rhythm, model: model.name, tokens },
      series,
      ...(sinkless ? { withoutSink: sinkless.results()[0]! } : {}),
      tokens,
      maps,
    }
  } finally {
    states.dispose()
  }
}

/** Text of each token, such that the texts joined are the decoded text. */
export function tokenTexts(model: LanguageModel, ids: readonly number[]): string[] {
  return model.tokenizer ? model.tokenizer.pieces(ids) : ids.map(String)
}

/** Maps of the local and global heads of the trace's analysis block (Fig. 2 left). */
async function groupMaps(
  model: LanguageModel,
  ids: readonly number[],
  rhythm: TraceRhythm,
  cells: number,
  signal: AbortSignal | undefined,
): Promise<{ local: AttentionMap; global: AttentionMap }> {
  const observer = new AttentionPatterns({
    groups: { local: rhythm.analysis.localHeads, global: rhythm.analysis.globalHeads },
    cells,
  })
  const states = await forward(model, [ids], {
    observers: [observer],
    exactMlp: true,
    lastLayer: Math.max(...observer.layers),
    signal,
  })
  states.dispose()
  const { local, global } = observer.results()
  return { local: local!, global: global! }
}

function withoutSinkStatistics(chosen: RhythmOptions, promptLength: number): HeadStatistics {
  const { windows, horizons } = requiredSeries(chosen)
  return new HeadStatistics({ promptLengths: [promptLength], windows, horizons, excludeSink: true })
}

function seriesToKeep(chosen: RhythmOptions, options: TraceOptions, tokens: string[]) {
  const { windows = [], horizons = [], withSentences = false } = options
  const needed = requiredSeries(chosen)
  const allHorizons = new Map([...needed.horizons, ...horizons].map((horizon) => [horizon.join(), horizon]))
  return {
    windows: [...new Set([...needed.windows, ...windows])],
    horizons: [...allHorizons.values()],
    excludeSink: needed.excludeSink,
    ...(needed.sentences || withSentences ? { sentenceStarts: [sentenceStarts(tokens)] } : {}),
  }
}
