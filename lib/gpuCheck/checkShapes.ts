import type { CheckSize } from '../device/checkReport'
import type { ModelConfig } from '../model/config'
import { publishedShape } from '../training/plan/publishedModels'

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

/** Without a token that ends a response: all are as long as they may be. */
const endless = (model: ModelConfig): ModelConfig => ({ ...model, eosTokenIds: [], padTokenId: null })

/** A decoder of Qwen3's form. */
const qwen3 = (shape: Shape): ModelConfig => ({ ...endless(publishedShape('Qwen/Qwen3-0.6B')!), ...shape })

/** Shapes that are measured, by name. Qwen3's are the published ones. */
export const CHECKED_MODELS: Record<string, ModelConfig> = {
  'qwen3-0.6b': endless(publishedShape('Qwen/Qwen3-0.6B')!),
  'qwen3-4b': endless(publishedShape('Qwen/Qwen3-4B')!),
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
