import { statSync } from 'node:fs'
import { isAdapterFolder, openAdapted } from './adapterFolder'
import { CheckpointError } from './checkpointError'
import { openGguf } from './gguf'
import { openHuggingFaceFolder } from './huggingFaceFolder'
import type { WeightSource } from './weightSource'

/**
 * Opens a checkpoint: a folder in the Hugging Face layout, a .gguf file, or a folder of adapters, which are merged into their base.
 * Throws CheckpointError, saying what to give instead, on anything else.
 */
export async function openWeights(path: string): Promise<WeightSource> {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found)
    throw new CheckpointError(
      `there is no ${path}: expected a model folder (config.json and model.safetensors) or a .gguf file`,
    )
  if (isAdapterFolder(path)) return openAdapted(path, openWeights)
  if (found.isDirectory()) return openHuggingFaceFolder(path)
  if (path.toLowerCase().endsWith('.gguf')) return openGguf(path)
  if (path.endsWith('.safetensors'))
    throw new CheckpointError(`${path} is a file of weights without its config: give the folder that it lies in`)
  throw new CheckpointError(
    `${path} is not a model: expected a folder with config.json and model.safetensors, or a .gguf file`,
  )
}
