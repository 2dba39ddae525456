import { add, batchMatMul, diagonals, matMul, multiply, pad, reshape, slice, subtract, sumOver } from '../engine/ops'
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
  /** Keep every token's look-back distance. Default true; false keeps their means over the response (spans) alone. */
  lookback?: boolean
  /** Keep inbound attention, which receiver heads are chosen by. Default true; false saves a pass over the attention. */
  inbound?: boolean
  /** Leave key position 0 (the attention sink) out and renormalise rows. Default false. */
  excludeSink?: boolean
  /** First token of each sentence of prompt + response, for each sequence: keeps attention between sentences as well. */
  sentenceStarts?: readonly (readonly number[])[]
}

/** Series of one sequence, while they grow; `[observed layers * heads, R]` unless said otherwise. */
interface Sums {
  prompt: number
  response: number
  /** Sum of the look-back distances so far, `[observed layers * heads]`; used where they are not kept. */
  span: Float64Array
  lookback: Float32Array
  waad: Float32Array[]
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
      const once = () => new Float32Array(series * response)
      const sentences = sentenceStarts?.[b]?.length
      return {
        prompt,
        response,
        span: new Float64Array(series),
        lookback: this.options.lookback === false ? new Float32Array(0) : once(),
        waad: this.windows.map(once),
        fai: this.horizons.map(perToken),
        inbound: this.options.inbound === false ? new Float64Array(0) : perToken(),
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
    const rowWeights = this.rowWeights(start, rows)
    const firstKey = Math.min(...this.sums.map(({ prompt }) => prompt))
    const open: [low: number, target: (sums: Sums) => Float64Array][] = []
    for (const [i, [low, high]] of this.horizons.entries()) {
      const target = (s: Sums) => s.fai[i]!
      // An upper bound beyond all distances of this block is none.
      if (high === null || start + rows - 1 - firstKey <= high) open.push([low, target])
      else this.addWithin(attention, rowWeights, start, first, firstKey, low, high, target)
    }
    if (this.options.inbound !== false) open.push([1, (s) => s.inbound])
    // Short distances, one diagonal each: those that a window weighs or some horizon leaves out.
    const windowed = Math.min(Math.max(0, ...this.windows), keys)
    const leftOut = Math.min(Math.max(0, ...open.map(([low]) => low)), keys)
    const near = Math.max(1, windowed, leftOut)
    const nearest = diagonals(attention, start, near)
    const rowSums = this.options.excludeSink ? this.timesKeys(attention, start, 'ones', () => 1) : null
    this.addRows(attention, nearest, rowSums, start, first)
    const spansOnly = this.options.lookback === false
    if (open.length === 0 && !spansOnly) return
    const total = batchMatMul(rowWeights, attention).dataSync() as Float32Array
    if (spansOnly) this.addSpans(total, rowSums, rows, start, first)
    for (const [, target] of open) this.addToKeys(total, first, target)
    if (leftOut === 0) return
    const lows = open.map(([low]) => Math.min(low, leftOut))
    const some = leftOut === near ? nearest : slice(nearest, [0, 0, 0], [batch * heads, leftOut, rows])
    // Rows of a prompt give nothing to keys of the response; those after its end do.
    const padded = this.sums.some(({ prompt, response }) => start + rows > prompt + response)
    const tooNear = this.toNearKeys(padded ? multiply(some, rowWeights) : some, lows).dataSync() as Float32Array
    for (const [i, [, target]] of open.entries())
      this.addToKeys(tooNear, first, target, { offset: start - leftOut, part: i, parts: open.length, sign: -1 })
  }

  end(): void {
    for (const tensor of this.constants.values()) tensor.dispose()
    this.constants.clear()
  }

