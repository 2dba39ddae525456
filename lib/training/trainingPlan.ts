import { usablePrecision } from '../engine/precision'
import type { ModelConfig } from '../model/config'
import type { LanguageModel } from '../model/languageModel'
import type { Task } from '../tasks/task'
import { memoryMoments, type PlannedMoment, peakMemory } from './plan/memoryMoments'
import { type Remedy, remedies } from './plan/memoryShortage'
import { parameterCounts } from './plan/parameterCounts'
import { bytesOf } from './plan/parts'
import { deviceAtHand, gpuWith, type PlannedDevice } from './plan/plannedDevice'
import { type PlannedLengths, plannedLengths } from './plan/plannedLengths'
import { plannedModel, plannedShape } from './plan/plannedModel'
import { type StepSeconds, stepSeconds } from './plan/timePlan'
import { ConfigError } from './readConfig'
import { resolveTask } from './resolveTask'
import type { TrainingConfig } from './trainingConfig'

/** What a run will need, estimated before anything large is allocated. */
export interface TrainingPlan {
  parameters: number
  /** Those that are trained: all, or the adapters'. */
  trained: number
  /** Bytes by part at the peak, beyond a process with TensorFlow loaded. They add up to `peakBytes`. */
  memory: Record<string, number>
  peakBytes: number
  /** When that is. */
  peakMoment: PlannedMoment
  /** Bytes that the device has for the run; null where that is not known. */
  availableBytes: number | null
  /** Bytes in use at every kind of moment. */
  moments: Partial<Record<PlannedMoment, number>>
  /** What would make the run fit into the device's memory; null if it fits, or if that is not known. */
  shortage: { availableBytes: number; remedies: Remedy[] } | null
  /** Tokens of the task's first prompts and demonstrations. */
  lengths: PlannedLengths
  /** Seconds of a step by phase, and of an evaluation, from small pieces of the work measured just now; empty for a run that does not fit, or whose device or texts are not here. */
  seconds: StepSeconds
  /** Estimated seconds of the whole run, evaluations included; null where `seconds` is empty. */
  totalSeconds: number | null
  /** Bytes of one checkpoint on the disk. */
  checkpointBytes: number
}

export interface PlanOptions {
  /** A task made by the caller, instead of the configuration's. */
  task?: Task<unknown>
  /** Plan for a GPU with so many bytes instead of the device at hand. Time is then not measured. */
  gpuBytes?: number
  /**
   * Tokens that prompts are taken to have. With it neither the task's items nor the model's tokenizer are read, and of a model known by name nothing is
   * downloaded. Time is then not measured.
   */
  promptTokens?: number
  /** Measure time as well. Default true. */
  time?: boolean
}

/**
 * Estimates memory and time of a run, in a second or two: lengths from its task, memory from shapes, time from gradients, decoding steps and the like
 * of one or a few layers. Memory is that of the longest sequences possible and of batches whose groups all have variance.
 * Throws ConfigError where prompts are given and demonstrations are missing.
 */
export async function trainingPlan(config: TrainingConfig, options: PlanOptions = {}): Promise<TrainingPlan> {
  const { gpuBytes, promptTokens, time = true } = options
  const device = gpuBytes === undefined ? deviceAtHand() : gpuWith(gpuBytes)
  if (promptTokens !== undefined)
    return planOf(config, await plannedShape(config.model), given(config, promptTokens), device)
  const text = await plannedModel(config.model)
  const { task } = await resolveTask(config.task, options.task)
  return planOf(config, text.config, plannedLengths(config, task, text), device, time ? text : null)
}

/** The lengths of a run whose prompts are not read. */
function given({ supervised }: TrainingConfig, promptTokens: number): PlannedLengths {
  if (supervised)
    throw new ConfigError(
      'a plan with given prompt tokens knows no demonstrations: plan with the model and its task, or with supervised=null',
    )
  return { prompts: [promptTokens], demonstrations: [], responses: null }
}

/** @param text measures time as well */
async function planOf(
  written: TrainingConfig,
  model: ModelConfig,
  lengths: PlannedLengths,
  device: PlannedDevice,
  text: LanguageModel | null = null,
): Promise<TrainingPlan> {
  const { availableBytes, memoryIsReturned, sizes, atHand } = device
  const config = atHand ? withUsablePrecision(written) : written
  const moments = memoryMoments(config, model, lengths, device)
  const peak = peakMemory(moments, memoryIsReturned)
  const needed = availableBytes === null ? null : remedies(config, model, lengths, device, availableBytes)
  const counts = parameterCounts(model, config.lora, config.model.precision)
  // What is measured is part of the run: where that does not fit, nothing is.
  const seconds = needed === null && atHand && text ? await stepSeconds(config, text, counts, lengths, sizes) : null
  const { state } = (config.grpo ?? config.supervised)!.optimizer
  return {
    parameters: counts.all,
    trained: counts.trained,
    memory: peak.parts,
    peakBytes: peak.bytes,
    availableBytes,
    peakMoment: peak.moment,
    moments: Object.fromEntries(moments.map(({ moment, parts }) => [moment, bytesOf(parts)])),
    shortage: needed && { availableBytes: availableBytes!, remedies: needed },
    lengths,
    seconds: seconds ?? {},
    totalSeconds: seconds ? totalSeconds(config, seconds) : null,
    checkpointBytes: 4 * (config.lora ? counts.trained : counts.all) + (state === 'bf16' ? 4 : 8) * counts.trained,
  }
}

