import { inFloat32 } from '../engine/bfloat16'
import { pacer } from '../engine/cooperate'
import { inOneCall } from '../engine/oneCall'
import {
  add,
  asIndices,
  batchMatMul,
  concat,
  indexBits,
  indexTensor,
  matMul,
  multiply,
  ONE_DNN_ROWS,
  reshape,
  rmsNorm,
  slice,
  softmax,
  splitInTwo,
  swapHalves,
  take,
  timesSigmoid,
  transpose,
} from '../engine/ops'
import { Scope } from '../engine/scope'
import { tf } from '../engine/tensorflow'
import type { KeyValueCache, StepPositions } from './cache'
import type { ModelConfig } from './config'
import { type ForwardSizes, forwardSizes, queryRows } from './forwardSizes'
import { columnsToRows, type LayerProducts, linear, MANY_ROWS, withAdapter } from './linear'
import type { AttentionObserver } from './observer'
import { type RotaryTables, rotaryTables, rotations } from './rotary'
import { computingTensors, type DecoderWeights, type LayerWeights } from './weights'

// Shapes: B = batch, N = tokens of the longest sequence, H = query heads, K = key-value heads, D = headDim.

/** A decoder ready to compute. */
export interface Decoder {
  config: ModelConfig
  weights: DecoderWeights
}

export interface ForwardOptions {
  /** See attention as it is computed. */
  observers?: AttentionObserver[]
  /** Filled with the keys and values of all layers. Made for the same sequences. */
  cache?: KeyValueCache
  /** How much is computed at a time. Changes speed and memory, not results. Default: what suits the device. */
  sizes?: Partial<ForwardSizes>
  /** Makes the products of MLPs in float32, where weights are bfloat16: WAAD and FAI of late layers lose half of their error, and the pass its speed. */
  exactMlp?: boolean
  /** Leaves out the layers above this one (the returned states are then this layer's). */
  lastLayer?: number
  signal?: AbortSignal
  onProgress?: (done: number, total: number, note?: string) => void
}

/**
 * Runs the decoder over whole sequences (teacher-forced) and returns the states after the last norm, `[B, N, hidden]`, which
 * `logits` and `tokenStatistics` turn into predictions. Sequences of different lengths are padded at their end; what
 * a state at or beyond a sequence's length holds is undefined. The caller owns the result.
 * Peak memory grows linearly with N: attention exists in blocks of query rows only.
 * Throws on an empty batch or sequence, ids outside the vocabulary, sequences longer than the context, and `Interrupted`.
 */
