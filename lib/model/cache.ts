import {
  add,
  batchMatMul,
  indexBits,
  indexTensor,
  lessEqual,
  matMul,
  reshape,
  scalar,
  select,
  softmax,
  take,
  writeRows,
} from '../engine/ops'
import { tf } from '../engine/tensorflow'
import type { ModelConfig } from './config'

/** Room is added this many tokens at a time; a cache is copied only then, never at each step. */
const GROWTH = 128

interface LayerCache {
  /** `[batch · K · capacity, headDim]`: what a step writes to. */
  rows: tf.Tensor
  /** `[batch · K, capacity, headDim]`: the same memory, as attention reads it. */
  blocks: tf.Tensor
}

/**
 * Keys and values of the tokens that a decoder has read, for a batch of sequences of different lengths. A step writes
 * its row in place. `K` = key-value heads. The owner calls `dispose`.
 */
export class KeyValueCache {
  /** Tokens held of each sequence. */
  lengths: Int32Array
  private capacity: number
  private keys: LayerCache[] = []
  private values: LayerCache[] = []
  /** 0, 1, … of the capacity, `[1, 1, capacity]`. */
  private places: tf.Tensor | null = null

  /** Bytes of a cache that has room for `tokens` tokens of each of `batch` sequences. */
  static bytes({ numHiddenLayers, numKeyValueHeads, headDim }: ModelConfig, batch: number, tokens: number): number {
    return 4 * 2 * numHiddenLayers * batch * numKeyValueHeads * headDim * roundUp(tokens)
  }

  /** An empty cache for sequences with prefixes of these lengths in tokens, to be filled layer by layer with `store`. */
  constructor(
    private readonly config: ModelConfig,
    prefixLengths: readonly number[],
  ) {
    this.lengths = Int32Array.from(prefixLengths)
    this.capacity = roundUp(Math.max(...prefixLengths) + 1)
  }

  /** Takes the prefix's keys and values of the next layer, `[batch, K, tokens, headDim]`; copies them. */
  store(keys: tf.Tensor, values: tf.Tensor): void {
    const held = (source: tf.Tensor) =>
      this.layerCache(
        tf.pad(source, [
          [0, 0],
          [0, 0],
          [0, this.capacity - source.shape[2]!],
          [0, 0],
        ]),
      )
    this.keys.push(held(keys))
    this.values.push(held(values))
  }

  /**
   * Opens the next position of every sequence, or of those in `going` (indices): the others write theirs again at the next step. Returns what
   * the layers of this step need; the caller's `tidy` owns its tensors.
   */
  advance(going?: readonly number[]): StepPositions {
    const needed = Math.max(...this.lengths) + 1
    if (needed > this.capacity) this.resize(roundUp(needed))
    const { capacity, lengths } = this
    const { numAttentionHeads: H, numKeyValueHeads: K, headDim } = this.config
    const rows = new Int32Array(lengths.length * K)
    for (let row = 0; row < rows.length; row++) rows[row] = row * capacity + lengths[Math.floor(row / K)]!
    const together = lengths.length === 1 && H * K * capacity * headDim <= MOST_TOGETHER
    const mask = together ? maskOfHeads(H, K, capacity, lengths[0]!) : this.maskOfSequences()
    const positions = Array.from(lengths)
    for (const i of going ?? lengths.keys()) lengths[i]!++
    return { positions, rows: indexBits(rows), mask, together }
  }

  /** What `append` and `attend` read and write, the same number of tensors in the same order each time. */
  tensors(): tf.Tensor[] {
    return [...this.keys, ...this.values].flatMap(({ rows, blocks }) => [rows, blocks])
  }

  /** Writes one token of every sequence in `layer` at `rows` (those of the step as indices), `[batch · K, headDim]` each. */
  append(layer: number, rows: tf.Tensor1D, keys: tf.Tensor, values: tf.Tensor): void {
    writeRows(this.keys[layer]!.rows, rows, keys)
    writeRows(this.values[layer]!.rows, rows, values)
  }

  /** What queries `[batch, H, headDim]` (`[H, headDim]` of one sequence) of this step read in `layer`: as many numbers, in the same order. */
  attend(layer: number, queries: tf.Tensor, { mask, together }: StepPositions): tf.Tensor {
    const [keys, values] = [this.keys[layer]!, this.values[layer]!]
    // Not MatMul for the second: its kernel for few numbers breaks the heap when a signal interrupts it, as those of V8's profiler do.
    if (together) return batchMatMul(softmax(add(matMul(queries, keys.rows, true), mask)), values.rows)
    const { numAttentionHeads: H, numKeyValueHeads: K, headDim } = this.config
    const byGroup = reshape(queries, [-1, H / K, headDim])
    const scores = batchMatMul(byGroup, keys.blocks, true)
    return batchMatMul(softmax(add(scores, mask)), values.blocks)
  }

