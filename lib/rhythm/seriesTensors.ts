import type { AnyHeadSeries, HeadSeries, Horizon } from './headSeries'
import { horizonName } from './headSeries'
import { InvalidArgument } from './invalidArgument'

/** A float32 tensor as plain data. */
export interface NamedTensor {
  shape: number[]
  data: Float32Array
}

/** Mean attention of a head group as a picture: cell `[i, j]` is the mean over its `tokensPerCell²` positions. */
export interface GroupMap {
  size: number
  tokensPerCell: number
  /** `[size, size]` */
  values: Float32Array
}

/** Maps of `Aloc` and `Aglob` (Eq. 8), downsampled where the sequence is long. */
export interface GroupMaps {
  local?: GroupMap
  global?: GroupMap
}

/** What `<id>.series.safetensors` holds: tensors by name, and the file's string metadata. */
export interface SeriesTensors {
  tensors: Record<string, NamedTensor>
  metadata: Record<string, string>
}

const FORMAT = 'reasoning-rhythm/head-series/1'
/** Begins the names of the second set, without the attention sink. */
const WITHOUT_SINK = 'withoutSink.'

/**
 * Head series as named tensors. `n` = observed layers, `R` = response tokens:
 * `span` [n, heads]; `lookback`, `inbound`, `waad.W` (`waad.10`) and `fai.LOW-HIGH` (`fai.10-100`, `fai.0-end`)
 * [n, heads, R]; `sentences` [n, heads, S, S]; `maps.local` and `maps.global` [size, size]. Metadata: `format`, `layers`,
 * `promptLength`, `responseLength`, `sentenceStarts`, `sinkExcluded`, `maps.local.tokensPerCell`, … as JSON. 64-bit series
 * are rounded to 32 bits. Series of the same heads and tokens `withoutSink` have the same names after `withoutSink.`, except
 * sentences, which are kept once. Throws if they are of other heads or tokens.
 */
export function headSeriesToTensors(
  series: AnyHeadSeries,
  maps: GroupMaps = {},
  withoutSink?: AnyHeadSeries,
): SeriesTensors {
  const { tensors, metadata } = seriesToTensors(series)
  if (withoutSink) {
    const { layers, heads, promptLength, responseLength } = withoutSink
    const same = [layers.join(), heads, promptLength, responseLength].join('|')
    if (same !== [series.layers.join(), series.heads, series.promptLength, series.responseLength].join('|'))
      throw new InvalidArgument('the series without the sink are of other heads or tokens than those with it')
    const { sentences: _, ...rest } = seriesToTensors(withoutSink).tensors
    for (const [name, values] of Object.entries(rest)) tensors[`${WITHOUT_SINK}${name}`] = values
  }
  for (const [name, map] of Object.entries(maps) as [string, GroupMap | undefined][]) {
    if (!map) continue
    tensors[`maps.${name}`] = tensor([map.size, map.size], map.values)
    metadata[`maps.${name}.tokensPerCell`] = String(map.tokensPerCell)
  }
  return { tensors, metadata }
}

function seriesToTensors(series: AnyHeadSeries): SeriesTensors {
  const heads = [series.layers.length, series.heads]
  const perToken = [...heads, series.responseLength]
  const tensors: Record<string, NamedTensor> = {
    span: tensor(heads, series.span),
    lookback: tensor(perToken, series.lookback),
    inbound: tensor(perToken, series.inbound),
  }
  for (const { window, values } of series.waad) tensors[`waad.${window}`] = tensor(perToken, values)
  for (const { horizon, values } of series.fai) tensors[`fai.${horizonName(horizon)}`] = tensor(perToken, values)
  const metadata: Record<string, string> = {
    format: FORMAT,
    layers: JSON.stringify(series.layers),
    promptLength: String(series.promptLength),
    responseLength: String(series.responseLength),
  }
  if (series.sentences) {
    const count = series.sentences.starts.length
    tensors.sentences = tensor([...heads, count, count], series.sentences.values)
    metadata.sentenceStarts = JSON.stringify(series.sentences.starts)
  }
  if (series.sinkExcluded) metadata.sinkExcluded = 'true'
  return { tensors, metadata }
}

/** What such tensors hold. */
export interface StoredSeries {
  series: HeadSeries
  /** The same with the attention sink left out, if the file has them; `series` itself if it leaves the sink out. */
  withoutSink?: HeadSeries
  maps: GroupMaps
}

/**
 * The head series and maps of such tensors. Throws if a tensor is missing, has another shape than the metadata says, or
 * the metadata is not of this format.
 */