export async function forward(
  decoder: Decoder,
  sequences: readonly ArrayLike<number>[],
  options: ForwardOptions = {},
): Promise<tf.Tensor3D> {
  const { config, weights } = decoder
  checkSequences(config, sequences)
  const { numAttentionHeads: H, numHiddenLayers, hiddenSize } = config
  const layerCount = options.lastLayer === undefined ? numHiddenLayers : options.lastLayer + 1
  const lengths = sequences.map((s) => s.length)
  const B = lengths.length
  const N = Math.max(...lengths)
  const sizes = forwardSizes(options.sizes)
  const rowsAtOnce = Math.min(N, queryRows(sizes, B * H * N))
  const observers = options.observers ?? []
  const pause = pacer(options.signal)
  const scope = new Scope()
  try {
    for (const observer of observers) observer.begin?.({ layers: numHiddenLayers, heads: H, lengths })
    const tables = rotaryTables(
      config,
      Array.from({ length: N }, (_, i) => i),
    )
    scope.keep(tables.cos)
    scope.keep(tables.signedSin)
    const mask = scope.keep(causalMask(N, rowsAtOnce))
    let x: tf.Tensor = scope.keep(embed(weights, padded(sequences, N)))
    for (let layer = 0; layer < layerCount; layer++) {
      options.onProgress?.(layer, layerCount, 'layers')
      const layerWeights = weights.layers[layer]!
      const watching = observers.filter((o) => o.layers === undefined || o.layers.includes(layer))
      const [queries, keys, values] = tf.tidy(() => {
        const parts = projectHeads(config, layerWeights, x, [B, N], tables)
        return parts.map((part) => transpose(part, [0, 2, 1, 3]))
      }) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D]
      scope.keep(queries)
      scope.keep(keys)
      scope.keep(values)
      options.cache?.store(keys, values)

      const attended: tf.Tensor[] = []
      for (let start = 0; start < N; start += rowsAtOnce) {
        const rows = Math.min(rowsAtOnce, N - start)
        attended.push(
          scope.keep(
            tf.tidy(() => {
              const attention = attentionBlock(queries, keys, mask, start, rows)
              const observed = watching.filter((o) => o.wants === undefined || o.wants(start, start + rows))
              if (observed.length > 0) {
                const seen = reshape(attention, [B, H, rows, start + rows]) as tf.Tensor4D
                for (const observer of observed) {
                  tf.tidy(() => observer.observe({ layer, rowStart: start, attention: seen, lengths }))
                }
              }
              return attend(attention, values, start, rows)
            }),
          ),
        )
        await pause()
      }
      const afterAttention = scope.keep(
        tf.tidy(() => {
          const byToken = reshape(transpose(concat(attended, 2), [0, 2, 1, 3]), [B * N, H * config.headDim])
          return add(x, linear(byToken, layerWeights.products?.output ?? layerWeights.output, layerWeights.outputBias))
        }),
      )
      scope.release(x, queries, keys, values, ...attended)

      const outputs: tf.Tensor[] = []
      for (let start = 0; start < B * N; start += sizes.mlpRows) {
        const rows = Math.min(sizes.mlpRows, B * N - start)
        outputs.push(
          scope.keep(
            tf.tidy(() => {
              const part = rows === B * N ? afterAttention : slice(afterAttention, [start, 0], [rows, hiddenSize])
              return options.exactMlp && layerWeights.products
                ? exactMlp(config, layerWeights, layerWeights.products, part)
                : gatedMlp(config, layerWeights, part)
            }),
          ),
        )
        await pause()
      }
      x = scope.keep(concat(outputs, 0))
      scope.release(afterAttention, ...outputs.filter((o) => o !== x))
    }
    options.onProgress?.(layerCount, layerCount, 'layers')
    return tf.tidy(
      () => tf.reshape(rmsNorm(x, weights.finalNorm, config.rmsNormEps), [B, N, hiddenSize]) as tf.Tensor3D,
    )
  } finally {
    for (const observer of observers) observer.end?.()
    scope.end()
  }
}

/**
 * Reads one more token of every sequence in the cache and returns the states after the last norm, `[B, hidden]`.
 * With `going` (indices), only those sequences grow: the others read theirs in the same place at the next step again.
 * The caller owns the result. Throws if a sequence reached the model's context.
 */
export function decodeStep(
  decoder: Decoder,
  tokens: ArrayLike<number>,
  cache: KeyValueCache,
  going?: readonly number[],
): tf.Tensor2D {
  const { config, weights } = decoder
  const longest = Math.max(...cache.lengths)
  if (longest >= config.maxPositionEmbeddings) {
    throw new RangeError(`decodeStep: a sequence already has ${longest} tokens, the model's context; stop before that`)
  }
  return tf.tidy(() => {
    const step = cache.advance(going)
    const ids = indexBits(tokens)
    const turn = rotations(config, step.positions)
    const { tensors, shapes } = computingTensors(weights.layers)
    const { embedding, finalNorm } = weights
    const inputs = [ids, step.rows, step.mask, turn, embedding, finalNorm, ...cache.tensors(), ...tensors]
    const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D, numHiddenLayers, rmsNormEps } = config
    const sizes = [rowClass(tokens.length), step.together, turn.rank, H, K, D, numHiddenLayers, rmsNormEps]
    const key = `decodeStep ${sizes} ${shapes}`
    const [states] = inOneCall(key, inputs, () => [readTokens(decoder, ids, cache, step, turn)])
    return states as tf.Tensor2D
  })
}

/**
 * The ops of `decodeStep` on `ids [B]` (`indexBits`), with what the cache said of the step and the `rotations` at its positions. They are the same for
 * all B of one `rowClass`: no shape that is given to them names B.
 */
