import { toFloat32 } from '../engine/bfloat16'
import { add, matMul } from '../engine/ops'
import type { Precision } from '../engine/precision'
import { Scope } from '../engine/scope'
import { currentValues, isBfloat16, tf, upload } from '../engine/tensorflow'
import type { ModelConfig } from './config'
import { disposeProducts, layerProducts, NARROW_MATRICES } from './layerProducts'
import type { LayerProducts } from './linear'
import type { WeightSource } from './weightSource'

/**
 * Weights of one decoder layer. Matrices are `[out, in]` as checkpoints store them, which also is the orientation that decodes
 * fastest (`W · xᵀ`); `H` heads, `K` key-value heads, `D` = headDim.
 */
export interface LayerWeights {
  inputNorm: tf.Tensor
  /** Queries, keys and values stacked: `[(H + 2K) · D, hidden]`. */
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
  /** Matrices in bfloat16, which products use where they are there. */
  products?: LayerProducts | null
}

/** The layer's tensors by name, without those of `products`. */
export const layerTensors = ({ products: _, ...own }: LayerWeights): [string, tf.Tensor][] =>
  Object.entries(own).filter((entry): entry is [string, tf.Tensor] => entry[1] !== null)

/**
 * All weights of a decoder. What bfloat16 can hold are the layers' output projections and MLPs; the rest is float32 (logits rounded to 8
 * bits would tie the likeliest tokens). `head` is `embedding` itself where the two are tied; both are `[vocabulary, hidden]`. */
export interface DecoderWeights {
  embedding: tf.Tensor2D
  layers: LayerWeights[]
  finalNorm: tf.Tensor
  head: tf.Tensor2D
}

/** Every tensor once, without those of `products` that are not weights themselves. */
export function weightTensors(weights: DecoderWeights): tf.Tensor[] {
  const layers = weights.layers.flatMap((layer) => layerTensors(layer).map(([, tensor]) => tensor))
  return [...new Set([weights.embedding, ...layers, weights.finalNorm, weights.head])]
}

/**
 * Every tensor that layers of a decoder compute with, `products` and adapters included, and their shapes in a line that
 * tells layers apart whose tensors are not the same.
 */
export function computingTensors(layers: readonly LayerWeights[]): { tensors: tf.Tensor[]; shapes: string } {
  const tensors: tf.Tensor[] = []
  let shapes = ''
  const add = (name: string, tensor: tf.Tensor) => {
    tensors.push(tensor)
    shapes += `${name} ${tensor.shape} `
  }
  for (const layer of layers) {
    for (const [name, tensor] of layerTensors(layer)) add(name, tensor)
    const { products } = layer
    if (!products) continue
    add('gateUp', products.gateUp)
    for (const name of NARROW_MATRICES) {
      const { matrix, adapter } = products[name]
      add(`narrow ${name}`, matrix)
      if (adapter) for (const [which, tensor] of Object.entries(adapter)) add(which, tensor)
    }
  }
  return { tensors, shapes }
}

/** Frees all weights, and what `products` hold. */
export function disposeWeights(weights: DecoderWeights): void {
  tf.dispose(weightTensors(weights))
  for (const { products } of weights.layers) if (products) disposeProducts(products)
}

/**
 * Reads all weights of a checkpoint into tensors, one at a time. With `bf16`, those that products can use so are held in bfloat16 alone.
 * Throws what the source throws for missing, malformed or non-finite tensors; nothing is held then.
 */
export async function readWeights(
  source: WeightSource,
  onProgress?: (done: number, total: number, note?: string) => void,
  precision: Precision = 'float32',
): Promise<DecoderWeights> {
  const { config } = source
  const { numHiddenLayers, numAttentionHeads: heads, numKeyValueHeads: keyValueHeads, headDim } = config
  const scope = new Scope()
  // Uploaded one by one, so that no more than a few are held twice.
  const held = <T extends tf.Tensor>(tensor: T): T => scope.keep(upload(tensor))
  const vector = async (name: string) => held(tf.tensor1d(await source.read(name)))
  const optional = (present: boolean, name: string) => (present ? vector(name) : Promise.resolve(null))
  // Several matrices with the same input are stacked along their outputs.
  const matrix = async (...names: string[]) => {
    const parts = await Promise.all(names.map((name) => source.read(name)))
    const columns = source.shape(names[0]!)[1]!
    const stacked = parts.length === 1 ? parts[0]! : concatenate(parts)
    return held(tf.tensor2d(stacked, [stacked.length / columns, columns]))
  }
  const embeddingLike = async (name: string) =>
    held(tf.tensor2d(await source.read(name), [config.vocabSize, config.hiddenSize]))
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
      const layer: LayerWeights = {
        inputNorm: await vector(`${at}input_layernorm.weight`),
        queryKeyValue: await matrix(...['q', 'k', 'v'].map((p) => `${attention}${p}_proj.weight`)),
        queryKeyValueBias: biases && held(tf.tensor1d(concatenate(biases))),
        queryKeyNorm:
          norms &&
          held(
            tf.tensor2d(concatenate([...Array(heads).fill(norms[0]), ...Array(keyValueHeads).fill(norms[1])]), [
              heads + keyValueHeads,
              headDim,
            ]),
          ),
        output: await matrix(`${attention}o_proj.weight`),
        outputBias: await optional(config.outputBias, `${attention}o_proj.bias`),
        postAttentionNorm: await vector(`${at}post_attention_layernorm.weight`),
        gate: await matrix(`${at}mlp.gate_proj.weight`),
        up: await matrix(`${at}mlp.up_proj.weight`),
        down: await matrix(`${at}mlp.down_proj.weight`),
      }
      layers.push(layer)
      if (precision === 'float32') continue
      const products = layerProducts(layer)
      scope.keep(products.gateUp)
      for (const name of NARROW_MATRICES) {
        scope.release(layer[name])
        layer[name] = scope.keep(products[name].matrix)
      }
      layer.products = products
    }
    onProgress?.(numHiddenLayers, numHiddenLayers, 'reading layers')
    const finalNorm = await vector('model.norm.weight')
    const head = config.tieWordEmbeddings ? embedding : await embeddingLike('lm_head.weight')
    const weights = { embedding, layers, finalNorm, head }
    for (const tensor of weightTensors(weights)) scope.give(tensor)
    for (const { products } of layers) if (products) scope.give(products.gateUp)
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

