import type { Precision } from '../engine/precision'
import type { ModelConfig } from '../model/config'
import { memoryMoments, type PeakMemory, peakMemory } from '../training/plan/memoryMoments'
import { deviceAtHand } from '../training/plan/plannedDevice'
import { parseConfig, withChanges } from '../training/readConfig'
import type { TrainingConfig } from '../training/trainingConfig'
import { size } from '../training/trainingPlan'
import type { CheckedStep } from './checkShapes'

/** Ways to train a model, from what is fastest to what needs least, as changes to a configuration. */
const WAYS: readonly string[][] = [
  [],
  ['recompute=true'],
  ['recompute=true', 'grpo.optimizer.state=bf16'],
  ['recompute=true', 'lora.rank=16'],
]

export interface SpeedChoice {
  precision?: Precision
  /** Bytes of the device; null: not known, and the first way is taken. Default: those of the device at hand. */
  available?: number | null
}

const ALL_WEIGHTS = 'all weights'

/** How a model is trained in the check, and what the plan of a run says that it takes. */
export interface SpeedSettings {
  config: TrainingConfig
  /** What was changed for it to fit; `all weights` otherwise. */
  settings: string[]
  peak: PeakMemory
}

/** The first way of training `model` that fits into the device by the plan of a run. Throws DoesNotFit. */
export function speedSettings(model: ModelConfig, step: CheckedStep, choice: SpeedChoice = {}): SpeedSettings {
  const device = deviceAtHand()
  const { precision = 'float32', available = device.availableBytes } = choice
  const { prompts, responses, promptTokens, responseTokens, updates, microBatch } = step
  const base = {
    model: { from: 'random weights', precision },
    task: { name: 'countdown' },
    grpo: { steps: 2, prompts, responses, updates, microBatch, maxNewTokens: responseTokens },
  }
  const lengths = { prompts: [promptTokens], demonstrations: [], responses: null }
  let least: PeakMemory | null = null
  for (const changes of WAYS) {
    const config = parseConfig(withChanges(base, changes))
    const peak = peakMemory(memoryMoments(config, model, lengths, device), device.memoryIsReturned)
    if (available === null || peak.bytes <= available)
      return { config, settings: changes.length > 0 ? [...changes] : [ALL_WEIGHTS], peak }
    if (!least || peak.bytes < least.bytes) least = peak
  }
  throw new DoesNotFit(
    `needs ${size(least!.bytes)} by the plan, with ${WAYS.at(-1)!.join(', ')}; the device has ${size(available!)} for it`,
  )
}

/** Thrown for a model that the device is too small for. */
export class DoesNotFit extends Error {}
