import type { ModelConfig } from '../../model/config'

const qwen3 = (hiddenSize: number, intermediateSize: number, layers: number, heads: number): ModelConfig => ({
  modelType: 'qwen3',
  vocabSize: 151936,
  hiddenSize,
  intermediateSize,
  numHiddenLayers: layers,
  numAttentionHeads: heads,
  numKeyValueHeads: 8,
  headDim: 128,
  maxPositionEmbeddings: 32768,
  rmsNormEps: 1e-6,
  ropeTheta: 1e6,
  ropeScaling: null,
  qkvBias: false,
  outputBias: false,
  queryKeyNorm: true,
  tieWordEmbeddings: true,
  bosTokenId: null,
  eosTokenIds: [151643],
  padTokenId: 151643,
})

const SHAPES: Record<string, ModelConfig> = {
  'Qwen3-0.6B': qwen3(1024, 3072, 28, 16),
  'Qwen3-1.7B': qwen3(2048, 6144, 28, 16),
  'Qwen3-4B': qwen3(2560, 9728, 36, 32),
}

/** The shape of a model as its publisher gives it, by its name on the hub, so that a plan needs no download; null for any other. */
export function publishedShape(name: string): ModelConfig | null {
  const [, model] = /^Qwen\/(Qwen3-[\d.]+B)(?:-Base)?$/.exec(name) ?? []
  return (model && SHAPES[model]) || null
}