/** One tensor as a checkpoint stores it, fetched when its turn comes. */
export interface StoredWeight {
  name: string
  shape: number[]
  load: () => Float32Array
}

/**
 * The weights as a checkpoint stores them: Hugging Face names, float32.
 * Where embedding and head are tied, the head is left out.
 */
export function storedWeights(config: ModelConfig, weights: DecoderWeights): StoredWeight[] {
  const { numAttentionHeads: heads, numKeyValueHeads: keyValueHeads, headDim } = config
  const plain = (name: string, tensor: tf.Tensor | null): StoredWeight[] =>
    tensor ? [{ name, shape: [...tensor.shape], load: () => currentValues(tensor) }] : []
  /** What the layer multiplies with, in float32: of a matrix in bfloat16, with its adapter. */
  const matrix = (name: string, layer: LayerWeights, which: (typeof NARROW_MATRICES)[number]): StoredWeight[] => {
    const tensor = layer[which]
    const load = () => {
      if (!isBfloat16(tensor)) return currentValues(tensor)
      const wide = tf.tidy(() => {
        const own = toFloat32(tensor)
        const adapter = layer.products?.[which].adapter
        return adapter ? add(own, matMul(adapter.b, adapter.a)) : own
      })
      const numbers = wide.dataSync() as Float32Array
      wide.dispose()
      return numbers
    }
    return [{ name, shape: [...tensor.shape], load }]
  }
  /** Parts of a tensor stacked along its first axis, `width` numbers a row. */
  const parts = (sizes: [string, number][], load: () => Float32Array, width?: number): StoredWeight[] => {
    let row = 0
    return sizes.map(([name, rows]) => {
      const from = row * (width ?? 1)
      row += rows
      const to = row * (width ?? 1)
      return { name, shape: width === undefined ? [rows] : [rows, width], load: () => load().slice(from, to) }
    })
  }
  const layers = weights.layers.flatMap((layer, i) => {
    const at = `model.layers.${i}.`
    const attention = `${at}self_attn.`
    const projections = (kind: string): [string, number][] => [
      [`${attention}q_proj.${kind}`, heads * headDim],
      [`${attention}k_proj.${kind}`, keyValueHeads * headDim],
      [`${attention}v_proj.${kind}`, keyValueHeads * headDim],
    ]
    const { queryKeyValueBias: bias, queryKeyNorm: norm } = layer
    return [
      ...plain(`${at}input_layernorm.weight`, layer.inputNorm),
      ...parts(projections('weight'), () => currentValues(layer.queryKeyValue), config.hiddenSize),
      ...(bias ? parts(projections('bias'), () => currentValues(bias)) : []),
      ...(norm
        ? [
            { name: `${attention}q_norm.weight`, shape: [headDim], load: () => currentValues(norm).slice(0, headDim) },
            { name: `${attention}k_norm.weight`, shape: [headDim], load: () => currentValues(norm).slice(-headDim) },
          ]
        : []),
      ...matrix(`${attention}o_proj.weight`, layer, 'output'),
      ...plain(`${attention}o_proj.bias`, layer.outputBias),
      ...plain(`${at}post_attention_layernorm.weight`, layer.postAttentionNorm),
      ...matrix(`${at}mlp.gate_proj.weight`, layer, 'gate'),
      ...matrix(`${at}mlp.up_proj.weight`, layer, 'up'),
      ...matrix(`${at}mlp.down_proj.weight`, layer, 'down'),
    ]
  })
  return [
    ...plain('model.embed_tokens.weight', weights.embedding),
    ...layers,
    ...plain('model.norm.weight', weights.finalNorm),
    ...(config.tieWordEmbeddings ? [] : plain('lm_head.weight', weights.head)),
  ]
}
