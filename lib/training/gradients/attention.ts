import { batchProduct, probabilities, product, sumOfRows, tidy, timesComplex } from '../../engine/gradientOps'
import { add, asIndices, concat, multiply, reshape, slice, subtract, sumOver, take, transpose } from '../../engine/ops'
import { tf } from '../../engine/tensorflow'
import type { ModelConfig } from '../../model/config'
import type { LayerWeights } from '../../model/weights'
import type { GradientSink } from './gradientStore'
import { mapped, mappedBack, operand } from './layerProduct'
import { headNormGradient, norm, normGradient } from './normGradient'
import type { Interleaving, RotaryTurns } from './rotaryTurns'

// Shapes: B = sequences, N = tokens of the longest, T = B · N, H = query heads, K = key-value heads, G = H / K, D = headDim.

/** What all layers of one pass over a group of sequences share. */
export interface AttentionPass {
  config: ModelConfig
  B: number
  N: number
  turns: RotaryTurns
  interleaving: Interleaving
  /** Zeros and -Infinity, `[rows, N + rows]`: columns from `N - start` on are the mask of query rows that begin at `start`. */
  mask: tf.Tensor
  /** Query rows computed together. */
  rows: number
  /** Whether the forward pass keeps the patterns, or the backward pass computes them again. */
  keepPatterns: boolean
}

/** What the backward pass of attention needs. */
export interface KeptAttention {
  /** `[T, hidden]` */
  input: tf.Tensor
  /** Rotated and scaled, `[K, B, G, N, D]`. */
  queries: tf.Tensor
  /** Rotated, `[K, B, 1, N, D]`. */
  keys: tf.Tensor
  values: tf.Tensor
  /** What heads read, `[T, H · D]`. */
  attended: tf.Tensor
  /** Probabilities of each block of query rows, `[K · B, G · rows, keys]`; empty if they are computed again. */
  patterns: tf.Tensor[]
  /** Queries and keys before their norm, `[T, heads, D]` (Qwen3). */
  unnormed: [tf.Tensor, tf.Tensor] | null
}

/** `x + output(attention(norm x))`, `[T, hidden]`, and what its gradient needs. */
export function attentionForward(
  pass: AttentionPass,
  layer: LayerWeights,
  input: tf.Tensor,
): [tf.Tensor, KeptAttention] {
  const { config, B, N, turns } = pass
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = config
  const [queries, keys, values, unnormed] = tidy(() => {
    const { normed } = norm(input, layer.inputNorm, config.rmsNormEps)
    const weight = take(layer.queryKeyValue, asIndices(pass.interleaving.order))
    const bias = layer.queryKeyValueBias && take(layer.queryKeyValueBias, asIndices(pass.interleaving.order))
    const heads = (first: number, count: number) => {
      const part = product(normed, slice(weight, [first * D, 0], [count * D, config.hiddenSize]), { transposeB: true })
      return reshape(bias ? add(part, slice(bias, [first * D], [count * D])) : part, [B * N, count, D])
    }
    const unnormed: [tf.Tensor, tf.Tensor] = [heads(0, H), heads(H, K)]
    const [q, k] = layer.queryKeyNorm
      ? headNorms(pass, layer.queryKeyNorm).map((w, i) => norm(unnormed[i]!, w, config.rmsNormEps).normed)
      : unnormed
    return [
      byHead(pass, timesComplex(reshape(q!, [B, N, H, D]), turns.queries)),
      byHead(pass, timesComplex(reshape(k!, [B, N, K, D]), turns.keys)),
      byHead(pass, reshape(heads(H + K, K), [B, N, K, D])),
      layer.queryKeyNorm ? unnormed : null,
    ] as [tf.Tensor, tf.Tensor, tf.Tensor, [tf.Tensor, tf.Tensor] | null]
  })
  const read: tf.Tensor[] = []
  const patterns: tf.Tensor[] = []
  for (const block of blocks(pass)) {
    const [part, pattern] = tidy(() => {
      const pattern = patternOf(pass, queries, keys, block)
      const part = batchProduct(pattern, keysOf(pass, values, block))
      return [part, pass.keepPatterns ? pattern : null] as const
    })
    read.push(part)
    if (pattern) patterns.push(pattern)
  }
  const attended = tidy(() => byToken(pass, joined(pass, read)))
  const product_ = mapped(layer, 'output', attended)
  const output = add(input, layer.outputBias ? add(product_, layer.outputBias) : product_)
  return [output, { input, queries, keys, values, attended, patterns, unnormed }]
}

