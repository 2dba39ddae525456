import { batchMatMul, matMul, multiply, reshape, slice, sumOver } from '../engine/ops'
import { execute, tf } from '../engine/tensorflow'
import type { AttentionBlock, AttentionObserver, ForwardShape } from '../model/observer'
import type { HeadSeries, Horizon } from '../rhythm/headSeries'

export interface HeadStatisticsOptions {
  /** Prompt tokens of each sequence of the batch; the response is the rest, at least one token. */
  promptLengths: readonly number[]
  /** Layers to observe; all by default. */
  layers?: readonly number[]
  /** WAAD windows W in tokens (Eq. 9). Default [10]. */
  windows?: readonly number[]
  /** FAI horizons in tokens (Eq. 10). Default [0, null] and [10, 100]. */
  horizons?: readonly Horizon[]
  /** Leave key position 0 (the attention sink) out and renormalise rows. Default false. */
  excludeSink?: boolean
  /** First token of each sentence of prompt + response, for each sequence: keeps attention between sentences as well. */
  sentenceStarts?: readonly (readonly number[])[]
}

/** Sums of one sequence, while they grow; `[observed layers * heads, R]` unless said otherwise. */
interface Sums {
  prompt: number
  response: number
  lookback: Float64Array
  waad: Float64Array[]
  fai: Float64Array[]
  inbound: Float64Array
  /** `[observed layers * heads, S, S]` */
  sentences: Float64Array | null
}

/**
 * An observer that keeps, of every head, what the rhythm needs and no pattern: look-back distances, WAAD and FAI series,
 * inbound attention. All are linear in attention, so any head group is a mean over heads later (method of Eq. 7-10).
 * Memory is O(layers · heads · tokens). One observer serves one forward pass; `results()` gives one `HeadSeries` per sequence.
 */
export class HeadStatistics implements AttentionObserver {
  readonly layers: readonly number[] | undefined
  private readonly windows: readonly number[]
  private readonly horizons: readonly Horizon[]
  private observed: number[] = []
  private heads = 0
  private sums: Sums[] = []
  private readonly constants = new Map<string, tf.Tensor>()

  /** Throws a RangeError on windows, horizons or prompt lengths that make no sense. */
  constructor(private readonly options: HeadStatisticsOptions) {
    this.layers = options.layers
    this.windows = options.windows ?? [10]
    this.horizons = options.horizons ?? [
      [0, null],
      [10, 100],
    ]
    for (const window of this.windows) {
      if (!(Number.isInteger(window) && window > 0)) {
        throw new RangeError(`head statistics: window ${window}; expected a whole number of tokens above 0`)
      }
    }
    for (const [low, high] of this.horizons) {
      const sensible = Number.isInteger(low) && low >= 0 && (high === null || (Number.isInteger(high) && high >= low))
      if (!sensible)
        throw new RangeError(
          `head statistics: horizon [${low}, ${high}]; expected 0 <= Hlo <= Hhi, or null for the end`,
        )
    }
  }

  begin({ layers, heads, lengths }: ForwardShape): void {
    const { promptLengths, sentenceStarts } = this.options
    if (promptLengths.length !== lengths.length) {
      throw new RangeError(
        `head statistics: ${promptLengths.length} prompt lengths for ${lengths.length} sequences; give one each`,
      )
    }
    this.observed = [...(this.layers ?? Array.from({ length: layers }, (_, i) => i))].sort((a, b) => a - b)
    for (const layer of this.observed) {
      if (!(Number.isInteger(layer) && layer >= 0 && layer < layers)) {
        throw new RangeError(`head statistics: layer ${layer}; the model has layers 0 to ${layers - 1}`)
      }
    }
    this.heads = heads
    const series = this.observed.length * heads
    this.sums = lengths.map((length, b) => {
      const prompt = promptLengths[b]!
      if (!(Number.isInteger(prompt) && prompt >= 1 && prompt < length)) {
        throw new RangeError(
          `head statistics: sequence ${b} has ${length} tokens and a prompt of ${prompt}; both prompt and response need at least one token`,
        )
      }
      const response = length - prompt
      const perToken = () => new Float64Array(series * response)
      const sentences = sentenceStarts?.[b]?.length
      return {
        prompt,
        response,
        lookback: perToken(),
        waad: this.windows.map(perToken),
        fai: this.horizons.map(perToken),
        inbound: perToken(),
        sentences: sentences === undefined ? null : new Float64Array(series * sentences * sentences),
      }
    })
  }

