import { transpose } from '../engine/ops'
import { Scope } from '../engine/scope'
import { tf } from '../engine/tensorflow'
import type { ModelConfig } from './config'
import type { WeightSource } from './weightSource'

/** Weights of one decoder layer. Matrices are `[in, out]`, the orientation that decodes fastest; `H` heads, `K` key-value heads, `D` = headDim. */
export interface LayerWeights {
  inputNorm: tf.Tensor
  /** Queries, keys and values side by side: `[hidden, (H + 2K) · D]`. */
  queryKeyValue: tf.Tensor
  queryKeyValueBias: tf.Tensor | null
  /** RMSNorm weight of each query and key head, `[H + K, D]` (Qwen3). */
  queryKeyNorm: tf.Tensor | null
  output: tf.Tensor
  outputBias: tf.Tensor | null
  postAttentionNorm: tf.Tensor
  gate: tf.Tensor
  up: tf.Tensor
  down: tf.Tensor
}

/** All weights of a decoder. `head` is `embedding` itself where the two are tied; both are `[vocabulary, hidden]`. */
export interface DecoderWeights {
  embedding: tf.Tensor2D
  layers: LayerWeights[]
  finalNorm: tf.Tensor
  head: tf.Tensor2D
}

/** Every tensor once. */
export function weightTensors(weights: DecoderWeights): tf.Tensor[] {
  const layers = weights.layers.flatMap((layer) => Object.values(layer).filter((t): t is tf.Tensor => t !== null))
  return [...new Set([weights.embedding, ...layers, weights.finalNorm, weights.head])]
}

/**
 * Reads all weights of a checkpoint into tensors, one at a time.
 * Throws what the source throws for missing, malformed or non-finite tensors; nothing is held then.
 */
export async function readWeights(
  source: WeightSource,
  onProgress?: (done: number, total: number, note?: string) => void,
): Promise<DecoderWeights> {
  const { config } = source
  const { numHiddenLayers, numAttentionHeads: heads, numKeyValueHeads: keyValueHeads, headDim } = config
  const scope = new Scope()
  const vector = async (name: string) => scope.keep(tf.tensor1d(await source.read(name)))
  const optional = (present: boolean, name: string) => (present ? vector(name) : Promise.resolve(null))
  // Stored as [out, in]; several matrices with the same input are stacked along their outputs first.
  const matrix = async (...names: string[]) => {
    const parts = await Promise.all(names.map((name) => source.read(name)))
    const columns = source.shape(names[0]!)[1]!
    const stored = parts.length === 1 ? parts[0]! : concatenate(parts)
    return scope.keep(tf.tidy(() => transpose(tf.tensor2d(stored, [stored.length / columns, columns]), [1, 0])))
  }
  const embeddingLike = async (name: string) =>
    scope.keep(tf.tensor2d(await source.read(name), [config.vocabSize, config.hiddenSize]))
  try {
    const embedding = await embeddingLike('model.embed_tokens.weight')
    const layers: LayerWeights[] = []
    for (let i = 0; i < numHiddenLayers; i++) {
      onProgress?.(i, numHiddenLayers, 'reading layers')
      const at = `model.layers.${i}.`
      const attention = `${at}self_attn.`
      const biases = config.qkvBias
        ? await Promise.all(['q', 'k', 'v'].map((p) => source.read(`${attention}${p}_proj.bias`)))
        : null
      const norms = config.queryKeyNorm
        ? await Promise.all(['q', 'k'].map((p) => source.read(`${attention}${p}_norm.weight`)))
        : null
      layers.push({
        inputNorm: await vector(`${at}input_layernorm.weight`),
        queryKeyValue: await matrix(...['q', 'k', 'v'].map((p) => `${attention}${p}_proj.weight`)),
        queryKeyValueBias: biases && scope.keep(tf.tensor1d(concatenate(biases))),
        queryKeyNorm:
          norms &&
          scope.keep(
            tf.tensor2d(
              concatenate([...Array(heads).fill(norms[0]), ...Array(keyValueHeads).fill(norms[1])]),
              [heads + keyValueHeads, headDim],
            ),
          ),
        output: await matrix(`${attention}o_proj.weight`),
        outputBias: await optional(config.outputBias, `${attention}o_proj.bias`),
        postAttentionNorm: await vector(`${at}post_attention_layernorm.weight`),
        gate: await matrix(`${at}mlp.gate_proj.weight`),
        up: await matrix(`${at}mlp.up_proj.weight`),
        down: await matrix(`${at}mlp.down_proj.weight`),
      })
    }
    onProgress?.(numHiddenLayers, numHiddenLayers, 'reading layers')
    const finalNorm = await vector('model.norm.weight')
    const head = config.tieWordEmbeddings ? embedding : await embeddingLike('lm_head.weight')
    const weights = { embedding, layers, finalNorm, head }
    for (const tensor of weightTensors(weights)) scope.give(tensor)
    return weights
  } finally {
    scope.end()
  }
}

