import { tf } from '../../lib/engine/tensorflow'
import type { ModelConfig } from '../../lib/model/config'
import type { LanguageModel } from '../../lib/model/languageModel'
import { randomModel } from '../../lib/model/loadModel'
import { randomStream } from '../../lib/random/randomStream'
import { forwardOf, type TinyModel } from '../oracle/tinyDecoder'

export const BASE: ModelConfig = {
  modelType: 'llama',
  vocabSize: 40,
  hiddenSize: 24,
  intermediateSize: 20,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  headDim: 6,
  maxPositionEmbeddings: 256,
  rmsNormEps: 1e-5,
  ropeTheta: 10000,
  ropeScaling: null,
  qkvBias: false,
  outputBias: false,
  queryKeyNorm: false,
  tieWordEmbeddings: false,
  bosTokenId: 0,
  eosTokenIds: [1],
  padTokenId: 1,
}
export const QWEN3: Partial<ModelConfig> = {
  modelType: 'qwen3',
  queryKeyNorm: true,
  headDim: 10,
  tieWordEmbeddings: true,
}

/** Random norms and biases, so that leaving one out shows. Rows of a head norm stay equal, as a checkpoint has them. */
export async function lively(change: Partial<ModelConfig>): Promise<LanguageModel> {
  const model = await randomModel({ ...BASE, ...change }, { seed: 7, initializerRange: 0.3 })
  for (const [i, layer] of model.weights.layers.entries()) {
    for (const [name, tensor] of Object.entries(layer) as [keyof typeof layer, tf.Tensor | null][]) {
      if (tensor === null || tensor.rank !== 1) continue
      layer[name] = tf.randomUniform(tensor.shape, 0.5, 1.5, 'float32', i + name.length) as never
      tensor.dispose()
    }
    if (layer.queryKeyNorm) {
      const [rows, width] = layer.queryKeyNorm.shape as [number, number]
      const heads = model.config.numAttentionHeads
      const values = Array.from({ length: rows }, (_, row) =>
        Array.from({ length: width }, (_, j) => (row < heads ? 1 + 0.05 * j : 1.2 - 0.04 * j)),
      )
      layer.queryKeyNorm.dispose()
      layer.queryKeyNorm = tf.tensor2d(values)
    }
  }
  return model
}

/** Sequences of mixed lengths and a linear loss of their statistics, whose derivatives are its coefficients. */
export function problem(lengths = [9, 14, 6]) {
  const random = randomStream(3)
  const sequences = lengths.map((n) => Array.from({ length: n }, () => Math.floor(random.uniform() * BASE.vocabSize)))
  const promptLengths = lengths.map((n, b) => (b === 0 ? 1 : Math.floor(n / 2)))
  const coefficients = () =>
    lengths.map((n, b) => Float32Array.from({ length: n - promptLengths[b]! }, () => random.uniform() - 0.4))
  return { batch: { sequences, promptLengths }, logprob: coefficients(), entropy: coefficients() }
}
export type Problem = ReturnType<typeof problem>

/** The loss by the plain 64-bit decoder. */
export function exactLoss(model: TinyModel, { batch, logprob, entropy }: Problem, temperature: number): number {
  let loss = 0
  for (const [b, ids] of batch.sequences.entries()) {
    const { logits } = forwardOf(model, ids)
    const prompt = batch.promptLengths[b]!
    for (let t = prompt; t < ids.length; t++) {
      const scaled = logits[t - 1]!.map((z) => z / temperature)
      const most = Math.max(...scaled)
      const logSum = most + Math.log(scaled.reduce((sum, z) => sum + Math.exp(z - most), 0))
      loss += logprob[b]![t - prompt]! * (scaled[ids[t]!]! - logSum)
      loss += entropy[b]![t - prompt]! * scaled.reduce((sum, z) => sum - Math.exp(z - logSum) * (z - logSum), 0)
    }
  }
  return loss
}

export const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, v, i) => sum + v * b[i]!, 0)
