import { z } from 'zod'
import { STRATEGY_NAMES } from '../credit/rhythmOptions'
import { LORA_TARGETS } from '../model/lora'

const whole = (least: number) => z.int().min(least)
const seed = whole(0).max(2 ** 32 - 1)
const positive = z.number().positive()
const atLeast0 = z.number().min(0)
const anyOptions = z.record(z.string(), z.unknown())

const moduleReference = z.strictObject({ module: z.string().min(1), options: anyOptions.default({}) })

const optimizer = z
  .strictObject({
    learningRate: positive.default(1e-6),
    warmupUpdates: whole(0).default(0),
    schedule: z.enum(['constant', 'linear', 'cosine']).default('constant'),
    finalShare: z.number().min(0).max(1).default(0),
    beta1: z.number().min(0).lt(1).default(0.9),
    beta2: z.number().min(0).lt(1).default(0.999),
    epsilon: atLeast0.default(1e-8),
    weightDecay: atLeast0.default(0),
    decay: z.enum(['matrices', 'all']).default('matrices'),
    state: z.enum(['float32', 'bf16']).default('float32'),
    maxGradientNorm: positive.nullable().default(1),
  })
  .prefault({})

const precision = z.enum(['float32', 'bf16']).optional()
const storedModel = z.strictObject({ from: z.string().min(1), precision })

const freshModel = z.strictObject({
  characters: z.string().min(2),
  end: z.string().length(1).default('\n'),
  numHiddenLayers: whole(1),
  hiddenSize: whole(1),
  intermediateSize: whole(1),
  numAttentionHeads: whole(1),
  numKeyValueHeads: whole(1),
  headDim: whole(2),
  maxPositionEmbeddings: whole(2),
  ropeTheta: positive.default(10000),
  rmsNormEps: positive.default(1e-5),
  tieWordEmbeddings: z.boolean().default(true),
  initializerRange: positive.default(0.02),
  precision,
})

const lora = z.strictObject({
  rank: whole(1).default(16),
  alpha: positive.default(32),
  targets: z
    .array(z.enum(LORA_TARGETS))
    .min(1)
    .refine((targets) => new Set(targets).size === targets.length, { error: 'expected each target once' })
    .default([...LORA_TARGETS]),
})

const supervised = z.strictObject({
  steps: whole(1),
  batch: whole(1).default(32),
  microBatch: whole(1).default(32),
  bucketSteps: whole(1).default(16),
  maxTokens: whole(2).nullable().default(null),
  demonstrations: z.string().min(1).default('task'),
  evaluateEvery: whole(0).default(0),
  optimizer,
})

const credit = z
  .strictObject({
    strategy: z
      .union([z.enum(STRATEGY_NAMES as [string, ...string[]]), moduleReference], {
        error: `expected one of ${STRATEGY_NAMES.join(', ')}, or {"module": path}`,
      })
      .default('coupled'),
    preset: z.enum(['v2', 'v1']).default('v2'),
    // Checked by rhythmOptions, which knows them.
    rl: anyOptions.default({}),
    options: anyOptions.default({}),
    excludeSink: z.boolean().default(false),
    heads: z.enum(['calibrated', 'response']).default('calibrated'),
    refreshEvery: whole(0).default(0),
    skipUnneededPass: z.boolean().default(true),
  })
  .prefault({})

const grpo = z.strictObject({
  steps: whole(1),
  prompts: whole(1).default(16),
  responses: whole(2).default(8),
  updates: whole(1).default(1),
  microBatch: whole(1).default(32),
  rolloutBatch: whole(1).default(512),
  temperature: positive.default(1),
  maxNewTokens: whole(1).default(1024),
  clipLow: z.number().min(0).max(1).default(0.2),
  clipHigh: atLeast0.default(0.2),
  aggregate: z.enum(['token', 'sequence', 'dr-grpo']).default('token'),
  advantage: z.enum(['population', 'sample', 'none']).default('population'),
  droppedGroups: z.enum(['counted', 'left-out']).default('counted'),
  maskTruncated: z.boolean().default(false),
  klCoefficient: atLeast0.default(0),
  entropyCoefficient: atLeast0.default(0),
  evaluateEvery: whole(0).default(0),
  credit,
  optimizer,
})

const evaluation = z.strictObject({
  split: z.enum(['validation', 'test']).default('test'),
  items: whole(1).default(512),
  samples: whole(1).default(8),
  temperature: positive.default(1),
  maxNewTokens: whole(1).default(1024),
  batch: whole(1).default(512),
})

/** What a configuration may hold, with defaults. Unknown keys are refused. */
export const configSchema = z.strictObject({
  seed: seed.default(0),
  dataSeed: seed.default(0),
  model: z.union([storedModel, freshModel], {
    error: 'expected {"from": a model} or {"characters", "numHiddenLayers", …}',
  }),
  task: z.union([z.strictObject({ name: z.string().min(1), options: anyOptions.default({}) }), moduleReference], {
    error: 'expected {"name": a task} or {"module": path}',
  }),
  lora: lora.nullable().default(null),
  recompute: z.boolean().default(false),
  supervised: supervised.nullable().default(null),
  grpo: grpo.nullable().default(null),
  evaluation: evaluation.nullable().default(null),
  checkpoints: z.strictObject({ every: whole(1).default(50), keep: whole(1).default(2) }).prefault({}),
  rollouts: z.strictObject({ every: whole(0).default(10), groups: whole(1).default(4) }).prefault({}),
  maxNonFiniteUpdates: whole(1).default(3),
  hashes: z.record(z.string(), z.string()).default({}),
})

/** The branch of a choice that a value was meant for, so that messages are about its keys. */
export function chosenBranch(path: readonly PropertyKey[], value: unknown): z.ZodType | null {
  const has = (key: string) => typeof value === 'object' && value !== null && key in value
  const at = path.join('.')
  if (at === 'model') return has('from') ? storedModel : has('characters') ? freshModel : null
  if (at === 'task' || at === 'grpo.credit.strategy') {
    if (has('module')) return moduleReference
    if (at === 'task' && has('name'))
      return z.strictObject({ name: z.string().min(1), options: anyOptions.default({}) })
  }
  return null
}
