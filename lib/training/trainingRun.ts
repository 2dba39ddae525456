import type { RhythmOptions } from '../credit/rhythmOptions'
import type { LanguageModel } from '../model/languageModel'
import { refreshProducts } from '../model/layerProducts'
import type { LoraAdapters } from '../model/loraAdapters'
import type { Task } from '../tasks/task'
import { type AdamW, clipScale } from './adamw'
import type { TrainerState } from './checkpoint'
import type { GradientStore } from './gradients/gradientStore'
import { learningRate } from './learningRate'
import type { RolloutRecord } from './runFolder'
import type { ItemOrder } from './runStreams'
import type { StopRequest } from './stopRequest'
import type { OptimizerChoice, TrainingConfig } from './trainingConfig'
import type { ResolvedStrategy } from './userModule'

/** What the steps of a run share. */
export interface TrainingRun {
  config: TrainingConfig
  model: LanguageModel
  /** What is trained, where it is not the model's own weights. */
  adapters?: LoraAdapters | null
  gradients: GradientStore
  optimizer: AdamW
  task: Task<unknown>
  order: ItemOrder
  credit: ResolvedStrategy
  rhythm: RhythmOptions
  /** The policy that GRPO began with, where the loss has a KL term. */
  reference: LanguageModel | null
  state: TrainerState
  stop: StopRequest
}

/** What a step did. */
export interface StepResult {
  metrics: Record<string, number>
  /** Tokens that the step read and wrote. */
  tokens: number
  rollouts: RolloutRecord[]
}

/** What one update did. */
export interface UpdateResult {
  gradientNorm: number
  learningRate: number
  skipped: boolean
}

/**
 * Moves the weights by the gradients that are held, which are freed, unless loss or gradient is not finite: then the weights stay, and after
 * `maxNonFiniteUpdates` such updates in a row the run is to stop (`checkFinite`).
 */
export function update(
  run: TrainingRun,
  choice: OptimizerChoice,
  loss: number,
  index: number,
  total: number,
): UpdateResult {
  const gradientNorm = run.gradients.globalNorm()
  const rate = learningRate({ ...choice, rate: choice.learningRate }, index, total)
  if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
    run.state.nonFiniteUpdates++
    run.gradients.zero()
    return { gradientNorm, learningRate: rate, skipped: true }
  }
  run.optimizer.step(run.gradients.entries(), rate, clipScale(gradientNorm, choice.maxGradientNorm))
  run.gradients.zero()
  run.adapters?.apply()
  refreshProducts(run.model.weights)
  run.state.nonFiniteUpdates = 0
  run.state.updates = run.optimizer.updates
  return { gradientNorm, learningRate: rate, skipped: false }
}

/** Seconds of the phases of a step, under the names of metrics. */
export class PhaseTimes {
  readonly seconds: Record<string, number> = {}
  private started = performance.now()

  /** Time since the last call, or since the beginning, went into this phase. */
  end(phase: string): void {
    const now = performance.now()
    const name = `timing_s/${phase}`
    this.seconds[name] = (this.seconds[name] ?? 0) + (now - this.started) / 1000
    this.started = now
  }
}