/** Gradient with respect to the input, from that of the output; adds those of the weights. */
export function attentionBackward(
  pass: AttentionPass,
  layer: LayerWeights,
  kept: KeptAttention,
  dOutput: tf.Tensor,
  into: GradientSink,
): tf.Tensor {
  const { config, B, N, interleaving } = pass
  const { headDim: D } = config
  return tidy(() => {
    const dy = operand(layer, dOutput)
    into.addLinear(layer.output, dy, operand(layer, kept.attended))
    if (layer.outputBias) into.add(layer.outputBias, sumOfRows(dOutput))
    const dHeads = tidy(() => {
      const [dQueries, dKeys, dValues] = patternsBackward(pass, kept, () => mappedBack(layer, 'output', dy))
      const q = turnedBack(pass, dQueries, pass.turns.queriesBack)
      const k = turnedBack(pass, dKeys, pass.turns.keysBack)
      tf.dispose([dQueries, dKeys])
      const [dq, dk] = layer.queryKeyNorm ? headNormsBackward(pass, layer.queryKeyNorm, kept, [q, k], into) : [q, k]
      return concat(
        [dq, dk, byToken(pass, dValues)].map((part) => reshape(part, [B * N, -1])),
        1,
      )
    })
    const { normed, inverse } = norm(kept.input, layer.inputNorm, config.rmsNormEps)
    into.addLinear(layer.queryKeyValue, dHeads, normed, interleaving)
    if (layer.queryKeyValueBias)
      into.add(layer.queryKeyValueBias, take(sumOfRows(dHeads), asIndices(interleaving.inverse)))
    const dNormed = product(dHeads, take(layer.queryKeyValue, asIndices(interleaving.order)))
    const { dx, dWeight } = normGradient(kept.input, inverse, layer.inputNorm, dNormed, dOutput)
    into.add(layer.inputNorm, dWeight)
    return dx
  })

  function turnedBack(pass: AttentionPass, gradient: tf.Tensor, turns: tf.Tensor): tf.Tensor {
    return tidy(() => timesComplex(reshape(byToken(pass, gradient), [B, N, -1, D]), turns))
  }
}

/** Gradients of queries, keys and values from that of what heads read, `[T, H · D]`, which is computed where it is needed. */
function patternsBackward(
  pass: AttentionPass,
  kept: KeptAttention,
  dAttended: () => tf.Tensor,
): [tf.Tensor, tf.Tensor, tf.Tensor] {
  const { B, N, config } = pass
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = config
  const [along, dRead] = tidy(() => {
    const gradient = dAttended()
    // The softmax's gradient P · (dP - sum P · dP) needs the sum over keys: it is what was read times its own gradient.
    const sums = sumOver(reshape(multiply(gradient, kept.attended), [B * N, H, D]), 2)
    return [byHead(pass, reshape(sums, [B, N, H, 1])), byHead(pass, reshape(gradient, [B, N, H, D]))]
  }) as [tf.Tensor, tf.Tensor]
  const dQueries: tf.Tensor[] = []
  let growing: { ends: number; dKeys: tf.Tensor; dValues: tf.Tensor } | null = null
  const finished: { dKeys: tf.Tensor[]; dValues: tf.Tensor[] } = { dKeys: [], dValues: [] }
  const all = blocks(pass)
  for (const [i, block] of [...all.entries()].reverse()) {
    const ends = block.start + block.rows
    const [dq, dk, dv] = tidy(() => {
      const pattern = kept.patterns[i] ?? patternOf(pass, kept.queries, kept.keys, block)
      const dReadHere = rowsOf(pass, dRead, block)
      const dPattern = batchProduct(dReadHere, keysOf(pass, kept.values, block), { transposeB: true })
      const dScores = multiply(pattern, subtract(dPattern, rowsOf(pass, along, block)))
      return [
        batchProduct(dScores, keysOf(pass, kept.keys, block)),
        batchProduct(dScores, rowsOf(pass, kept.queries, block), { transposeA: true }),
        batchProduct(pattern, dReadHere, { transposeA: true }),
      ]
    }) as [tf.Tensor, tf.Tensor, tf.Tensor]
    dQueries.unshift(dq)
    if (growing === null) growing = { ends, dKeys: dk, dValues: dv }
    else {
      // Keys beyond this block get nothing more from earlier queries: they are finished.
      const { dKeys, dValues, ends: before } = growing as { ends: number; dKeys: tf.Tensor; dValues: tf.Tensor }
      const part = (x: tf.Tensor, from: number, to: number) => slice(x, [0, from, 0], [K * B, to - from, D])
      finished.dKeys.unshift(part(dKeys, ends, before))
      finished.dValues.unshift(part(dValues, ends, before))
      growing = {
        ends,
        dKeys: tidy(() => add(part(dKeys, 0, ends), dk)),
        dValues: tidy(() => add(part(dValues, 0, ends), dv)),
      }
      tf.dispose([dKeys, dValues, dk, dv])
    }
  }
  const whole = (first: tf.Tensor, rest: tf.Tensor[]) => reshape(concat([first, ...rest], 1), [K, B, 1, N, D])
  const { dKeys, dValues } = growing!
  return [joined(pass, dQueries), whole(dKeys, finished.dKeys), whole(dValues, finished.dValues)]
}

