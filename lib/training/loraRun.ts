import { openAdapterFolder, saveAdapters } from '../model/adapterFolder'
import type { Decoder } from '../model/decoder'
import type { LoraOptions } from '../model/lora'
import { LoraAdapters } from '../model/loraAdapters'
import { runSeed } from './runStreams'
import type { TrainingRun } from './trainingRun'

/** Adapters that are trained, and the model that they adapt, as `resolveModel` takes it. */
export interface TrainedAdapters {
  adapters: LoraAdapters
  base: string
}

/** The adapters that a run trains; null where it trains the model itself. */
export function trainedAdapters({ adapters, config }: TrainingRun): TrainedAdapters | null {
  return adapters && 'from' in config.model ? { adapters, base: config.model.from } : null
}

/** The adapters that a run begins with. */
export const newAdapters = (model: Decoder, options: LoraOptions, seed: number): LoraAdapters =>
  LoraAdapters.begin(model, options, runSeed(seed, 'lora'))

/** The adapters of a checkpoint's folder, applied to the model that they were trained on. */
export async function readAdapters(model: Decoder, options: LoraOptions, folder: string): Promise<LoraAdapters> {
  const file = await openAdapterFolder(folder)
  try {
    return await LoraAdapters.restore(model, options, (matrix) => file.read(matrix))
  } finally {
    await file.close()
  }
}

/** Saves adapters in peft's layout, with the name or the whole path of their base. */
export const saveTrainedAdapters = ({ adapters, base }: TrainedAdapters, folder: string): Promise<void> =>
  saveAdapters(adapters, folder, base)
