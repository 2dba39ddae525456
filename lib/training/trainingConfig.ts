import type { CreditOptions } from '../credit/creditOptions'
import type { BlockChoice, RhythmPreset } from '../credit/rhythmOptions'
import type { Precision } from '../engine/precision'
import type { LoraOptions } from '../model/lora'
import type { MomentType } from './adamMoments'
import type { Aggregation } from './grpoLoss'
import type { LearningRateSchedule } from './learningRate'

/** A module of the user: a JavaScript file whose default export is what is asked for, or a function of `options` that makes it. */
export interface ModuleReference {
  /** Path; in a configuration file relative to that file. */
  module: string
  options: Record<string, unknown>
}

/** Which task: one of this library by name, or a module. */
export type TaskChoice = { name: string; options: Record<string, unknown> } | ModuleReference

/** Where training starts: a checkpoint, or a new decoder whose tokens are single characters. */
export type ModelChoice = ({ from: string } | FreshModel) & {
  /**
   * Number type of matrix products, rollouts included. `bf16`: output projections and MLPs are multiplied in bfloat16, with copies of float32 weights
   * that follow each update, or, where adapters are trained, with those alone. Default `float32`.
   */
  precision?: Precision
}

export interface FreshModel {
  /** The characters, each a token, in the order of their ids. */
  characters: string
  /** The character that ends a response. */
  end: string
  numHiddenLayers: number
  hiddenSize: number
  intermediateSize: number
  numAttentionHeads: number
  numKeyValueHeads: number
  headDim: number
  maxPositionEmbeddings: number
  ropeTheta: number
  rmsNormEps: number
  tieWordEmbeddings: boolean
  /** Standard deviation of new matrices. */
  initializerRange: number
  precision?: Precision
}

/** AdamW and its learning rate. */
export interface OptimizerChoice {
  learningRate: number
  /** Updates of linear warm-up. */
  warmupUpdates: number
  schedule: LearningRateSchedule
  /** Last learning rate as a share of `learningRate` (linear, cosine). */
  finalShare: number
  beta1: number
  beta2: number
  epsilon: number
  weightDecay: number
  decay: 'matrices' | 'all'
  /**
   * Number type of the two moments: `float32` takes 8 bytes a trained weight, `bf16` 4, rounded up or down at random, which is noisier and
   * makes an update about five times as slow on a CPU.
   */
  state: MomentType
  /** Gradients are scaled down to this global norm; null: never. */
  maxGradientNorm: number | null
}

/** Next-token training on demonstrations, before GRPO or alone. */
export interface SupervisedChoice {
  steps: number
  /** Demonstrations of one step. */
  batch: number
  /** Demonstrations whose gradient is computed together. */
  microBatch: number
  /** Steps whose demonstrations are sorted by length together, so that a batch holds similar lengths. */
  bucketSteps: number
  /** Demonstrations with more tokens, prompt included, are left out and counted in the metrics; null: one that does not fit is an error. */
  maxTokens: number | null
  /** `task`: the task writes them; otherwise a JSONL file of {"prompt", "response"}. */
  demonstrations: string
  /** Steps between evaluations; 0: only after the last step. */
  evaluateEvery: number
  optimizer: OptimizerChoice
}

/** Where credit goes (Sec. 5 of the paper). */
export interface CreditChoice {
  /** A strategy's name, or a module whose default export is a strategy. */
  strategy: string | ModuleReference
  preset: RhythmPreset
  /** Changes to the preset's layers, head share, window and horizon. */
  rl: Partial<BlockChoice>
  /** Changes to the preset's credit options. */
  options: Partial<CreditOptions>
  excludeSink: boolean
  /** Head groups of each response by itself, or calibrated on the first rollouts. */
  heads: 'calibrated' | 'response'
  /** Calibrate again every so many steps; 0: never. */
  refreshEvery: number
  /** Uniform credit and one update a batch need no old log-probabilities: leave their pass, and the rhythm's metrics, out. */
  skipUnneededPass: boolean
}

export interface GrpoChoice {
  steps: number
  /** Prompts of one step. */
  prompts: number
  /** Responses to each prompt. */
  responses: number
  /** Updates made with each batch. */
  updates: number
  /** Responses whose gradient, and whose old log-probabilities, are computed together. */
  microBatch: number
  /** Responses written together. */
  rolloutBatch: number
  temperature: number
  maxNewTokens: number
  clipLow: number
  clipHigh: number
  aggregate: Aggregation
  /** What advantages are divided by: the group's population or sample standard deviation, or nothing (Dr. GRPO). */
  advantage: 'population' | 'sample' | 'none'
  /** Whether groups without variance, whose gradient is 0, still count in the loss's means. */
  droppedGroups: 'counted' | 'left-out'
  /** Leave responses out that did not end by themselves. */
  maskTruncated: boolean
  /** Weight of the KL divergence to the policy that GRPO began with. */
  klCoefficient: number
  entropyCoefficient: number
  /** Steps between evaluations; there is one before the first and after the last step in any case. */
  evaluateEvery: number
  credit: CreditChoice
  optimizer: OptimizerChoice
}

export interface EvaluationChoice {
  split: 'validation' | 'test'
  items: number
  /** k of avg@k. */
  samples: number
  temperature: number
  maxNewTokens: number
  /** Responses written together. */
  batch: number
}

/** All that a run depends on. */
export interface TrainingConfig {
  /** Of new weights, order of data, sampling and random credit. */
  seed: number
  /** Of the task's items: the same in all runs that are compared. */
  dataSeed: number
  model: ModelChoice
  task: TaskChoice
  /** Trains low-rank adapters and leaves the model's own weights as they are. Null: all weights are trained. */
  lora: LoraOptions | null
  /** Keeps only the input of each layer for the way back and computes the rest again: less memory, a third more time, the same bits. */
  recompute: boolean
  /** Null: none. */
  supervised: SupervisedChoice | null
  /** Null: none. */
  grpo: GrpoChoice | null
  /** Null: none. */
  evaluation: EvaluationChoice | null
  checkpoints: {
    /** Steps between checkpoints; the last step always has one. */
    every: number
    /** How many are kept beside the best one. */
    keep: number
  }
  rollouts: {
    /** Steps between recorded rollouts; 0: none. */
    every: number
    /** Groups that are recorded. */
    groups: number
  }
  /** Updates in a row with a loss or gradient that is not finite, after which the run stops. */
  maxNonFiniteUpdates: number
  /** Hashes of the user's code that a run was started with (`credit`, `task`), and of the model that adapters belong to (`model`); a run fills them in and resumes only with the same. */
  hashes: Record<string, string>
}

/** What a caller may leave out of `T`, at any depth: it takes its default. */
export type Partially<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [K in keyof T]?: Partially<T[K]> }
    : T

/** A configuration as it is written: what is left out takes its default. */
export type TrainingConfigInput = Partially<TrainingConfig>
