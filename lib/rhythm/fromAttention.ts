import type { HeadSeries, Horizon } from './headSeries'
import { InvalidArgument } from './invalidArgument'

/** Attention of one head: `[t][s]`, query position t over key positions `s <= t`; what lies beyond `s = t` is not read. */
export type AttentionMatrix = ArrayLike<ArrayLike<number>>

/**
 * The formulas of the method read straight off a full attention matrix, for small examples, for exploring, and as an
 * independent check of what the forward pass gathers block by block. All results are over the response.
 */

/** Look-back distance of each response token, `sum_s A[t,s] * (t - s)`, in tokens. Its mean is the head's span (Eq. 7). */
export function lookbackDistance(attention: AttentionMatrix, promptLength: number): number[] {
  return responseRows(attention, promptLength).map((t) => sumOver(0, t, (s) => attention[t]![s]! * (t - s)))
}

/** Windowed average attention distance, `sum_s A[t,s] * min(t - s, W)` (Def. 4.1, Eq. 9), in tokens. */
export function windowedDistance(attention: AttentionMatrix, promptLength: number, window: number): number[] {
  return responseRows(attention, promptLength).map((t) =>
    sumOver(0, t, (s) => attention[t]![s]! * Math.min(t - s, window)),
  )
}

/**
 * Future attention influence: mean of `A[t,s]` over the response rows t with `s + Hlo <= t <= s + Hhi` (Def. 4.2, Eq. 10),
 * 0 where there are none.
 */
export function futureInfluence(attention: AttentionMatrix, promptLength: number, [low, high]: Horizon): number[] {
  const last = attention.length - 1
  return responseRows(attention, promptLength).map((s) => {
    const to = high === null ? last : Math.min(last, s + high)
    return to < s + low ? 0 : sumOver(s + low, to, (t) => attention[t]![s]!) / (to - s - low + 1)
  })
}

/** Mean attention between sentences, `[S][S]` (query sentence, key sentence), over all pairs of positions, above the diagonal 0. */
export function sentenceAttention(attention: AttentionMatrix, starts: readonly number[]): number[][] {
  const ends = starts.map((_, i) => starts[i + 1] ?? attention.length)
  return starts.map((from, i) =>
    starts.map((keyFrom, j) => {
      if (j > i) return 0
      const keys = ends[j]! - keyFrom
      const sum = sumOver(from, ends[i]! - 1, (t) =>
        sumOver(keyFrom, Math.min(t, ends[j]! - 1), (s) => attention[t]![s]!),
      )
      return sum / ((ends[i]! - from) * keys)
    }),
  )
}

/**
 * The attention without its sink: key position 0 left out and each row divided by what remains. A row with nothing left
 * (position 0 itself, or all weight on the sink) becomes 0.
 */
export function withoutSink(attention: AttentionMatrix): number[][] {
  return Array.from(attention, (row, t) => {
    const rest = sumOver(1, t, (s) => row[s]!)
    return Array.from(row, (value, s) => (s === 0 || s > t || rest === 0 ? 0 : value / rest))
  })
}

export interface FromAttentionOptions {
  /** WAAD windows W in tokens. Default [10]. */
  windows?: readonly number[]
  /** FAI horizons. Default [0, null] and [10, 100]. */
  horizons?: readonly Horizon[]
  /** First token of each sentence of prompt + response, ascending from 0, for sentence receiver heads. */
  sentenceStarts?: readonly number[]
  /** Leave key position 0 out and renormalise rows first. Default false. */
  excludeSink?: boolean
  /** Number of left-padding positions before the sequence: rows and columns that are not read. Default 0. */
  padding?: number
  /** The model's layer number of each entry of `attention`. Default 0, 1, 2, … */
  layers?: readonly number[]
}

/**
 * Head series from full attention: the same record that a forward pass gathers, in 64 bits.
 * @param attention `[layer][head][t][s]`; rows are probabilities
 * @param promptLength tokens before the first response token, not counting padding
 */
export function rhythmFromAttention(
  attention: readonly (readonly AttentionMatrix[])[],
  promptLength: number,
  options: FromAttentionOptions = {},
): HeadSeries<Float64Array> {
  const { windows = [10], excludeSink = false, padding = 0, sentenceStarts } = options
  const horizons: readonly Horizon[] = options.horizons ?? [
    [0, null],
    [10, 100],
  ]
  const layers = options.layers ? [...options.layers] : attention.map((_, layer) => layer)
  const heads = attention[0]?.length ?? 0
  if (heads === 0 || layers.length !== attention.length || attention.some((layer) => layer.length !== heads))
    throw new InvalidArgument(
      `attention has ${attention.map((layer) => layer.length).join(', ') || 'no'} heads in its layers for layers ${layers.join(', ')}: expected one entry for each layer, all with the same number of heads`,
    )
  const length = attention[0]![0]!.length
  const matrices = attention.flat().map((matrix) => {
    if (matrix.length !== length)
      throw new InvalidArgument(`attention of ${matrix.length} rows beside one of ${length}: expected one sequence`)
    const unpadded = padding === 0 ? matrix : Array.from(matrix, (row) => Array.from(row).slice(padding)).slice(padding)
    return excludeSink ? withoutSink(unpadded) : unpadded
  })
  const responseLength = length - padding - promptLength
  if (sentenceStarts) checkStarts(sentenceStarts, length - padding)
  const collect = (of: (matrix: AttentionMatrix) => number[]) => Float64Array.from(matrices.flatMap(of))
  const lookback = collect((matrix) => lookbackDistance(matrix, promptLength))
  return {
    layers,
    heads,
    promptLength,
    responseLength,
    span: Float64Array.from(
      matrices,
      (_, row) => sumOver(row * responseLength, (row + 1) * responseLength - 1, (i) => lookback[i]!) / responseLength,
    ),
    lookback,
    waad: windows.map((window) => ({
      window,
      values: collect((matrix) => windowedDistance(matrix, promptLength, window)),
    })),
    fai: horizons.map((horizon) => ({
      horizon,
      values: collect((matrix) => futureInfluence(matrix, promptLength, horizon)),
    })),
    inbound: collect((matrix) => futureInfluence(matrix, promptLength, [1, null])),
    ...(sentenceStarts && {
      sentences: {
        starts: [...sentenceStarts],
        values: collect((matrix) => sentenceAttention(matrix, sentenceStarts).flat()),
      },
    }),
    ...(excludeSink && { sinkExcluded: true }),
  }
}

function responseRows(attention: AttentionMatrix, promptLength: number): number[] {
  if (!(Number.isInteger(promptLength) && promptLength >= 1 && promptLength < attention.length))
    throw new InvalidArgument(
      `invalid prompt length ${promptLength} for ${attention.length} tokens: expected at least one prompt and one response token`,
    )
  return Array.from({ length: attention.length - promptLength }, (_, i) => promptLength + i)
}

function checkStarts(starts: readonly number[], length: number): void {
  if (starts[0] !== 0 || starts.some((start, i) => i > 0 && start <= starts[i - 1]!) || starts.at(-1)! >= length)
    throw new InvalidArgument(
      `invalid sentence starts ${starts.join(', ')}: expected ascending positions from 0, below ${length}`,
    )
}

function sumOver(from: number, to: number, term: (i: number) => number): number {
  let sum = 0
  for (let i = from; i <= to; i++) sum += term(i)
  return sum
}
