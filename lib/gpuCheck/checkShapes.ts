import type { CheckSize } from '../device/checkReport'
import type { ModelConfig } from '../model/config'

type Shape = Pick<
  ModelConfig,
  | 'vocabSize'
  | 'hiddenSize'
  | 'intermediateSize'
  | 'numHiddenLayers'
  | 'numAttentionHeads'
  | 'numKeyValueHeads'
  | 'headDim'
>

/** A decoder of Qwen3's form. It has no token that ends a response: all are as long as they may be. */
const qwen3 = (shape: Shape): ModelConfig => ({
  ...shape,
  modelType: 'qwen3',
  maxPositionEmbeddings: 32768,
  rmsNormEps: 1e-6,
  ropeTheta: 1e6,
  ropeScaling: null,
  qkvBias: false,
  outputBias: false,
  queryKeyNorm: true,
  tieWordEmbeddings: true,
  bosTokenId: null,
  eosTokenIds: [],
  padTokenId: null,
})

/** Shapes that are measured, by name. Qwen3's are the published ones. */
export const CHECKED_MODELS: Record<string, ModelConfig> = {
  'qwen3-0.6b': qwen3({
    vocabSize: 151936,
    hiddenSize: 1024,
    intermediateSize: 3072,
    numHiddenLayers: 28,
    numAttentionHeads: 16,
    numKeyValueHeads: 8,
    headDim: 128,
  }),
  'qwen3-4b': qwen3({
    vocabSize: 151936,
    hiddenSize: 2560,
    intermediateSize: 9728,
    numHiddenLayers: 36,
    numAttentionHeads: 32,
    numKeyValueHeads: 8,
    headDim: 128,
  }),
  'small-17m': qwen3({
    vocabSize: 8192,
    hiddenSize: 384,
    intermediateSize: 1152,
    numHiddenLayers: 8,
    numAttentionHeads: 6,
    numKeyValueHeads: 3,
    headDim: 64,
  }),
  tiny: qwen3({
    vocabSize: 64,
    hiddenSize: 32,
    intermediateSize: 64,
    numHiddenLayers: 3,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
    headDim: 8,
  }),
}

/** How large a step of GRPO is. */
export interface CheckedStep {
  prompts: number
  responses: number
  promptTokens: number
  responseTokens: number
  updates: number
  microBatch: number
}

/** What is measured at each size. */
export interface CheckPlan {
  /** Rows and columns of products. */
  matmul: number[]
  /** The decoder that two devices are compared on; responses and their tokens. */
  compared: { model: ModelConfig; responses: number; responseTokens: number }
  models: string[]
  step: CheckedStep
}

const comparedModel = (hiddenSize: number, layers: number, heads: number, vocabSize: number) =>
  qwen3({
    vocabSize,
    hiddenSize,
    intermediateSize: 2 * hiddenSize,
    numHiddenLayers: layers,
    numAttentionHeads: heads,
    numKeyValueHeads: heads / 2,
    headDim: 32,
  })

export const CHECK_PLANS: Record<CheckSize, CheckPlan> = {
  full: {
    matmul: [2048, 4096, 8192],
    compared: { model: comparedModel(256, 8, 16, 2048), responses: 4, responseTokens: 160 },
    models: ['qwen3-0.6b', 'qwen3-4b'],
    step: { prompts: 8, responses: 8, promptTokens: 64, responseTokens: 192, updates: 2, microBatch: 16 },
  },
  small: {
    matmul: [512, 1024, 2048],
    compared: { model: comparedModel(256, 8, 16, 2048), responses: 4, responseTokens: 160 },
    models: ['small-17m'],
    step: { prompts: 2, responses: 8, promptTokens: 32, responseTokens: 96, updates: 2, microBatch: 8 },
  },
  tiny: {
    matmul: [64],
    compared: { model: comparedModel(32, 4, 4, 64), responses: 2, responseTokens: 40 },
    models: ['tiny'],
    step: { prompts: 2, responses: 4, promptTokens: 6, responseTokens: 24, updates: 2, microBatch: 4 },
  },
}
