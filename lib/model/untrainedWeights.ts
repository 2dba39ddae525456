import { tf } from '../engine/tensorflow'
import type { ModelConfig } from './config'
import type { DecoderWeights, LayerWeights } from './weights'

/**
 * Weights of an untrained decoder, for measurements: matrices as `matrix` makes them, norms of one, biases of zero. The caller owns them.
 * @param matrix a new tensor `[rows, columns]`
 * @param asHeld turns a layer into what is kept of it, before the next one is made
 */
export function untrainedWeights(
  config: ModelConfig,
  matrix: (rows: number, columns: number) => tf.Tensor2D,
  asHeld: (layer: LayerWeights) => LayerWeights = (layer) => layer,
): DecoderWeights {
  const { hiddenSize: D, intermediateSize: F, numAttentionHeads: H, numKeyValueHeads: K, headDim, vocabSize } = config
  const layer = (): LayerWeights => ({
    inputNorm: tf.ones([D]),
    queryKeyValue: matrix((H + 2 * K) * headDim, D),
    queryKeyValueBias: config.qkvBias ? tf.zeros([(H + 2 * K) * headDim]) : null,
    queryKeyNorm: config.queryKeyNorm ? tf.ones([H + K, headDim]) : null,
    output: matrix(D, H * headDim),
    outputBias: config.outputBias ? tf.zeros([D]) : null,
    postAttentionNorm: tf.ones([D]),
    gate: matrix(F, D),
    up: matrix(F, D),
    down: matrix(D, F),
  })
  const embedding = matrix(vocabSize, D)
  return {
    embedding,
    layers: Array.from({ length: config.numHiddenLayers }, () => asHeld(layer())),
    finalNorm: tf.ones([D]),
    head: config.tieWordEmbeddings ? embedding : matrix(vocabSize, D),
  }
}
