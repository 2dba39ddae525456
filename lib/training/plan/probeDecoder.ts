import type { Precision } from '../../engine/precision'
import { tf } from '../../engine/tensorflow'
import type { ModelConfig } from '../../model/config'
import type { Decoder } from '../../model/decoder'
import { addProducts } from '../../model/layerProducts'
import { untrainedWeights } from '../../model/untrainedWeights'
import { disposeWeights } from '../../model/weights'
import { randomStream } from '../../random/randomStream'

/**
 * A decoder with the layers of a model but fewer of them, and at most so many tokens: the same work for each layer, to measure how long it
 * takes. Its weights are one small random block repeated: constants would make numbers so small that arithmetic is slower.
 */
export interface ProbeDecoder extends Decoder {
  /** The same decoder with its first layer alone. */
  first: Decoder
  dispose(): void
}

/** Rows and columns of the block that weights repeat. */
const BLOCK = 64

export function probeDecoder(
  model: ModelConfig,
  layers: number,
  mostVocabulary: number,
  precision: Precision = 'float32',
): ProbeDecoder {
  const vocabSize = Math.min(model.vocabSize, mostVocabulary)
  const config = { ...model, numHiddenLayers: layers, vocabSize }
  const stream = randomStream(0)
  const matrix = (rows: number, columns: number) =>
    tf.tidy(() => {
      const block = tf.tensor2d(
        Float32Array.from({ length: BLOCK * BLOCK }, () => 0.02 * stream.normal()),
        [BLOCK, BLOCK],
      )
      const repeated = tf.tile(block, [Math.ceil(rows / BLOCK), Math.ceil(columns / BLOCK)])
      return tf.slice(repeated, [0, 0], [rows, columns])
    })
  const weights = untrainedWeights(config, matrix)
  if (precision === 'bf16') addProducts(weights)
  return {
    config,
    weights,
    first: { config: { ...config, numHiddenLayers: 1 }, weights: { ...weights, layers: weights.layers.slice(0, 1) } },
    dispose: () => disposeWeights(weights),
  }
}
