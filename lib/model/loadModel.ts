import { statSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { type Precision, usablePrecision } from '../engine/precision'
import { randomStream } from '../random/randomStream'
import { textLocation } from './adapterFolder'
import { loadChatTemplate } from './chatTemplate'
import type { ModelConfig } from './config'
import { expectedTensors } from './expectedTensors'
import { readGgufMetadata } from './ggufHeader'
import { tokenizerFromGguf } from './ggufTokenizer'
import { resolveModel } from './hub'
import { writeHuggingFaceFolder } from './huggingFaceFolder'
import { LanguageModel } from './languageModel'
import { loadTokenizer } from './loadTokenizer'
import { openWeights } from './openWeights'
import { readWeights, storedWeights } from './weights'

export interface LoadOptions {
  /**
   * Number type of matrix products. `bf16` holds output projections and MLPs in bfloat16 alone, which halves their memory and makes forward
   * passes and decoding faster; queries, keys, values, attention, norms, embedding, logits and what is computed from them stay float32. Where the
   * processor or GPU has no bfloat16 products, one line on standard error says so and float32 is used (`model.precision` tells).
   * Default `float32`.
   */
  precision?: Precision
  onProgress?: (done: number, total: number, note?: string) => void
  signal?: AbortSignal
}

/** Models held by this process, by path and time of change. They outlive a reload of this library. */
const slot = Symbol.for('reasoning-rhythm.models')
const holder = globalThis as unknown as Record<symbol, Map<string, Promise<LanguageModel>> | undefined>
const heldModels = (): Map<string, Promise<LanguageModel>> => {
  holder[slot] ??= new Map()
  return holder[slot]
}

/** What a checkpoint's folder may hold beside weights and config that a saved copy needs to be used as text. */
const TEXT_FILES =
  /^(tokenizer.*\.json|special_tokens_map\.json|vocab\.json|merges\.txt|added_tokens\.json|chat_template\..*|generation_config\.json)$/

/**
 * A model by name or path: `smollm2-135m-instruct` (packaged), a Hugging Face folder, a .gguf file, a folder of LoRA adapters
 * (merged into their base), or `owner/name` on the hub (downloaded once). The same model in the same precision asked for again is the one that is held, not another copy; `model.dispose()` frees it.
 * Throws what reading throws: unsupported architectures and tokenizers by name, damaged files, a hub out of reach.
 */
export async function loadModel(name: string, options: LoadOptions = {}): Promise<LanguageModel> {
  const location = await resolveModel(name, options)
  const held = heldModels()
  const precision = usablePrecision(options.precision ?? 'float32')
  const key = `${location}:${lastChange(location)}${precision === 'float32' ? '' : `:${precision}`}`
  const reading = held.get(key)
  if (reading) {
    const model = await reading
    if (!model.isDisposed) {
      if (model instanceof LanguageModel) return model
      // Held by an older copy of this library: the same weights under today's methods.
      const { config, weights, tokenizer, chatTemplate } = model as LanguageModel
      const renewed = new LanguageModel(name, config, weights, tokenizer, chatTemplate, location)
      held.set(key, Promise.resolve(renewed))
      return renewed
    }
  }
  const model = readModel(name, location, precision, options)
  held.set(key, model)
  try {
    return await model
  } catch (error) {
    held.delete(key)
    throw error
  }
}

async function readModel(
  name: string,
  location: string,
  precision: Precision,
  options: LoadOptions,
): Promise<LanguageModel> {
  const source = await openWeights(location)
  try {
    const text = await textLocation(location)
    const tokenizer = await tokenizerIfAny(text)
    const weights = await readWeights(source, options.onProgress, precision)
    return new LanguageModel(name, source.config, weights, tokenizer, await loadChatTemplate(text), text)
  } finally {
    await source.close()
  }
}

/** A folder with weights alone is a model without text; a tokenizer that is there but unsupported is an error. */
async function tokenizerIfAny(location: string) {
  if (!statSync(location).isDirectory()) return loadTokenizer(location)
  const files = await readdir(location)
  return files.some((file) => /^(tokenizer\.|vocab\.|spiece\.)/.test(file)) ? loadTokenizer(location) : null
}

function lastChange(location: string): number {
  const stats = statSync(location)
  if (!stats.isDirectory()) return stats.mtimeMs
  const files = ['config.json', 'adapter_config.json'].map((file) => path.join(location, file))
  return Math.max(0, ...files.map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0))
}

export interface RandomModelOptions {
  /** Default 0. */
  seed?: number
  /** Standard deviation of the normally distributed matrices. Default 0.02. Norms start at 1, biases at 0. */
  initializerRange?: number
  /** Tokenizer and chat template are taken from this model. */
  textFrom?: LanguageModel
}

/** An untrained decoder of the given shape. The caller owns it. */
export async function randomModel(config: ModelConfig, options: RandomModelOptions = {}): Promise<LanguageModel> {
  const { seed = 0, initializerRange = 0.02, textFrom } = options
  const shapes = expectedTensors(config)
  const names = [...shapes.keys()]
  const shape = (name: string) => {
    const found = shapes.get(name)
    if (!found) throw new Error(`a model of this config has no tensor ${name}`)
    return found
  }
  const weights = await readWeights({
    path: 'random initialisation',
    config,
    names: () => names,
    shape,
    read: async (name) => {
      const values = new Float32Array(shape(name).reduce((product, n) => product * n, 1))
      if (name.endsWith('norm.weight')) return values.fill(1)
      if (name.endsWith('.bias')) return values
      const stream = randomStream(seed, names.indexOf(name))
      for (let i = 0; i < values.length; i++) values[i] = stream.normal() * initializerRange
      return values
    },
    close: async () => {},
  })
  return new LanguageModel(
    `random-${seed}`,
    config,
    weights,
    textFrom?.tokenizer,
    textFrom?.chatTemplate,
    textFrom?.location,
  )
}

export interface SaveOptions {
  /** Number type in the file. Default float32, which loads back bit for bit. */
  dtype?: 'float32' | 'float16' | 'bfloat16'
  /** Replace a model folder that is there already. Default false: throw. */
  replace?: boolean
}

/** Saves a model as a folder in the Hugging Face layout, with its tokenizer and chat template; transformers opens it. Written whole or not at all. */
export async function saveModel(model: LanguageModel, folder: string, options: SaveOptions = {}): Promise<void> {
  const tensors = new Map(storedWeights(model.config, model.weights).map(({ name, ...tensor }) => [name, tensor]))
  await writeHuggingFaceFolder(folder, model.config, tensors, { ...options, extraFiles: await textFiles(model) })
}

async function textFiles(model: LanguageModel): Promise<Record<string, string | Uint8Array>> {
  const { location } = model
  if (!location || !model.tokenizer) return {}
  const files: Record<string, string | Uint8Array> = {}
  if (statSync(location).isDirectory()) {
    for (const file of await readdir(location)) {
      if (TEXT_FILES.test(file)) files[file] = await readFile(path.join(location, file))
    }
    return files
  }
  const { tokenizerJson, tokenizerConfig } = tokenizerFromGguf(await readGgufMetadata(location), location)
  files['tokenizer.json'] = JSON.stringify({ version: '1.0', truncation: null, padding: null, ...tokenizerJson })
  const template = typeof model.chatTemplate === 'string' ? { chat_template: model.chatTemplate } : {}
  files['tokenizer_config.json'] = JSON.stringify(
    { tokenizer_class: 'PreTrainedTokenizerFast', ...tokenizerConfig, ...template },
    null,
    2,
  )
  return files
}