function concatenate(parts: Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((n, part) => n + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/**
 * The weights as a checkpoint stores them: Hugging Face names, matrices `[out, in]`, float32, one at a time.
 * Where embedding and head are tied, the head is left out.
 */
export function* storedWeights(
  config: ModelConfig,
  weights: DecoderWeights,
): Generator<{ name: string; shape: number[]; values: Float32Array }> {
  const { numAttentionHeads: heads, numKeyValueHeads: keyValueHeads, headDim } = config
  const projections = { q: heads * headDim, k: keyValueHeads * headDim, v: keyValueHeads * headDim }
  const stored = (name: string, tensor: tf.Tensor) => ({
    name,
    shape: [...tensor.shape],
    values: tensor.dataSync() as Float32Array,
  })
  const flipped = (name: string, tensor: tf.Tensor) => {
    const turned = tf.tidy(() => transpose(tensor, [1, 0]))
    try {
      return stored(name, turned)
    } finally {
      turned.dispose()
    }
  }
  function* parts(suffix: string, whole: { shape: number[]; values: Float32Array }, prefix: string) {
    const rowLength = whole.values.length / whole.shape[0]!
    let row = 0
    for (const [p, rows] of Object.entries(projections)) {
      const values = whole.values.slice(row * rowLength, (row + rows) * rowLength)
      yield { name: `${prefix}${p}_proj.${suffix}`, shape: [rows, ...whole.shape.slice(1)], values }
      row += rows
    }
  }
  yield stored('model.embed_tokens.weight', weights.embedding)
  for (const [i, layer] of weights.layers.entries()) {
    const at = `model.layers.${i}.`
    const attention = `${at}self_attn.`
    yield stored(`${at}input_layernorm.weight`, layer.inputNorm)
    yield* parts('weight', flipped('', layer.queryKeyValue), attention)
    if (layer.queryKeyValueBias) yield* parts('bias', stored('', layer.queryKeyValueBias), attention)
    if (layer.queryKeyNorm) {
      const values = layer.queryKeyNorm.dataSync() as Float32Array
      yield { name: `${attention}q_norm.weight`, shape: [headDim], values: values.slice(0, headDim) }
      yield { name: `${attention}k_norm.weight`, shape: [headDim], values: values.slice(heads * headDim, (heads + 1) * headDim) }
    }
    yield flipped(`${attention}o_proj.weight`, layer.output)
    if (layer.outputBias) yield stored(`${attention}o_proj.bias`, layer.outputBias)
    yield stored(`${at}post_attention_layernorm.weight`, layer.postAttentionNorm)
    yield flipped(`${at}mlp.gate_proj.weight`, layer.gate)
    yield flipped(`${at}mlp.up_proj.weight`, layer.up)
    yield flipped(`${at}mlp.down_proj.weight`, layer.down)
  }
  yield stored('model.norm.weight', weights.finalNorm)
  if (!config.tieWordEmbeddings) yield stored('lm_head.weight', weights.head)
}
