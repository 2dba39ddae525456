import { lessEqual, multiply, reshape, scalar, slice, softmax, sumOver, takeColumns } from '../engine/ops'
import { deviceReport, tf } from '../engine/tensorflow'
import type { RandomStream } from '../random/randomStream'

export interface SamplingOptions {
  /** 0 is greedy: always the likeliest token. Default 1. */
  temperature?: number
  /** Sample among the k likeliest tokens only. All by default. */
  topK?: number
  /** Sample among the likeliest tokens that together reach this probability (after top-k), at least one. Default 1: all. */
  topP?: number
}

/** Nucleus sampling looks at this many tokens first; it sorts the whole vocabulary only where they do not suffice. */
const FIRST_CANDIDATES = 512

/** Throws a RangeError that names the option, its value and what it takes. */
export function checkSampling({ temperature = 1, topK, topP = 1 }: SamplingOptions): void {
  if (!(temperature >= 0 && temperature < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`temperature ${temperature}; expected a number from 0 (greedy) up`)
  }
  if (topK !== undefined && !(Number.isInteger(topK) && topK > 0)) {
    throw new RangeError(`topK ${topK}; expected a whole number above 0`)
  }
  if (!(topP > 0 && topP <= 1)) throw new RangeError(`topP ${topP}; expected a number above 0 and up to 1`)
}

/**
 * One token for each row of `logits [rows, vocabulary]`, row i from `streams[i]` alone, so that a row's tokens do not depend on
 * its neighbours in the batch. Throws if a row's logits are not finite.
 */
export function sampleTokens(
  logits: tf.Tensor2D,
  streams: readonly RandomStream[],
  options: SamplingOptions,
): number[] {
  const [rows, vocabulary] = logits.shape
  const { temperature = 1, topP = 1 } = options
  const topK = Math.min(options.topK ?? vocabulary, vocabulary)
  if (temperature === 0) return likeliestTokens(logits)
  return tf.tidy(() => {
    const probabilities = tf.tidy(() => softmax(multiply(logits, scalar(1 / temperature)))) as tf.Tensor2D
    const kept = topK < vocabulary ? topK : topP < 1 ? Math.min(FIRST_CANDIDATES, vocabulary) : 0
    if (kept === 0) {
      const chances = streams.map((stream) => stream.uniform())
      return deviceReport().device === 'GPU' ? drawOnDevice(probabilities, chances) : drawHere(probabilities, chances)
    }
    const candidates = largest(probabilities, kept)
    return Array.from({ length: rows }, (_, row) => {
      const chance = streams[row]!.uniform()
      let { values, indices } = candidates(row)
      const total = topK < vocabulary ? sum(values) : 1
      if (topK === vocabulary && sum(values) < topP) {
        ;({ values, indices } = largest(tf.slice(probabilities, [row, 0], [1, vocabulary]), vocabulary)(0))
      }
      return indices[draw(nucleus(values, topP * total), null, chance)]!
    })
  })
}

/** The column of the largest number of each row of `logits [rows, vocabulary]`. Throws if a row's are not finite. */
export function likeliestTokens(logits: tf.Tensor2D): number[] {
  return tf.tidy(() => {
    const best = Array.from(tf.argMax(logits, 1).dataSync())
    const values = tf.max(logits, 1).dataSync()
    values.forEach(checkFinite)
    return best
  })
}

/** One column of each row of `probabilities [rows, vocabulary]`, in proportion to them: where its `chance`, from 0 to 1, falls. */
export function drawHere(probabilities: tf.Tensor2D, chances: readonly number[]): number[] {
  const vocabulary = probabilities.shape[1]
  const all = probabilities.dataSync() as Float32Array
  return chances.map((chance, row) => draw(all.subarray(row * vocabulary, (row + 1) * vocabulary), 1, chance))
}

/**
 * The same where the probabilities are: a GPU does not hand them over at each token. Columns are the same but where a chance falls within
 * rounding of the border between two. A row whose column has next to no probability is drawn by `drawHere`: sums that a GPU makes in parts need not
 * grow from column to column where there is next to nothing to add.
 */
export function drawOnDevice(probabilities: tf.Tensor2D, chances: readonly number[]): number[] {
  const [rows, vocabulary] = probabilities.shape
  const found = tf.tidy(() => {
    const reached = tf.cumsum(probabilities, 1)
    const total = slice(reached, [0, vocabulary - 1], [rows, 1])
    // Numbers are counted as float32: TensorFlow adds whole numbers on the CPU.
    const count = (of: () => tf.Tensor) => tf.tidy(() => sumOver(tf.cast(of(), 'float32'), 1))
    const columns = count(() => lessEqual(reached, multiply(total, tf.tensor2d([...chances], [rows, 1]))))
    // Where rounding leaves a chance beyond all, the last column that has a probability.
    const last = count(() => tf.less(reached, total))
    const drawn = tf.minimum(tf.minimum(columns, last), vocabulary - 1)
    const own = takeColumns(probabilities, tf.cast(reshape(drawn, [rows, 1]), 'int32'))
    return tf.stack([drawn, reshape(total, [rows]), reshape(own, [rows])]).dataSync()
  })
  return chances.map((chance, row) => {
    checkFinite(found[rows + row]!)
    if (found[2 * rows + row]! >= NEXT_TO_NOTHING) return found[row]!
    return tf.tidy(() => drawHere(slice(probabilities, [row, 0], [1, vocabulary]) as tf.Tensor2D, [chance])[0]!)
  })
}

/** Of the order of rounding. */
const NEXT_TO_NOTHING = 1e-6

/** The k largest numbers of each row with their columns, largest first. */
function largest(matrix: tf.Tensor2D, k: number): (row: number) => { values: Float32Array; indices: Int32Array } {
  const top = tf.topk(matrix, k)
  const values = top.values.dataSync() as Float32Array
  const indices = top.indices.dataSync() as Int32Array
  return (row) => ({
    values: values.subarray(row * k, (row + 1) * k),
    indices: indices.subarray(row * k, (row + 1) * k),
  })
}

/** The first numbers of a descending row that together reach `mass`. */
function nucleus(values: Float32Array, mass: number): Float32Array {
  let reached = 0
  for (let i = 0; i < values.length; i++) {
    reached += values[i]!
    if (reached >= mass) return values.subarray(0, i + 1)
  }
  return values
}

/** Index drawn in proportion to `weights`; `total` is their sum, computed if null. */
function draw(weights: Float32Array, total: number | null, chance: number): number {
  let left = chance * (total ?? sum(weights))
  checkFinite(left)
  let last = -1
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!
    if (weight > 0) {
      last = i
      left -= weight
      if (left < 0) return i
    }
  }
  // Rounding can leave a crumb beyond the last token; a row of NaN leaves no token at all.
  checkFinite(last < 0 ? Number.NaN : last)
  return last
}

const sum = (values: Float32Array) => values.reduce((total, value) => total + value, 0)

function checkFinite(value: number): void {
  if (!Number.isFinite(value)) throw new Error('the model gave logits that are not finite; are its weights damaged?')
}
