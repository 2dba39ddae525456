import { totalmem } from 'node:os'
import { bytesOfOthers, gpuInUse, listGpus } from '../../device/nvidiaSmi'
import { usablePrecision } from '../../engine/precision'
import { deviceReport, memory } from '../../engine/tensorflow'
import type { ModelConfig } from '../../model/config'
import { LORA_TARGETS } from '../../model/lora'
import type { TrainingConfig } from '../trainingConfig'
import { memoryMoments, peakMemory } from './memoryMoments'
import { bytesOf } from './parts'
import type { PlannedDevice } from './plannedDevice'
import type { PlannedLengths } from './plannedLengths'

/** Bytes that the device has for a run at most, beside what this process holds of them already; null where they are not known. */
export function deviceBytes(): number | null {
  if (deviceReport().device === 'GPU') return gpuBytes()
  const allowed = process.constrainedMemory()
  const machine = allowed > 0 ? Math.min(allowed, totalmem()) : totalmem()
  return Math.max(0, machine - bytesInUse())
}

/** A process with TensorFlow loaded, as it begins. */
const LOADED_BYTES = 0.4e9

/** What this process uses of its memory; the rest of it serves a run again. */
function bytesInUse(): number {
  const { rss, heapTotal, external } = process.memoryUsage()
  return Math.min(rss, LOADED_BYTES + heapTotal + external + memory().tensorBytes)
}

/** Whether freed memory serves any later use: a GPU's allocator pools it. */
export const memoryIsReturned = (): boolean => deviceReport().device === 'GPU'

function gpuBytes(): number | null {
  const gpu = gpuInUse(listGpus())
  if (!gpu || !(gpu.memoryBytes > 0)) return null
  return Math.max(0, usableGpuBytes(gpu.memoryBytes) - bytesOfOthers(gpu) - memory().tensorBytes)
}

/** Bytes for a run on a GPU that has so many: TensorFlow and CUDA keep some for themselves. */
export const usableGpuBytes = (bytes: number): number => 0.92 * bytes

/** A change of the configuration and the bytes that the run then needs. */
export interface Remedy {
  /** As `--set` takes it. */
  changes: string[]
  bytes: number
}

/**
 * What would make a run fit into `available` bytes: each single change that is enough, or, if none is, several that are enough together; null
 * if the run fits as it is. Empty if nothing helps but a smaller model.
 */
export function remedies(
  config: TrainingConfig,
  model: ModelConfig,
  lengths: PlannedLengths,
  device: Pick<PlannedDevice, 'sizes' | 'memoryIsReturned'>,
  available: number,
): Remedy[] | null {
  const momentsOf = (changed: TrainingConfig) => memoryMoments(changed, model, lengths, device)
  const needed = (changed: TrainingConfig) => peakMemory(momentsOf(changed), device.memoryIsReturned).bytes
  if (needed(config) <= available) return null
  const single = CHANGES.flatMap((change): Remedy[] => {
    let changed = change(config)
    while (changed && needed(changed.config) > available) changed = change(changed.config)
    return changed ? [{ changes: [changed.text], bytes: needed(changed.config) }] : []
  })
  if (single.length > 0) return single
  return combined(config, available, needed, (changed) =>
    momentsOf(changed).reduce((sum, { parts }) => sum + bytesOf(parts), 0),
  )
}

/** Changes made one after another, each the one that helps most, until all together are enough. */
function combined(
  config: TrainingConfig,
  available: number,
  needed: (config: TrainingConfig) => number,
  inUse: (config: TrainingConfig) => number,
): Remedy[] {
  const made = new Map<(typeof CHANGES)[number], string>()
  for (let whole = config; ; ) {
    const [peak, all] = [needed(whole), inUse(whole)]
    // Where two moments need the same, lowering one lowers no peak yet.
    const next = CHANGES.flatMap((change) => {
      const changed = change(whole)
      return changed ? [{ change, ...changed, peak: needed(changed.config), all: inUse(changed.config) }] : []
    })
      .filter((step) => step.peak < peak || (step.peak === peak && step.all < all))
      .sort((a, b) => a.peak - b.peak || a.all - b.all)[0]
    if (!next) return []
    whole = next.config
    made.set(next.change, next.text)
    if (next.peak <= available) return [{ changes: [...made.values()], bytes: next.peak }]
  }
}

interface Changed {
  config: TrainingConfig
  text: string
}

/** Each makes the run a little smaller, or gives null where that is not possible. */
const CHANGES: ((config: TrainingConfig) => Changed | null)[] = [
  halved('supervised', 'microBatch'),
  halved('grpo', 'microBatch'),
  halved('grpo', 'rolloutBatch'),
  halved('evaluation', 'batch'),
  (config) => (config.recompute ? null : { config: { ...config, recompute: true }, text: 'recompute=true' }),
  smallerMoments('supervised'),
  smallerMoments('grpo'),
  (config) =>
    config.lora && config.model.precision !== 'bf16' && usablePrecision('bf16', undefined, () => {}) === 'bf16'
      ? { config: { ...config, model: { ...config.model, precision: 'bf16' } }, text: 'model.precision=bf16' }
      : null,
  ({ lora, model, ...rest }) =>
    lora || !('from' in model)
      ? null
      : {
          config: {
            ...rest,
            model,
            lora: { rank: 16, alpha: 32, targets: LORA_TARGETS },
          },
          text: 'lora.rank=16',
        },
]

function halved(section: 'supervised' | 'grpo' | 'evaluation', key: 'microBatch' | 'rolloutBatch' | 'batch') {
  return (config: TrainingConfig): Changed | null => {
    const values = config[section] as Record<string, unknown> | null
    const value = values?.[key]
    if (typeof value !== 'number' || value <= 1) return null
    const half = Math.floor(value / 2)
    return { config: { ...config, [section]: { ...values, [key]: half } }, text: `${section}.${key}=${half}` }
  }
}

function smallerMoments(section: 'supervised' | 'grpo') {
  return (config: TrainingConfig): Changed | null => {
    const phase = config[section]
    if (!phase || phase.optimizer.state === 'bf16') return null
    const optimizer = { ...phase.optimizer, state: 'bf16' as const }
    return { config: { ...config, [section]: { ...phase, optimizer } }, text: `${section}.optimizer.state=bf16` }
  }
}
