import type { ModelConfig } from '../model/config'
import { layerProducts, NARROW_MATRICES } from '../model/layerProducts'
import { untrainedWeights } from '../model/untrainedWeights'
import type { DecoderWeights, LayerWeights } from '../model/weights'
import type { Products } from '../training/trainedModel'
import { randomMatrix } from './randomMatrix'

/** Weights of an untrained decoder, drawn on the device itself: billions in seconds. The caller owns them. */
export function randomWeights(model: ModelConfig, products: Products = 'none'): DecoderWeights {
  let drawn = 0
  return untrainedWeights(
    model,
    (rows, columns) => randomMatrix(rows, columns, drawn++),
    (layer) => withProducts(layer, products),
  )
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