  wants(_rowStart: number, rowEnd: number): boolean {
    return this.options.sentenceStarts !== undefined || this.sums.some(({ prompt }) => rowEnd > prompt)
  }

  observe(block: AttentionBlock): void {
    const [batch, heads, rows, keys] = block.attention.shape
    const start = block.rowStart
    const first = this.observed.indexOf(block.layer) * heads
    let attention: tf.Tensor = reshape(block.attention, [batch * heads, rows, keys])
    if (this.options.excludeSink) attention = this.withoutSink(attention)
    if (this.options.sentenceStarts) this.addSentences(block, attention, first)

    // Rows outside a response add nothing to any sum over rows; what they give per row is not read.
    const inResponse = ({ prompt, response }: Sums, row: number) =>
      start + row >= prompt && start + row < prompt + response
    const partial = this.sums.some((s) => !inResponse(s, 0) || !inResponse(s, rows - 1))
    if (partial) {
      const weights = new Float32Array(batch * heads * rows)
      for (let i = 0; i < weights.length; i++) {
        weights[i] = inResponse(this.sums[Math.floor(i / (heads * rows))]!, i % rows) ? 1 : 0
      }
      attention = multiply(attention, tf.tensor3d(weights, [batch * heads, rows, 1]))
    }
    const rowSums = this.addLookback(attention, start, first)
    for (const [i, window] of this.windows.entries()) this.addWindow(attention, rowSums, start, first, i, window)
    const total = this.columnSums(attention)
    for (const [i, horizon] of this.horizons.entries()) {
      this.addReceived(attention, total, start, first, horizon, (s) => s.fai[i]!)
    }
    this.addReceived(attention, total, start, first, [1, null], (s) => s.inbound)
  }

  end(): void {
    for (const tensor of this.constants.values()) tensor.dispose()
    this.constants.clear()
  }

  /** One record per sequence, after the forward pass. */
  results(): HeadSeries[] {
    const perSeries = <T>(response: number, use: (at: number, i: number) => T): T[] =>
      Array.from({ length: this.observed.length * this.heads }, (_, i) => use(i * response, i))
    return this.sums.map((sums, b) => {
      const { prompt, response } = sums
      const mean = (received: Float64Array, [low, high]: Horizon) =>
        Float32Array.from(received, (sum, i) => {
          const from = (i % response) + low
          const to = high === null ? response - 1 : Math.min(response - 1, (i % response) + high)
          return to < from ? 0 : sum / (to - from + 1)
        })
      const starts = this.options.sentenceStarts?.[b]
      return {
        layers: [...this.observed],
        heads: this.heads,
        promptLength: prompt,
        responseLength: response,
        span: Float32Array.from(
          perSeries(
            response,
            (at) => sums.lookback.subarray(at, at + response).reduce((sum, x) => sum + x, 0) / response,
          ),
        ),
        lookback: Float32Array.from(sums.lookback),
        waad: this.windows.map((window, i) => ({ window, values: Float32Array.from(sums.waad[i]!) })),
        fai: this.horizons.map((horizon, i) => ({ horizon, values: mean(sums.fai[i]!, horizon) })),
        inbound: mean(sums.inbound, [1, null]),
        ...(starts && sums.sentences
          ? { sentences: { starts: [...starts], values: Float32Array.from(sums.sentences) } }
          : {}),
        ...(this.options.excludeSink ? { sinkExcluded: true } : {}),
      }
    })
  }