function readTokens(
  { config, weights }: Decoder,
  ids: tf.Tensor,
  cache: KeyValueCache,
  step: StepPositions,
  turn: tf.Tensor,
): tf.Tensor {
  const B = ids.shape[0]!
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D, rmsNormEps } = config
  // One sequence has no axis of its own: taking its heads apart then needs no copy.
  const lead = B === 1 ? [] : [-1]
  const rows = asIndices(step.rows)
  let x: tf.Tensor = take(weights.embedding, asIndices(ids))
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const own = weights.layers[layer]!
    x = tf.tidy(() => {
      const normed = rmsNorm(x, own.inputNorm, rmsNormEps)
      const heads = linear(normed, own.queryKeyValue, own.queryKeyValueBias, [...lead, H + 2 * K, D])
      const byGroup = (of: tf.Tensor) => (B === 1 ? of : reshape(of, [-1, D]))
      let [queriesAndKeys, values] = splitInTwo(heads, lead.length, H + K, K)
      if (own.queryKeyNorm) queriesAndKeys = rmsNorm(queriesAndKeys, own.queryKeyNorm, rmsNormEps)
      const [queries, keys] = splitInTwo(batchMatMul(queriesAndKeys, turn), lead.length, H, K)
      cache.append(layer, rows, byGroup(keys), byGroup(values))
      const attended = reshape(cache.attend(layer, queries, step), [-1, H * D])
      return gatedMlp(config, own, add(x, linear(attended, own.products?.output ?? own.output, own.outputBias)))
    })
  }
  return rmsNorm(x, weights.finalNorm, rmsNormEps)
}

/** Untempered logits of states `[rows, hidden]`: `[rows, vocabulary]`. The caller owns the result. */
export function logits(decoder: Decoder, states: tf.Tensor2D): tf.Tensor2D {
  return linear(states, decoder.weights.head) as tf.Tensor2D
}

/** Queries, keys (rotated, so scaled that their products are divided by √D) and values of each head: `[...lead, H, D]`, `[...lead, K, D]` twice. */
function projectHeads(
  config: ModelConfig,
  layer: LayerWeights,
  x: tf.Tensor,
  lead: number[],
  tables: RotaryTables,
): [tf.Tensor, tf.Tensor, tf.Tensor] {
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = config
  const normed = rmsNorm(x, layer.inputNorm, config.rmsNormEps)
  const heads = linear(normed, layer.queryKeyValue, layer.queryKeyValueBias, [...lead, H + 2 * K, D])
  const some = (of: tf.Tensor, first: number, count: number) =>
    slice(of, [...lead.map(() => 0), first, 0], [...lead, count, D])
  let queriesAndKeys = some(heads, 0, H + K)
  if (layer.queryKeyNorm) queriesAndKeys = rmsNorm(queriesAndKeys, layer.queryKeyNorm, config.rmsNormEps)
  const rotated = add(multiply(queriesAndKeys, tables.cos), multiply(swapHalves(queriesAndKeys), tables.signedSin))
  return [some(rotated, 0, H), some(rotated, H, K), some(heads, H + K, K)]
}

/** Attention probabilities of query rows `[start, start + rows)` over keys `[0, start + rows)`: `[B · H, rows, keys]`. */
function attentionBlock(queries: tf.Tensor4D, keys: tf.Tensor4D, mask: tf.Tensor2D, start: number, rows: number) {
  const [B, H, , D] = queries.shape
  const [, K, N] = keys.shape
  const end = start + rows
  const q = reshape(slice(queries, [0, 0, start, 0], [B, H, rows, D]), [B * K, (H / K) * rows, D])
  const scores = reshape(batchMatMul(q, upTo(end, keys), true), [B * H, rows, end])
  return softmax(add(scores, slice(mask, [0, N - start], [rows, end])))
}

/** `attention [B · H, rows, end] · values`: `[B, H, rows, D]`. */
function attend(attention: tf.Tensor, values: tf.Tensor4D, start: number, rows: number): tf.Tensor {
  const [B, K, , D] = values.shape
  const H = attention.shape[0]! / B
  const end = start + rows
  const attended = batchMatMul(reshape(attention, [B * K, (H / K) * rows, end]), upTo(end, values))
  return reshape(attended, [B, H, rows, D])
}

/** Keys or values `[B, K, N, D]` of positions `[0, end)`: `[B · K, end, D]`. */
function upTo(end: number, source: tf.Tensor4D): tf.Tensor {
  const [B, K, N, D] = source.shape
  const whole = reshape(source, [B * K, N, D])
  return end === N ? whole : slice(whole, [0, 0, 0], [B * K, end, D])
}

/** Gate and up of so many rows are one product: of more, taking them apart would cost more than it spares. */
const FEW_ROWS = 32

/** Where one number of rows is computed by other ops than a smaller one. */
const ROW_CLASSES = [1, 2, FEW_ROWS, MANY_ROWS, ONE_DNN_ROWS]