/** The run as this machine will make it. */
function withUsablePrecision(config: TrainingConfig): TrainingConfig {
  const precision = config.model.precision && usablePrecision(config.model.precision)
  return precision === config.model.precision ? config : { ...config, model: { ...config.model, precision } }
}

function totalSeconds({ supervised, grpo, evaluation, model }: TrainingConfig, seconds: StepSeconds): number {
  const { rollout = 0, oldLogprob = 0, update = 0 } = seconds
  const evaluations = (phase: { steps: number; evaluateEvery: number } | null) =>
    phase === null ? 0 : phase.evaluateEvery > 0 ? Math.ceil(phase.steps / phase.evaluateEvery) : 1
  // There is one before the first step, unless nothing has been learned yet or warm-up has just ended with one.
  const first = 'from' in model || !supervised ? 1 : 0
  const count = evaluation ? first + evaluations(supervised) + evaluations(grpo) : 0
  return (
    (supervised?.steps ?? 0) * (seconds.supervised ?? 0) +
    (grpo?.steps ?? 0) * (rollout + oldLogprob + update) +
    count * (seconds.evaluation ?? 0)
  )
}

const MOMENTS: Record<PlannedMoment, string> = {
  supervised: 'supervised step',
  rollout: 'rollout',
  oldLogprob: 'old log-probabilities',
  update: 'update',
  evaluation: 'evaluation',
  checkpoint: 'checkpoint',
}

/** The plan as text. */
export function planLines(plan: TrainingPlan): string[] {
  const { parameters, trained, memory, moments, lengths, seconds } = plan
  const parts = Object.entries(memory).map(([name, bytes]) => `${name} ${size(bytes)}`)
  const inUse = Object.entries(moments).map(([name, bytes]) => `${MOMENTS[name as PlannedMoment]} ${size(bytes)}`)
  const steps = Object.entries(seconds).map(([name, s]) => `${MOMENTS[name as keyof StepSeconds]} ${duration(s)}`)
  const millions = (n: number) => `${(n / 1e6).toFixed(n < 1e7 ? 2 : 0)}M`
  const adapters = trained < parameters ? `, ${millions(trained)} of adapters` : ''
  return [
    `plan: ${millions(parameters)} parameters${adapters}; ${lengthText(lengths)}`,
    `plan: at most about ${size(plan.peakBytes)} of memory beside TensorFlow itself, in the ${MOMENTS[plan.peakMoment]}: ${parts.join(', ')}`,
    `plan: in use at most: ${inUse.join(', ')}`,
    ...(plan.availableBytes === null
      ? ['plan: how much memory the device has is not known (nvidia-smi does not say): whether the run fits, neither']
      : []),
    `plan: ${plan.totalSeconds === null ? 'time not measured' : `${steps.join(', ')}; ${duration(plan.totalSeconds)} in all`}; a checkpoint ${size(plan.checkpointBytes)}`,
  ]
}

/** Why the run does not fit into memory and which keys to change; null if it fits. */
export function shortageText({ peakBytes, shortage }: TrainingPlan): string | null {
  if (!shortage) return null
  const { availableBytes, remedies } = shortage
  const ways = remedies.map(({ changes, bytes }) => `--set ${changes.join(' ')} (${size(bytes)})`)
  return (
    `this run needs about ${size(peakBytes)} of memory beside TensorFlow itself, and ${size(availableBytes)} are there: ` +
    (ways.length > 0 ? ways.join(', or ') : 'no setting is small enough, take a smaller model')
  )
}

function lengthText({ prompts, demonstrations, responses }: PlannedLengths): string {
  const range = (values: readonly number[]) => {
    const low = values.reduce((a, b) => Math.min(a, b))
    const high = values.reduce((a, b) => Math.max(a, b))
    return low === high ? `${low}` : `${low} to ${high}`
  }
  const parts = [
    ...(prompts.length > 0 ? [`prompts of ${range(prompts)} tokens`] : []),
    ...(demonstrations.length > 0
      ? [`demonstrations of ${range(demonstrations.flat().map((s) => s.prompt + s.response))}`]
      : []),
  ]
  const assumed = responses ? 'responses as long as those of demonstrations' : 'responses as long as they may be'
  return [...parts, ...(prompts.length > 0 ? [`${assumed} (time)`] : [])].join(', ')
}

/** Bytes in decimal units. */
export function size(bytes: number): string {
  const [value, unit] = bytes >= 1e9 ? [bytes / 1e9, 'GB'] : [bytes / 1e6, 'MB']
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`
}

function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`
  if (seconds < 90) return `${Math.round(seconds)} s`
  if (seconds < 5400) return `${Math.round(seconds / 60)} minutes`
  return seconds < 2 * 86400 ? `${(seconds / 3600).toFixed(1)} hours` : `${Math.round(seconds / 86400)} days`
}
