import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { AttentionMap } from '../attention/patterns'
import type { RhythmOptions } from '../credit/rhythmOptions'
import type { TraceRhythm } from '../credit/traceRhythm'
import { parseTraceRhythm } from '../credit/traceSchema'
import { readSafetensors, writeSafetensors } from '../model/safetensors'
import { writeFileAtomically } from '../model/writeFileAtomically'
import type { HeadSeries, Horizon } from '../rhythm/headSeries'
import { headSeriesFromTensors, headSeriesToTensors, type NamedTensor } from '../rhythm/seriesTensors'
import type { ResponseTrace } from './traceResponse'

/** The two files of a trace: its record, and beside it the per-head series and maps. */
export const traceFiles = (folder: string, id: string) => ({
  record: path.join(folder, `${id}.json`),
  series: path.join(folder, `${id}.series.safetensors`),
})

/** A trace as its files hold it. */
export interface StoredTrace {
  rhythm: TraceRhythm
  series: HeadSeries
  /** The series with the attention sink left out, if they were kept. */
  withoutSink?: HeadSeries
  maps: { local?: AttentionMap; global?: AttentionMap }
}

/** Writes both files of a trace, each whole or not at all; the record last, so that it vouches for the series. */
export async function writeTrace(folder: string, id: string, trace: ResponseTrace): Promise<void> {
  const files = traceFiles(folder, id)
  const { tensors, metadata } = headSeriesToTensors(trace.series, trace.maps ?? {}, trace.withoutSink)
  await writeSafetensors(files.series, tensors, metadata)
  const record = new TextEncoder().encode(`${JSON.stringify({ id, ...trace.rhythm })}\n`)
  await writeFileAtomically(files.record, (write) => write(record))
}

/** Reads both files of a trace. Throws, naming the file, if one is missing, damaged, or belongs to another trace. */
export async function readTrace(folder: string, id: string): Promise<StoredTrace> {
  const files = traceFiles(folder, id)
  const rhythm = parseTraceRhythm(parseJson(await readFile(files.record, 'utf8'), files.record), files.record)
  const { tensors, metadata } = await readSafetensors(files.series)
  const stored = headSeriesFromTensors({ tensors: tensors as Record<string, NamedTensor>, metadata })
  const { series } = stored
  const length = rhythm.ids.length - rhythm.promptLength
  if (series.promptLength !== rhythm.promptLength || series.responseLength !== length) {
    throw new Error(
      `${files.series} is of ${series.promptLength} + ${series.responseLength} tokens, ${files.record} of ` +
        `${rhythm.promptLength} + ${length}: they belong to different traces; remove both and trace again`,
    )
  }
  return { rhythm, ...stored }
}

/** What a trace's files must hold to count as made. */
export interface TraceRequest {
  ids: readonly number[]
  promptLength: number
  model: string
  options: RhythmOptions
  windows: readonly number[]
  horizons: readonly Horizon[]
  mapCells: number
  withSinkExcluded?: boolean
  withSentences?: boolean
}

/** Why a trace has to be made (again); null if both its files are there, whole, and of the given request. */
export async function whyTrace(folder: string, id: string, request: TraceRequest): Promise<string | null> {
  const files = traceFiles(folder, id)
  if (!existsSync(files.record) || !existsSync(files.series)) return 'missing'
  let stored: StoredTrace
  try {
    stored = await readTrace(folder, id)
  } catch (error) {
    return `damaged: ${(error as Error).message}`
  }
  const { rhythm, series, withoutSink, maps } = stored
  if (rhythm.promptLength !== request.promptLength || rhythm.ids.join() !== request.ids.join())
    return 'made for other tokens'
  if (rhythm.model !== request.model) return `made with model ${rhythm.model}`
  if (JSON.stringify(rhythm.options) !== JSON.stringify(request.options)) return 'made with other options'
  const windows = new Set(series.waad.map((entry) => entry.window))
  const horizons = new Set(series.fai.map((entry) => entry.horizon.join()))
  const complete =
    request.windows.every((window) => windows.has(window)) &&
    request.horizons.every((horizon) => horizons.has(horizon.join())) &&
    (request.mapCells === 0 || (maps.local && maps.global)) &&
    (!request.withSinkExcluded || withoutSink) &&
    (!request.withSentences || series.sentences)
  return complete ? null : 'made with fewer series or maps'
}

function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`${source} is not JSON (${(error as Error).message}); remove it and trace again`, { cause: error })
  }
}