  /** One record per sequence, after the forward pass. */
  results(): HeadSeries[] {
    const series = this.observed.length * this.heads
    return this.sums.map((sums, b) => {
      const { prompt, response } = sums
      const mean = (received: Float64Array, [low, high]: Horizon) => {
        const means = new Float32Array(received.length)
        for (let token = 0; token < response; token++) {
          const to = high === null ? response - 1 : Math.min(response - 1, token + high)
          const count = to - token - low + 1
          if (count > 0) for (let i = token; i < means.length; i += response) means[i] = received[i]! / count
        }
        return means
      }
      const span = new Float32Array(series)
      for (let i = 0; i < series; i++) {
        let sum = sums.span[i]!
        if (this.options.lookback !== false)
          for (let at = i * response; at < (i + 1) * response; at++) sum += sums.lookback[at]!
        span[i] = sum / response
      }
      const starts = this.options.sentenceStarts?.[b]
      return {
        layers: [...this.observed],
        heads: this.heads,
        promptLength: prompt,
        responseLength: response,
        span,
        lookback: sums.lookback,
        waad: this.windows.map((window, i) => ({ window, values: sums.waad[i]! })),
        fai: this.horizons.map((horizon, i) => ({ horizon, values: mean(sums.fai[i]!, horizon) })),
        inbound: mean(sums.inbound, [1, null]),
        ...(starts && sums.sentences
          ? { sentences: { starts: [...starts], values: new Float32Array(sums.sentences) } }
          : {}),
        ...(this.options.excludeSink ? { sinkExcluded: true } : {}),
      }
    })
  }

  /** 1 for each row inside its sequence's response, else 0: `[series, 1, rows]`. */
  private rowWeights(start: number, rows: number): tf.Tensor {
    return this.constant(`rows ${start} ${rows}`, () => {
      const weights = new Float32Array(this.sums.length * this.heads * rows)
      for (let i = 0; i < this.sums.length * this.heads; i++) {
        const [from, to] = responseRows(this.sums[Math.floor(i / this.heads)]!, start, rows)
        weights.fill(1, i * rows + from, i * rows + to)
      }
      return tf.tensor3d(weights, [this.sums.length * this.heads, 1, rows])
    })
  }

  /** `sum_s A[t,s] · value(s)`, `[series, 1, rows]`. */
  private timesKeys(attention: tf.Tensor, start: number, name: string, value: (s: number) => number): tf.Tensor {
    const [series, rows, keys] = attention.shape as [number, number, number]
    const column = this.constant(`${name} ${start} ${keys}`, () =>
      tf.tensor2d(
        Float32Array.from({ length: keys }, (_, s) => value(s)),
        [keys, 1],
      ),
    )
    return reshape(matMul(reshape(attention, [series * rows, keys]), column), [series, 1, rows])
  }

  /**
   * What each row gives: its look-back distance `sum_s A[t,s] · (t - s)`, with distances from the block's start, for absolute
   * positions would lose precision on a GPU; and `sum_s A[t,s] · min(t - s, W)`, which is W times the row's sum (1, or 0 where
   * leaving out the sink left nothing) less what the nearest W keys fall short of W.
   */
  private addRows(
    attention: tf.Tensor,
    nearest: tf.Tensor,
    rowSums: tf.Tensor | null,
    start: number,
    first: number,
  ): void {
    const rows = attention.shape[1]!
    const timesRowSums = (values: tf.Tensor) => (rowSums === null ? values : multiply(values, rowSums))
    if (this.options.lookback !== false) {
      const rowNumbers = this.constant(`numbers ${rows}`, () => tf.range(0, rows))
      const fromStart = this.timesKeys(attention, start, 'distances', (s) => start - s)
      this.setRows(add(fromStart, timesRowSums(rowNumbers)), start, first, (sums) => [sums.lookback])
    }
    if (this.windows.length === 0) return
    const near = nearest.shape[1]!
    const shortOf = this.constant(`windows ${near}`, () =>
      tf.tensor3d(
        this.windows.flatMap((window) => Array.from({ length: near }, (_, distance) => Math.max(0, window - distance))),
        [1, this.windows.length, near],
      ),
    )
    const windows = this.constant('windows', () => tf.tensor3d([...this.windows], [1, this.windows.length, 1]))
    const waad = subtract(timesRowSums(windows), batchMatMul(shortOf, nearest))
    this.setRows(waad, start, first, (sums) => sums.waad)
  }

  /**
   * Adds the look-back distances of this block's rows of responses: what rows are away from the block's start, less what the keys
   * are, weighted by `total [series, keys]`, all that they receive. A pass over the attention less than with a distance for each row.
   */
  private addSpans(total: Float32Array, rowSums: tf.Tensor | null, rows: number, start: number, first: number): void {
    const sumOfRow = rowSums === null ? null : (rowSums.dataSync() as Float32Array)
    const series = this.sums.length * this.heads
    const keys = total.length / series
    for (let i = 0; i < series; i++) {
      const sums = this.sums[Math.floor(i / this.heads)]!
      const [from, to] = responseRows(sums, start, rows)
      let sum = 0
      for (let row = from; row < to; row++) sum += row * (sumOfRow === null ? 1 : sumOfRow[i * rows + row]!)
      for (let key = 0; key < keys; key++) sum -= (key - start) * total[i * keys + key]!
      sums.span[first + (i % this.heads)]! += sum
    }
  }