  /**
   * Keeps the given sequences only, in the given order; one may be named several times (continuations of one prefix). `lengths` cuts
   * each to so many tokens: what lies beyond is masked, then overwritten.
   */
  select(sequences: readonly number[], lengths?: readonly number[]): void {
    const groups = this.config.numKeyValueHeads
    const indices = sequences.flatMap((s) => Array.from({ length: groups }, (_, g) => s * groups + g))
    this.lengths = Int32Array.from(sequences, (s, i) => Math.min(lengths?.[i] ?? this.lengths[s]!, this.lengths[s]!))
    const rows = indexTensor(indices)
    try {
      this.replace((blocks) => take(blocks, rows))
    } finally {
      rows.dispose()
    }
  }

  /**
   * Puts the sequences of another cache, which has been filled and is then disposed, in the places of some of this one's (indices), one each. What was
   * there is gone.
   */
  replaceSequences(places: readonly number[], others: KeyValueCache): void {
    try {
      const width = others.capacity
      if (width > this.capacity) this.resize(width)
      const K = this.config.numKeyValueHeads
      // What lies beyond the others' room is masked, then overwritten.
      const rows = Int32Array.from({ length: places.length * K * width }, (_, i) => {
        const block = Math.floor(i / width)
        return (places[Math.floor(block / K)]! * K + (block % K)) * this.capacity + (i % width)
      })
      tf.tidy(() => {
        const at = indexTensor(rows)
        for (const [layer, own] of this.keys.entries()) writeRows(own.rows, at, others.keys[layer]!.rows)
        for (const [layer, own] of this.values.entries()) writeRows(own.rows, at, others.values[layer]!.rows)
      })
      for (const [i, place] of places.entries()) this.lengths[place] = others.lengths[i]!
    } finally {
      others.dispose()
    }
  }

  dispose(): void {
    for (const { rows, blocks } of [...this.keys, ...this.values]) tf.dispose([rows, blocks])
    this.keys = []
    this.values = []
    this.places?.dispose()
    this.places = null
  }

  /** Made where the cache is: of many long sequences it has more numbers than should be handed over at each step. */
  private maskOfSequences(): tf.Tensor {
    const { lengths, capacity } = this
    const K = this.config.numKeyValueHeads
    this.places ??= tf.keep(tf.tidy(() => tf.reshape(tf.range(0, capacity), [1, 1, capacity])))
    const last = Float32Array.from({ length: lengths.length * K }, (_, row) => lengths[Math.floor(row / K)]!)
    const exists = lessEqual(this.places, tf.tensor3d(last, [last.length, 1, 1]))
    return select(exists, scalar(0), scalar(Number.NEGATIVE_INFINITY))
  }

  private resize(capacity: number): void {
    const more = capacity - this.capacity
    this.capacity = capacity
    this.places?.dispose()
    this.places = null
    this.replace((blocks) =>
      tf.pad(blocks, [
        [0, 0],
        [0, more],
        [0, 0],
      ]),
    )
  }

  private replace(change: (blocks: tf.Tensor) => tf.Tensor): void {
    for (const layers of [this.keys, this.values]) {
      for (const [i, old] of layers.entries()) {
        layers[i] = this.layerCache(tf.tidy(() => change(old.blocks)))
        tf.dispose([old.rows, old.blocks])
      }
    }
  }

  /** Takes ownership of `source`. */
  private layerCache(source: tf.Tensor): LayerCache {
    const { headDim } = this.config
    const rows = tf.keep(tf.reshape(source, [-1, headDim]))
    const blocks = tf.keep(tf.reshape(source, [-1, this.capacity, headDim]))
    source.dispose()
    return { rows, blocks }
  }
}

/** Where one decoding step writes and what it may see. */
export interface StepPositions {
  /** Position of the token in each sequence. */
  positions: number[]
  /** Rows of the cache, one for each sequence and key-value head, as `indexBits`. */
  rows: tf.Tensor
  /** 0 where a key exists, -Infinity elsewhere, `[batch · K, 1, capacity]`; `together`: and is of the head's group, `[H, K · capacity]`. */
  mask: tf.Tensor
  /** Whether all heads meet the keys of all groups in one product and mask the others: faster for one sequence while its cache is small. */
  together: boolean
}

/** Multiplications of one layer's queries with keys up to which they are made `together`: a batched product costs more to start. */
const MOST_TOGETHER = 2 ** 21

function maskOfHeads(H: number, K: number, capacity: number, length: number): tf.Tensor {
  const width = K * capacity
  const mask = new Float32Array(H * width).fill(Number.NEGATIVE_INFINITY)
  for (let head = 0; head < H; head++) {
    const first = head * width + Math.floor(head / (H / K)) * capacity
    mask.fill(0, first, first + length + 1)
  }
  return tf.tensor2d(mask, [H, width])
}

const roundUp = (tokens: number) => Math.ceil(tokens / GROWTH) * GROWTH
