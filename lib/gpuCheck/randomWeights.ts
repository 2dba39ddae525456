import { multiply, scalar } from '../engine/ops'
import { execute, tf, type } from '../engine/tensorflow'
import type { ModelConfig } from '../model/config'
import { layerProducts, NARROW_MATRICES } from '../model/layerProducts'
import { untrainedWeights } from '../model/untrainedWeights'
import type { DecoderWeights, LayerWeights } from '../model/weights'
import type { Products } from '../training/trainedModel'

/** Weights of an untrained decoder, drawn on the device itself: billions in seconds. The caller owns them. */
export function randomWeights(model: ModelConfig, products: Products = 'none'): DecoderWeights {
  let drawn = 0
  const matrix = (rows: number, columns: number): tf.Tensor2D =>
    tf.tidy(() => {
      const [shape, seed] = [tf.tensor1d([rows, columns], 'int32'), tf.tensor1d([1, drawn++], 'int32')]
      const types = [type('dtype', 'float32'), type('T', 'int32'), type('Tseed', 'int32')]
      return multiply(execute('StatelessRandomNormal', [shape, seed], ...types), scalar(0.02)) as tf.Tensor2D
    })
  return untrainedWeights(model, matrix, (layer) => withProducts(layer, products))
}

/** The layer with its matrices for bfloat16 products, as a run holds them. */
export function withProducts(layer: LayerWeights, products: Products): LayerWeights {
  if (products === 'none') return layer
  const narrow = layerProducts(layer)
  layer.products = narrow
  if (products === 'alone')
    for (const name of NARROW_MATRICES) {
      layer[name].dispose()
      layer[name] = narrow[name].matrix
    }
  return layer
}