  /** Writes `values [series, parts, rows]` of the response's rows to as many series of each sequence. */
  private setRows(values: tf.Tensor, start: number, first: number, targets: (sums: Sums) => Float32Array[]): void {
    const [series, parts, rows] = values.shape as [number, number, number]
    const read = values.dataSync() as Float32Array
    for (let i = 0; i < series; i++) {
      const sums = this.sums[Math.floor(i / this.heads)]!
      const [from, to] = responseRows(sums, start, rows)
      if (from === to) continue
      const base = (first + (i % this.heads)) * sums.response + start - sums.prompt
      for (const [part, into] of targets(sums).entries()) {
        const at = (i * parts + part) * rows
        into.set(read.subarray(at + from, at + to), base + from)
      }
    }
  }

  /**
   * What keys receive from rows fewer than `low` tokens later, for each of `lows`: `[series, lows, distances + rows + 1]`; column 0
   * is the key `distances` before the block's first row. From `nearest [series, distances, rows]`, whose row d has to go d columns
   * to the left for its columns to be keys: read with lines one number longer than they were written with, each does.
   */
  private toNearKeys(nearest: tf.Tensor, lows: readonly number[]): tf.Tensor {
    const [series, distances, rows] = nearest.shape as [number, number, number]
    const width = distances + rows
    const wider = pad(nearest, [
      [0, 0],
      [0, 0],
      [distances, 0],
    ])
    const lines = pad(reshape(wider, [series, distances * width]), [
      [0, 0],
      [0, distances],
    ])
    const weights = this.constant(`nearer than ${lows}`, () =>
      tf.tensor3d(
        lows.flatMap((low) => Array.from({ length: distances }, (_, distance) => (distance < low ? 1 : 0))),
        [1, lows.length, distances],
      ),
    )
    return batchMatMul(weights, reshape(lines, [series, distances, width + 1]))
  }

  /** Adds what each key from `firstKey` on receives from this block's rows t with `s + low <= t <= s + high`. */
  private addWithin(
    attention: tf.Tensor,
    rowWeights: tf.Tensor,
    start: number,
    first: number,
    firstKey: number,
    low: number,
    high: number,
    target: (sums: Sums) => Float64Array,
  ): void {
    const [, rows, keys] = attention.shape as [number, number, number]
    const from = Math.max(firstKey, start - high)
    const to = keys - low
    if (to <= from) return
    const within = this.constant(`horizon ${low} ${high} ${rows} ${start - from} ${to - from}`, () =>
      band(rows, to - from, (row, column) => {
        const distance = start + row - from - column
        return distance >= low && distance <= high ? 1 : 0
      }),
    )
    const some = batchMatMul(rowWeights, multiply(columns(attention, from, to), within)).dataSync() as Float32Array
    this.addToKeys(some, first, target, { offset: from })
  }

  /** Adds one of the `parts` of `sums [series, parts, width]`, times `sign`, to the response positions; its column 0 is position `offset`. */
  private addToKeys(
    sums: Float32Array,
    first: number,
    target: (sums: Sums) => Float64Array,
    { offset = 0, part = 0, parts = 1, sign = 1 } = {},
  ): void {
    const series = this.sums.length * this.heads
    const width = sums.length / series / parts
    for (let i = 0; i < series; i++) {
      const sequence = this.sums[Math.floor(i / this.heads)]!
      const into = target(sequence)
      const base = (first + (i % this.heads)) * sequence.response - sequence.prompt + offset
      const at = (i * parts + part) * width
      const begin = Math.max(0, sequence.prompt - offset)
      const finish = Math.min(width, sequence.prompt + sequence.response - offset)
      for (let column = begin; column < finish; column++) into[base + column]! += sign * sums[at + column]!
    }
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

/** Rows `[from, to)` of the block's that belong to a sequence's response; none: `from` is `to`. */
function responseRows({ prompt, response }: Sums, start: number, rows: number): [from: number, to: number] {
  const within = (row: number) => Math.min(rows, Math.max(0, row - start))
  return [within(prompt), within(prompt + response)]
}

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