  /**
   * `sum_s A[t,s] · (t - s)`, with distances from the block's start: absolute positions would lose precision on a GPU.
   * Returns the sum of each row: 1, or 0 where leaving out the sink left nothing.
   */
  private addLookback(attention: tf.Tensor, start: number, first: number): Float32Array {
    const [series, rows, keys] = attention.shape as [number, number, number]
    const distances = this.constant(`distances ${start} ${keys}`, () => {
      const values = new Float32Array(keys * 2)
      for (let s = 0; s < keys; s++) values.set([start - s, 1], s * 2)
      return tf.tensor2d(values, [keys, 2])
    })
    const sums = matMul(reshape(attention, [series * rows, keys]), distances).dataSync()
    this.eachResponseRow(series, rows, start, first, (sequence, at, i, row) => {
      sequence.lookback[at] = sums[i * 2]! + row * sums[i * 2 + 1]!
    })
    const ofRows = new Float32Array(series * rows)
    for (let i = 0; i < ofRows.length; i++) ofRows[i] = sums[i * 2 + 1]!
    return ofRows
  }

  /** `sum_s A[t,s] · min(t - s, W)`: W times the row's sum, less what the nearest W keys fall short of W. */
  private addWindow(
    attention: tf.Tensor,
    rowSums: Float32Array,
    start: number,
    first: number,
    index: number,
    window: number,
  ): void {
    const [series, rows, keys] = attention.shape as [number, number, number]
    const from = Math.max(0, start - window + 1)
    const shortfall = this.constant(`window ${window} ${rows} ${start - from}`, () =>
      band(rows, keys - from, (row, column) => Math.max(0, window - (start + row - from - column))),
    )
    const sums = sumOver(multiply(columns(attention, from, keys), shortfall), 2).dataSync()
    this.eachResponseRow(series, rows, start, first, (sequence, at, i) => {
      sequence.waad[index]![at] = window * rowSums[i]! - sums[i]!
    })
  }

  /** Adds what each key receives from this block's rows t with `s + Hlo <= t <= s + Hhi`. */
  private addReceived(
    attention: tf.Tensor,
    total: Float32Array,
    start: number,
    first: number,
    [low, high]: Horizon,
    target: (sums: Sums) => Float64Array,
  ): void {
    const [series, rows, keys] = attention.shape as [number, number, number]
    // Keys up to start - low are seen by every row of the block that is at least `low` away; nearer ones by some rows.
    const allRows = high === null ? Math.max(0, start - low + 1) : 0
    if (allRows > 0) this.addToKeys(total, series, keys, 0, allRows, first, target)
    const from = high === null ? allRows : Math.max(0, start - high)
    const to = keys - low
    if (to <= from) return
    if (low === 0 && high === null) {
      this.addToKeys(total, series, keys, from, to, first, target)
      return
    }
    const within = this.constant(`horizon ${low} ${high} ${rows} ${start - from} ${to - from}`, () =>
      band(rows, to - from, (row, column) => {
        const distance = start + row - from - column
        return distance >= low && (high === null || distance <= high) ? 1 : 0
      }),
    )
    const some = sumOver(multiply(columns(attention, from, to), within), 1).dataSync() as Float32Array
    this.addToKeys(some, series, to - from, 0, to - from, first, target, from)
  }

  /** Adds columns `[from, to)` of `sums [series, width]` to the response positions among them; column 0 is position `offset`. */
  private addToKeys(
    sums: Float32Array,
    series: number,
    width: number,
    from: number,
    to: number,
    first: number,
    target: (sums: Sums) => Float64Array,
    offset = 0,
  ): void {
    for (let i = 0; i < series; i++) {
      const sequence = this.sums[Math.floor(i / this.heads)]!
      const into = target(sequence)
      const base = (first + (i % this.heads)) * sequence.response - sequence.prompt + offset
      const begin = Math.max(from, sequence.prompt - offset)
      const finish = Math.min(to, sequence.prompt + sequence.response - offset)
      for (let column = begin; column < finish; column++) into[base + column]! += sums[i * width + column]!
    }
  }

