import { execute, flag, tf } from '../engine/tensorflow'
import type { ModelConfig } from '../model/config'
import { expectedTensors } from '../model/expectedTensors'
import { resolveModel } from '../model/hub'
import { openWeights } from '../model/openWeights'
import { freshConfig } from './trainedModel'
import type { TrainingConfig } from './trainingConfig'

/** What a run will need, estimated before anything large is allocated. */
export interface TrainingPlan {
  parameters: number
  /** Bytes by part, each at the moment when it is largest. Parts are not all held at once. */
  memory: Record<string, number>
  /** Bytes held at the most demanding moment. */
  peakBytes: number
  /** Seconds of a step by part, at the speed of a matrix product measured just now. A rough guide. */
  seconds: Record<string, number>
  /** Estimated seconds of the whole run. */
  totalSeconds: number
  /** Bytes of one checkpoint on the disk. */
  checkpointBytes: number
}

/** Share of the measured speed of large matrix products that small ones, attention and the rest reach. */
const EFFICIENCY = 0.25

/** Estimates memory and time of a run from shapes alone, and from a matrix product of a tenth of a second. */
export async function trainingPlan(config: TrainingConfig): Promise<TrainingPlan> {
  const model = await modelConfig(config)
  const sizes = [...expectedTensors(model).values()].map((shape) => shape.reduce((product, n) => product * n, 1))
  const parameters = sizes.reduce((sum, n) => sum + n, 0)
  const { supervised, grpo, evaluation } = config
  const prompt = 64
  const length = Math.min(model.maxPositionEmbeddings, prompt + (grpo?.maxNewTokens ?? 0))
  const { numHiddenLayers: L, hiddenSize: D, intermediateSize: F, numAttentionHeads: H, numKeyValueHeads: K } = model
  const perToken = (tokens: number) =>
    4 * (L * (6 * D + (2 * H + 2 * K) * model.headDim + 3 * F + H * Math.min(tokens, 1024)) + model.vocabSize)
  const batches = [
    ...(supervised
      ? [Math.min(supervised.batch, supervised.microBatch) * Math.min(length, model.maxPositionEmbeddings)]
      : []),
    ...(grpo ? [Math.min(grpo.microBatch, grpo.prompts * grpo.responses) * length] : []),
  ]
  const written = Math.max(
    grpo ? Math.min(grpo.rolloutBatch, grpo.prompts * grpo.responses) : 0,
    evaluation ? Math.min(evaluation.batch, evaluation.items * evaluation.samples) : 0,
  )
  const memory = {
    weights: 4 * parameters,
    gradients: 4 * parameters,
    optimizer: 8 * parameters,
    ...(grpo && grpo.klCoefficient > 0 ? { reference: 4 * parameters } : {}),
    activations: Math.max(0, ...batches) * perToken(length),
    cache: written * length * 2 * L * K * model.headDim * 4,
    logits: written * model.vocabSize * 4 * 2,
  }
  const held = memory.weights + memory.optimizer + (memory.reference ?? 0)
  const peakBytes = held + Math.max(memory.gradients + memory.activations, memory.cache + memory.logits)
  const rate = EFFICIENCY * productsPerSecond()
  const forward = (tokens: number) => (2 * parameters * tokens) / rate
  const seconds: Record<string, number> = {}
  let totalSeconds = 0
  if (supervised) {
    seconds.supervised = 3 * forward(supervised.batch * Math.min(length, prompt))
    totalSeconds += supervised.steps * seconds.supervised
  }
  if (grpo) {
    const tokens = grpo.prompts * grpo.responses * length
    seconds.rollout = forward(tokens)
    seconds.oldLogprob = forward(tokens)
    seconds.update = 3 * forward(tokens)
    totalSeconds += grpo.steps * (seconds.rollout + seconds.oldLogprob + seconds.update)
  }
  return { parameters, memory, peakBytes, seconds, totalSeconds, checkpointBytes: 12 * parameters }
}

/** The plan as text. */
export function planLines(plan: TrainingPlan): string[] {
  const size = (bytes: number) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`)
  const parts = Object.entries(plan.memory).map(([name, bytes]) => `${name} ${size(bytes)}`)
  const steps = Object.entries(plan.seconds).map(([name, s]) => `${name} ${s < 1 ? s.toFixed(2) : s.toFixed(1)} s`)
  return [
    `plan: ${(plan.parameters / 1e6).toFixed(1)}M parameters; about ${size(plan.peakBytes)} beside 0.4 GB of TensorFlow (${parts.join(', ')})`,
    `plan: a step about ${steps.join(', ')}; ${clock(plan.totalSeconds)} in all without evaluations; a checkpoint ${size(plan.checkpointBytes)}`,
  ]
}

async function modelConfig({ model }: TrainingConfig): Promise<ModelConfig> {
  if (!('from' in model)) return freshConfig(model)
  const source = await openWeights(await resolveModel(model.from))
  await source.close()
  return source.config
}

/** Multiplications and additions a second in a product of two 512 × 512 matrices. */
function productsPerSecond(): number {
  return tf.tidy(() => {
    const a = tf.ones([512, 512])
    const multiply = () => execute('MatMul', [a, a], flag('transpose_a', false), flag('transpose_b', false))
    multiply().dataSync()
    const started = performance.now()
    let count = 0
    for (; performance.now() - started < 50; count++) multiply().dataSync()
    return (count * 2 * 512 ** 3) / ((performance.now() - started) / 1000)
  })
}

function clock(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  if (seconds < 5400) return `${Math.round(seconds / 60)} minutes`
  return `${(seconds / 3600).toFixed(1)} hours`
}