/** Gradients before the norms of query and key heads; adds those of the norms' weights, the same to all heads. */
function headNormsBackward(
  pass: AttentionPass,
  weight: tf.Tensor,
  kept: KeptAttention,
  [dq, dk]: [tf.Tensor, tf.Tensor],
  into: GradientSink,
): [tf.Tensor, tf.Tensor] {
  const { config, interleaving } = pass
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D, rmsNormEps } = config
  const weights = headNorms(pass, weight)
  const [q, k] = [dq, dk].map((dy, i) =>
    tidy(() => {
      const x = kept.unnormed![i]!
      const { inverse } = norm(x, weights[i]!, rmsNormEps)
      return headNormGradient(x, inverse, weights[i]!, reshape(dy, x.shape))
    }),
  ) as [ReturnType<typeof headNormGradient>, ReturnType<typeof headNormGradient>]
  const repeated = concat([...Array(H).fill(q.dWeight), ...Array(K).fill(k.dWeight)], 0)
  into.add(weight, take(reshape(repeated, [H + K, D]), asIndices(interleaving.headInverse), 1))
  return [q.dx, k.dx]
}

/** Weights of the norms of query heads, `[H, D]`, and key heads, `[K, D]`, in the order of interleaved heads. */
function headNorms({ config, interleaving }: AttentionPass, weight: tf.Tensor): [tf.Tensor, tf.Tensor] {
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = config
  const ordered = take(weight, asIndices(interleaving.headOrder), 1)
  return [slice(ordered, [0, 0], [H, D]), slice(ordered, [H, 0], [K, D])]
}

interface Block {
  start: number
  rows: number
}

function blocks({ N, rows }: AttentionPass): Block[] {
  return Array.from({ length: Math.ceil(N / rows) }, (_, i) => ({
    start: i * rows,
    rows: Math.min(rows, N - i * rows),
  }))
}

/** Attention of query rows over the keys up to their last: `[K · B, G · rows, keys]`. */
function patternOf(pass: AttentionPass, queries: tf.Tensor, keys: tf.Tensor, block: Block): tf.Tensor {
  const { N, mask } = pass
  const scores = batchProduct(rowsOf(pass, queries, block), keysOf(pass, keys, block), { transposeB: true })
  const ends = block.start + block.rows
  const byRow = reshape(scores, [-1, block.rows, ends])
  return reshape(probabilities(add(byRow, slice(mask, [0, N - block.start], [block.rows, ends]))), scores.shape)
}

/** Rows of one block of `[K, B, G, N, width]`: `[K · B, G · rows, width]`. */
function rowsOf({ B, N }: AttentionPass, x: tf.Tensor, { start, rows }: Block): tf.Tensor {
  const [K, , G, , width] = x.shape as [number, number, number, number, number]
  const some = rows === N ? x : slice(x, [0, 0, 0, start, 0], [K, B, G, rows, width])
  return reshape(some, [K * B, G * rows, width])
}

/** The keys (or values) that one block sees, of `[K, B, N, D]`: `[K · B, keys, D]`. */
function keysOf({ B, N }: AttentionPass, x: tf.Tensor, { start, rows }: Block): tf.Tensor {
  const [K, , , , D] = x.shape as [number, number, number, number, number]
  const keys = start + rows
  const some = keys === N ? x : slice(x, [0, 0, 0, 0, 0], [K, B, 1, keys, D])
  return reshape(some, [K * B, keys, D])
}

/** Blocks `[K · B, G · rows, D]` joined: `[K, B, G, N, D]`. */
function joined({ config, B }: AttentionPass, parts: tf.Tensor[]): tf.Tensor {
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = config
  const whole = parts.map((part) => reshape(part, [K, B, H / K, -1, D]))
  return concat(whole, 3)
}

/** `[B, N, heads, width]` as `[K, B, heads / K, N, width]`. */
function byHead({ config, B, N }: AttentionPass, x: tf.Tensor): tf.Tensor {
  const [, , heads, width] = x.shape as [number, number, number, number]
  const K = config.numKeyValueHeads
  if (heads === K) return reshape(transpose(x, [2, 0, 1, 3]), [K, B, 1, N, width])
  return transpose(reshape(x, [B, N, K, heads / K, width]), [2, 0, 3, 1, 4])
}

/** `[K, B, G, N, D]` or `[K, B, N, D]` as `[B · N, K · G · D]`. */
function byToken({ B, N }: AttentionPass, x: tf.Tensor): tf.Tensor {
  const G = x.rank === 5 ? x.shape[2]! : 1
  if (G === 1) {
    const [K, D] = [x.shape[0]!, x.shape[x.rank - 1]!]
    return reshape(transpose(reshape(x, [K, B, N, D]), [1, 2, 0, 3]), [B * N, K * D])
  }
  return reshape(transpose(x, [1, 3, 0, 2, 4]), [B * N, -1])
}