  private columnSums(attention: tf.Tensor): Float32Array {
    const [series, rows] = attention.shape as [number, number, number]
    const ones = this.constant(`ones ${series} ${rows}`, () => tf.ones([series, 1, rows]))
    return batchMatMul(ones, attention).dataSync() as Float32Array
  }

  private withoutSink(attention: tf.Tensor): tf.Tensor {
    const keys = attention.shape[2]!
    const others = this.constant(`others ${keys}`, () =>
      tf.tensor1d(Float32Array.from({ length: keys }, (_, s) => (s === 0 ? 0 : 1))),
    )
    const rest = multiply(attention, others)
    return execute('DivNoNan', [rest, tf.expandDims(sumOver(rest, 2), 2)])
  }

  /** Mean attention from each sentence to each, summed over the blocks that hold the querying sentence. */
  private addSentences(block: AttentionBlock, attention: tf.Tensor, first: number): void {
    const [batch, heads, rows, keys] = block.attention.shape
    const starts = this.options.sentenceStarts!
    for (let b = 0; b < batch; b++) {
      const own = starts[b]
      const into = this.sums[b]!.sentences
      if (!own || !into) continue
      const count = own.length
      const length = block.lengths[b]!
      // [S, positions]: 1 / tokens of the sentence at its positions.
      const membership = (from: number, size: number) => {
        const values = new Float32Array(count * size)
        for (const [sentence, begin] of own.entries()) {
          const finish = own[sentence + 1] ?? length
          const a = Math.max(begin, from)
          const z = Math.min(finish, from + size)
          if (a < z) values.fill(1 / (finish - begin), sentence * size + a - from, sentence * size + z - from)
        }
        return tf.tensor2d(values, [count, size])
      }
      const own3d = tf.slice(attention, [b * heads, 0, 0], [heads, rows, keys])
      const byQuery = batchMatMul(tf.tile(tf.expandDims(membership(block.rowStart, rows), 0), [heads, 1, 1]), own3d)
      const sums = matMul(reshape(byQuery, [heads * count, keys]), membership(0, keys), true).dataSync()
      const base = first * count * count
      for (let i = 0; i < sums.length; i++) into[base + i]! += sums[i]!
    }
  }

  /** Calls `use` for each response row of the block: the sequence, its index there, its index in `[series, rows]`, its row. */
  private eachResponseRow(
    series: number,
    rows: number,
    start: number,
    first: number,
    use: (sequence: Sums, at: number, i: number, row: number) => void,
  ): void {
    for (let i = 0; i < series; i++) {
      const sequence = this.sums[Math.floor(i / this.heads)]!
      const base = (first + (i % this.heads)) * sequence.response + start - sequence.prompt
      const from = Math.max(0, sequence.prompt - start)
      const to = Math.min(rows, sequence.prompt + sequence.response - start)
      for (let row = from; row < to; row++) use(sequence, base + row, i * rows + row, row)
    }
  }

  private constant(key: string, make: () => tf.Tensor): tf.Tensor {
    let held = this.constants.get(key)
    if (!held) {
      held = tf.keep(make())
      this.constants.set(key, held)
    }
    return held
  }
}

/** An observer that keeps the head statistics of one forward pass; see `HeadStatistics`. */
export const headStatistics = (options: HeadStatisticsOptions): HeadStatistics => new HeadStatistics(options)

/** Columns `[from, to)` of `[series, rows, keys]`. */
function columns(attention: tf.Tensor, from: number, to: number): tf.Tensor {
  const [series, rows, keys] = attention.shape as [number, number, number]
  return from === 0 && to === keys ? attention : slice(attention, [0, 0, from], [series, rows, to - from])
}

function band(rows: number, width: number, weight: (row: number, column: number) => number): tf.Tensor2D {
  const values = new Float32Array(rows * width)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < width; column++) values[row * width + column] = weight(row, column)
  }
  return tf.tensor2d(values, [rows, width])
}
