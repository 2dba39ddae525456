import { multiply, scalar } from '../engine/ops'
import { execute, type Tensor, tf, type } from '../engine/tensorflow'
import type { ModelConfig } from '../model/config'
import { layerProducts, NARROW_MATRICES } from '../model/layerProducts'
import type { DecoderWeights, LayerWeights } from '../model/weights'
import type { Products } from '../training/trainedModel'

/** Weights of an untrained decoder, drawn on the device itself: billions in seconds. The caller owns them. */
export function randomWeights(model: ModelConfig, products: Products = 'none'): DecoderWeights {
  const { hiddenSize: D, intermediateSize: F, numAttentionHeads: H, numKeyValueHeads: K, headDim, vocabSize } = model
  let drawn = 0
  const matrix = (rows: number, columns: number): Tensor =>
    tf.tidy(() => {
      const [shape, seed] = [tf.tensor1d([rows, columns], 'int32'), tf.tensor1d([1, drawn++], 'int32')]
      const types = [type('dtype', 'float32'), type('T', 'int32'), type('Tseed', 'int32')]
      return multiply(execute('StatelessRandomNormal', [shape, seed], ...types), scalar(0.02))
    })
  const layer = (): LayerWeights => ({
    inputNorm: tf.ones([D]),
    queryKeyValue: matrix((H + 2 * K) * headDim, D),
    queryKeyValueBias: model.qkvBias ? tf.zeros([(H + 2 * K) * headDim]) : null,
    queryKeyNorm: model.queryKeyNorm ? tf.ones([H + K, headDim]) : null,
    output: matrix(D, H * headDim),
    outputBias: model.outputBias ? tf.zeros([D]) : null,
    postAttentionNorm: tf.ones([D]),
    gate: matrix(F, D),
    up: matrix(F, D),
    down: matrix(D, F),
  })
  const embedding = matrix(vocabSize, D) as tf.Tensor2D
  return {
    embedding,
    layers: Array.from({ length: model.numHiddenLayers }, () => withProducts(layer(), products)),
    finalNorm: tf.ones([D]),
    head: model.tieWordEmbeddings ? embedding : (matrix(vocabSize, D) as tf.Tensor2D),
  }
}

/** The layer with its matrices for bfloat16 products, as a run holds them. */
function withProducts(layer: LayerWeights, products: Products): LayerWeights {
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