export function headSeriesFromTensors(content: SeriesTensors): StoredSeries {
  const series = seriesFromTensors(content)
  const stored: StoredSeries = { series, maps: mapsFromTensors(content) }
  if (series.sinkExcluded) stored.withoutSink = series
  const own = Object.entries(content.tensors).filter(([name]) => name.startsWith(WITHOUT_SINK))
  if (own.length > 0) {
    const tensors = Object.fromEntries(own.map(([name, values]) => [name.slice(WITHOUT_SINK.length), values]))
    const { sentenceStarts: _, ...metadata } = content.metadata
    stored.withoutSink = seriesFromTensors({ tensors, metadata: { ...metadata, sinkExcluded: 'true' } })
  }
  return stored
}

function seriesFromTensors({ tensors, metadata }: SeriesTensors): HeadSeries {
  if (metadata.format !== FORMAT)
    throw new InvalidArgument(
      `not a head-series file: its format is '${metadata.format ?? 'not given'}', expected '${FORMAT}'`,
    )
  const layers = wholeNumbers(metadata, 'layers')
  const promptLength = wholeNumber(metadata, 'promptLength')
  const responseLength = wholeNumber(metadata, 'responseLength')
  const heads = tensors.span?.shape[1]
  if (heads === undefined) throw new InvalidArgument("head-series file without tensor 'span' [layers, heads]")
  const perHead = [layers.length, heads]
  const perToken = [...perHead, responseLength]
  const read = (name: string, shape: number[]) => readTensor(tensors, name, shape)
  const named = (prefix: string) => Object.keys(tensors).filter((name) => name.startsWith(prefix))
  const series: HeadSeries = {
    layers,
    heads,
    promptLength,
    responseLength,
    span: read('span', perHead),
    lookback: read('lookback', perToken),
    waad: named('waad.').map((name) => ({ window: parseWindow(name), values: read(name, perToken) })),
    fai: named('fai.').map((name) => ({ horizon: parseHorizon(name), values: read(name, perToken) })),
    inbound: read('inbound', perToken),
  }
  if (metadata.sentenceStarts !== undefined) {
    const starts = wholeNumbers(metadata, 'sentenceStarts')
    series.sentences = { starts, values: read('sentences', [...perHead, starts.length, starts.length]) }
  }
  if (metadata.sinkExcluded === 'true') series.sinkExcluded = true
  return series
}

function mapsFromTensors({ tensors, metadata }: SeriesTensors): GroupMaps {
  const maps: GroupMaps = {}
  for (const name of ['local', 'global'] as const) {
    const size = tensors[`maps.${name}`]?.shape[0]
    if (size === undefined) continue
    const tokensPerCell = wholeNumber(metadata, `maps.${name}.tokensPerCell`)
    maps[name] = { size, tokensPerCell, values: readTensor(tensors, `maps.${name}`, [size, size]) }
  }
  return maps
}

function readTensor(tensors: Record<string, NamedTensor>, name: string, shape: number[]): Float32Array {
  const found = tensors[name]
  if (!found) throw new InvalidArgument(`head-series file without tensor '${name}'`)
  const size = shape.reduce((product, n) => product * n, 1)
  if (String(found.shape) !== String(shape) || found.data.length !== size)
    throw new InvalidArgument(
      `tensor '${name}' has shape [${found.shape}] and ${found.data.length} values, expected [${shape}]`,
    )
  return found.data
}

function tensor(shape: number[], values: Float32Array | Float64Array): NamedTensor {
  return { shape, data: values instanceof Float32Array ? values : Float32Array.from(values) }
}

function parseWindow(name: string): number {
  const window = Number(name.slice('waad.'.length))
  if (!Number.isFinite(window)) throw new InvalidArgument(`tensor '${name}' names no window: expected 'waad.10'`)
  return window
}

function parseHorizon(name: string): Horizon {
  const match = /^fai\.(\d+)-(\d+|end)$/.exec(name)
  if (!match) throw new InvalidArgument(`tensor '${name}' names no horizon: expected 'fai.10-100' or 'fai.0-end'`)
  return [Number(match[1]), match[2] === 'end' ? null : Number(match[2])]
}

function wholeNumber(metadata: Record<string, string>, key: string): number {
  const value = Number(metadata[key] ?? Number.NaN)
  if (!(Number.isSafeInteger(value) && value >= 0))
    throw new InvalidArgument(`head-series metadata '${key}' is '${metadata[key]}', expected a whole number`)
  return value
}

function wholeNumbers(metadata: Record<string, string>, key: string): number[] {
  let value: unknown
  try {
    value = JSON.parse(metadata[key] ?? '')
  } catch {
    value = null
  }
  if (!Array.isArray(value) || value.some((n) => !Number.isSafeInteger(n) || n < 0))
    throw new InvalidArgument(`head-series metadata '${key}' is '${metadata[key]}', expected a list of whole numbers`)
  return value as number[]
}
