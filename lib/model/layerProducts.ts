import { toBfloat16 } from '../engine/bfloat16'
import { concat, slice } from '../engine/ops'
import { isBfloat16, tf } from '../engine/tensorflow'
import type { LayerProducts, NarrowMatrix } from './linear'
import type { DecoderWeights, LayerWeights } from './weights'

/** The matrices of a layer that `products` hold in bfloat16. */
export const NARROW_MATRICES = ['output', 'gate', 'up', 'down'] as const

/** Matrices of a layer in bfloat16; gate and up are views of one tensor. The caller owns them. */
export function layerProducts(layer: Pick<LayerWeights, (typeof NARROW_MATRICES)[number]>): LayerProducts {
  const kept = (make: () => tf.Tensor) => tf.keep(tf.tidy(make))
  const gateUp = kept(() => toBfloat16(concat([layer.gate, layer.up], 0)))
  const [rows, columns] = layer.gate.shape as [number, number]
  const narrow = (make: () => tf.Tensor): NarrowMatrix => ({ matrix: kept(make), adapter: null })
  return {
    output: narrow(() => toBfloat16(layer.output)),
    // Whole rows of a tensor share its memory.
    gate: narrow(() => slice(gateUp, [0, 0], [rows, columns])),
    up: narrow(() => slice(gateUp, [rows, 0], [rows, columns])),
    gateUp,
    down: narrow(() => toBfloat16(layer.down)),
  }
}

/** Makes bfloat16 products of float32 weights, beside them: what training needs, which moves the weights themselves. */
export function addProducts(weights: DecoderWeights): void {
  for (const layer of weights.layers) layer.products ??= layerProducts(layer)
}

/** Makes `addProducts`' matrices anew, after the weights have moved. Does nothing where there are none, or they are the weights. */
export function refreshProducts(weights: DecoderWeights): void {
  for (const layer of weights.layers) {
    if (!layer.products || isBfloat16(layer.down)) continue
    disposeProducts(layer.products)
    layer.products = layerProducts(layer)
  }
}

/** Frees what `layerProducts` made. */
export const disposeProducts = (products: LayerProducts): void =>
  tf.dispose([products.gateUp, ...NARROW_MATRICES.map((name) => products[name].matrix)])