/** Numbers of rows with the same class are computed by the same ops. */
export const rowClass = (rows: number): number => Math.max(...ROW_CLASSES.filter((first) => first <= rows))

/** `x + down(silu(gate(norm x)) · up(norm x))` on rows `[rows, hidden]`. */
function gatedMlp(config: ModelConfig, layer: LayerWeights, x: tf.Tensor): tf.Tensor {
  const normed = rmsNorm(x, layer.postAttentionNorm, config.rmsNormEps)
  const { products } = layer
  if (!products) {
    const rows = x.shape[0]!
    // Inside, a column is a token where that is faster.
    const columns = rows === 1 || rows >= FEW_ROWS
    const inner = (weight: tf.Tensor) => (columns ? matMul(weight, normed, true) : matMul(normed, weight, true))
    const gate = inner(layer.gate)
    const activated = timesSigmoid(multiply(gate, inner(layer.up)), gate)
    return add(x, columns ? columnsToRows(matMul(layer.down, activated)) : matMul(activated, layer.down, true))
  }
  const [gate, up] =
    x.shape[0]! < FEW_ROWS && !products.gate.adapter && !products.up.adapter
      ? gateAndUp(normed, products.gateUp)
      : [linear(normed, products.gate), linear(normed, products.up)]
  return add(x, linear(timesSigmoid(multiply(gate, up), gate), products.down))
}

/** `gatedMlp` with the numbers of bfloat16 matrices, or the float32 ones beside them, in float32 products. */
function exactMlp(config: ModelConfig, layer: LayerWeights, products: LayerProducts, x: tf.Tensor): tf.Tensor {
  const normed = rmsNorm(x, layer.postAttentionNorm, config.rmsNormEps)
  const mapped = (name: 'gate' | 'up' | 'down', input: tf.Tensor) =>
    withAdapter(linear(input, inFloat32(layer[name])), input, products[name])
  const gate = mapped('gate', normed)
  return add(x, mapped('down', timesSigmoid(multiply(gate, mapped('up', normed)), gate)))
}

/** Gate and up of a few rows, `[rows, intermediate]` each. */
function gateAndUp(x: tf.Tensor, matrix: tf.Tensor): [tf.Tensor, tf.Tensor] {
  const both = linear(x, { matrix, adapter: null })
  const width = both.shape[1]! / 2
  return splitInTwo(both, 1, width, width)
}

function embed(weights: DecoderWeights, ids: Int32Array): tf.Tensor2D {
  return tf.tidy(() => take(weights.embedding, indexTensor(ids)) as tf.Tensor2D)
}

/**
 * Zeros and -Infinity, `[rows, N + rows]`. Columns from `N - start` on are the mask of a block that begins at position `start`.
 */
function causalMask(N: number, rows: number): tf.Tensor2D {
  const width = N + rows
  const mask = new Float32Array(rows * width)
  for (let row = 0; row < rows; row++) mask.fill(Number.NEGATIVE_INFINITY, row * width + N + row + 1, (row + 1) * width)
  return tf.tensor2d(mask, [rows, width])
}

function padded(sequences: readonly ArrayLike<number>[], N: number): Int32Array {
  const ids = new Int32Array(sequences.length * N)
  for (const [b, sequence] of sequences.entries()) ids.set(Array.from(sequence), b * N)
  return ids
}

function checkSequences(config: ModelConfig, sequences: readonly ArrayLike<number>[]): void {
  if (sequences.length === 0) throw new RangeError('forward: no sequences given; give at least one')
  for (const [b, sequence] of sequences.entries()) {
    if (sequence.length === 0) throw new RangeError(`forward: sequence ${b} is empty; it needs at least one token`)
    if (sequence.length > config.maxPositionEmbeddings) {
      throw new RangeError(
        `forward: sequence ${b} has ${sequence.length} tokens, the model's context is ${config.maxPositionEmbeddings}; shorten it`,
      )
    }
    for (let i = 0; i < sequence.length; i++) {
      const id = sequence[i]!
      if (!Number.isInteger(id) || id < 0 || id >= config.vocabSize) {
        throw new RangeError(
          `forward: sequence ${b} has id ${id} at ${i}; ids are integers from 0 to ${config.vocabSize - 1} (is it another model's tokenizer?)`,
        )
      }
    }
  }
}
