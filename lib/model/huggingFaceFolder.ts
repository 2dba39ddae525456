/** Checkpoints as folders in the Hugging Face layout: config.json beside one or more safetensors files. */
import { existsSync, statSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { CheckpointError, quoted } from './checkpointError'
import type { ModelConfig } from './config'
import { checkTensors } from './expectedTensors'
import { allFinite } from './halfPrecision'
import {
  type CheckpointDtype,
  checkModelConfig,
  formatHuggingFaceConfig,
  parseHuggingFaceConfig,
} from './huggingFaceConfig'
import { type LazyTensor, SafetensorsFile, writeSafetensors } from './safetensors'
import type { WeightSource } from './weightSource'
import { syncFolder, temporaryName } from './writeFileAtomically'

const CONFIG = 'config.json'
const GENERATION_CONFIG = 'generation_config.json'
const WEIGHTS = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'
const MAX_JSON_BYTES = 64 * 2 ** 20

/**
 * Opens a folder with config.json and model.safetensors, or shards named by model.safetensors.index.json.
 * Throws CheckpointError if a file is missing or damaged, the model is of an unsupported kind, or tensors do not match the config.
 */
export async function openHuggingFaceFolder(folder: string): Promise<WeightSource> {
  const configPath = path.join(folder, CONFIG)
  if (!existsSync(configPath))
    throw new CheckpointError(`${folder} has no ${CONFIG}: expected a model folder in the Hugging Face layout`)
  const generationPath = path.join(folder, GENERATION_CONFIG)
  const generation = existsSync(generationPath) ? await readJson(generationPath) : undefined
  const config = parseHuggingFaceConfig(await readJson(configPath), generation, configPath)

  const files: SafetensorsFile[] = []
  const close = async () => {
    for (const file of files) await file.close()
  }
  try {
    const owners = await openWeightFiles(folder, files)
    for (const name of owners.keys()) if (name.endsWith('.rotary_emb.inv_freq')) owners.delete(name)
    if (config.tieWordEmbeddings) await dropTiedOutput(owners, folder)
    const shapes = new Map([...owners].map(([name, file]) => [name, file.shape(name)]))
    checkTensors(config, shapes, folder)
    const owner = (name: string) => {
      const file = owners.get(name)
      if (!file) throw new CheckpointError(`${folder} has no tensor ${quoted(name)}`)
      return file
    }
    return {
      path: folder,
      config,
      names: () => [...owners.keys()],
      shape: (name) => owner(name).shape(name),
      read: async (name) => owner(name).readFloat32(name),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function readJson(file: string): Promise<unknown> {
  const { size } = await stat(file)
  if (size > MAX_JSON_BYTES) throw new CheckpointError(`${file} has ${size} bytes; at most ${MAX_JSON_BYTES} are read`)
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new CheckpointError(`${file} is not JSON text: ${(error as Error).message}`, { cause: error })
  }
}

/** Opens the weight files into `files` and tells which holds which tensor. */
async function openWeightFiles(folder: string, files: SafetensorsFile[]): Promise<Map<string, SafetensorsFile>> {
  const single = path.join(folder, WEIGHTS)
  const owners = new Map<string, SafetensorsFile>()
  if (existsSync(single)) {
    const file = await SafetensorsFile.open(single)
    files.push(file)
    for (const name of file.names()) owners.set(name, file)
    return owners
  }
  const indexPath = path.join(folder, INDEX)
  if (!existsSync(indexPath)) throw new CheckpointError(await noWeightsMessage(folder))
  const shards = new Map<string, SafetensorsFile>()
  for (const [name, shard] of Object.entries(await readWeightMap(indexPath))) {
    let file = shards.get(shard)
    if (!file) {
      file = await SafetensorsFile.open(path.join(folder, shard))
      files.push(file)
      shards.set(shard, file)
    }
    file.shape(name)
    owners.set(name, file)
  }
  return owners
}

async function readWeightMap(indexPath: string): Promise<Record<string, string>> {
  const index = (await readJson(indexPath)) as { weight_map?: unknown } | null
  const map = index?.weight_map
  if (typeof map !== 'object' || map === null || Array.isArray(map))
    throw new CheckpointError(`${indexPath} has no weight_map: expected an object from tensor names to file names`)
  for (const [name, shard] of Object.entries(map))
    if (typeof shard !== 'string' || shard !== path.basename(shard) || !shard.endsWith('.safetensors'))
      throw new CheckpointError(
        `${indexPath} places tensor ${quoted(name)} in ${quoted(String(shard))}: expected the name of a .safetensors file in this folder`,
      )
  return map as Record<string, string>
}

async function noWeightsMessage(folder: string): Promise<string> {
  const others = (await readdir(folder)).filter((name) => /\.(bin|pt|pth|ckpt|h5|msgpack|gguf)$/.test(name))
  const found = others.length > 0 ? ` It has ${others.slice(0, 3).join(', ')}: ` : ''
  const advice = others.some((name) => name.endsWith('.gguf'))
    ? 'give the path of the .gguf file itself.'
    : others.length > 0
      ? 'save the model again with transformers, save_pretrained(…, safe_serialization=True).'
      : ''
  return `${folder} has neither ${WEIGHTS} nor ${INDEX}.${found}${advice}`
}

/** With tied embeddings the file may repeat them as lm_head.weight; an output layer that differs would be lost. */
async function dropTiedOutput(owners: Map<string, SafetensorsFile>, folder: string): Promise<void> {
  const output = owners.get('lm_head.weight')
  const embedding = owners.get('model.embed_tokens.weight')
  if (!output) return
  const same =
    embedding !== undefined &&
    sameNumbers(await output.readFloat32('lm_head.weight'), await embedding.readFloat32('model.embed_tokens.weight'))
  if (!same)
    throw new CheckpointError(
      `${folder}: ${CONFIG} ties the output to the embeddings, but lm_head.weight differs from model.embed_tokens.weight; ` +
        'set "tie_word_embeddings": false, or remove lm_head.weight',
    )
  owners.delete('lm_head.weight')
}

function sameNumbers(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength))
}

/** A tensor to be saved: its numbers, or a function that makes them when their turn comes. */
export type SavedTensor = { shape: number[]; data: Float32Array } | Omit<LazyTensor, 'dtype'>

export interface WriteFolderOptions {
  /** Number type of the weights in the file. Default float32, which loads back bit for bit. */
  dtype?: CheckpointDtype
  /** Further files by name, such as `tokenizer.json`. */
  extraFiles?: Record<string, string | Uint8Array>
  /** Weights beyond so many bytes are split into several files. Default 5e9. */
  maxShardBytes?: number
  /** Replace a model folder that is there already. Default false: throw. */
  replace?: boolean
}

/**
 * Saves a model in the Hugging Face layout, so that `openHuggingFaceFolder` and transformers 4 and 5 open it. The folder
 * appears whole or not at all; replacing an older one is two renames, between which the older one has a hidden name.
 * Throws CheckpointError if tensors do not match the config, hold NaN or infinities, or the folder is there already.
 */
export async function writeHuggingFaceFolder(
  folder: string,
  config: ModelConfig,
  tensors: Record<string, SavedTensor> | ReadonlyMap<string, SavedTensor>,
  options: WriteFolderOptions = {},
): Promise<void> {
  const { dtype = 'float32', extraFiles = {}, maxShardBytes = 5e9, replace = false } = options
  if (!Object.hasOwn(storedAs, dtype))
    throw new CheckpointError(`cannot save weights as ${quoted(dtype)}; expected ${Object.keys(storedAs).join(', ')}`)
  if (!(maxShardBytes > 0)) throw new CheckpointError(`maxShardBytes is ${maxShardBytes}; expected a positive number`)
  const target = path.resolve(folder)
  const entries = [...(tensors instanceof Map ? tensors : Object.entries(tensors as Record<string, SavedTensor>))]
  checkModelConfig(config, `cannot save ${target}: its config`)
  checkTensors(
    config,
    new Map(entries.map(([name, tensor]) => [name, tensor.shape])),
    `the model to be saved as ${target}`,
  )
  const configText = formatHuggingFaceConfig(config, dtype)
  await checkTarget(target, replace)

  await mkdir(path.dirname(target), { recursive: true })
  const temporary = temporaryName(target)
  await mkdir(temporary)
  try {
    await writeText(path.join(temporary, CONFIG), configText)
    for (const [name, content] of Object.entries(extraFiles)) {
      if (name !== path.basename(name) || [CONFIG, WEIGHTS, INDEX].includes(name))
        throw new CheckpointError(`${quoted(name)} cannot be an extra file of a model folder`)
      await writeText(path.join(temporary, name), content)
    }
    await writeWeights(temporary, entries, dtype, maxShardBytes)
    await syncFolder(temporary)
    await moveInto(temporary, target)
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    throw error
  }
}

const storedAs = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const

async function checkTarget(target: string, replace: boolean): Promise<void> {
  if (!existsSync(target)) return
  if (!statSync(target).isDirectory())
    throw new CheckpointError(`cannot save a model as ${target}: there is a file of that name`)
  const names = await readdir(target)
  if (names.length === 0) return
  if (!replace)
    throw new CheckpointError(`${target} exists already: choose another name, delete it, or pass replace: true`)
  if (!names.includes(CONFIG))
    throw new CheckpointError(`${target} is not a model folder (it has no ${CONFIG}), so it will not be replaced`)
}

/** `temporary` becomes `target`; what was there is removed. */
async function moveInto(temporary: string, target: string): Promise<void> {
  const older = temporaryName(target)
  const replaced = existsSync(target)
  if (replaced) await rename(target, older)
  try {
    await rename(temporary, target)
  } catch (error) {
    if (replaced) await rename(older, target)
    throw error
  }
  await syncFolder(path.dirname(target))
  if (replaced) await rm(older, { recursive: true })
}

async function writeText(file: string, content: string | Uint8Array): Promise<void> {
  const handle = await open(file, 'w')
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function writeWeights(
  folder: string,
  tensors: [string, SavedTensor][],
  dtype: CheckpointDtype,
  maxShardBytes: number,
): Promise<void> {
  const bytesEach = dtype === 'float32' ? 4 : 2
  const shards: Record<string, LazyTensor>[] = [{}]
  let total = 0
  let inShard = 0
  for (const [name, tensor] of tensors) {
    const bytes = tensor.shape.reduce((product, dimension) => product * dimension, bytesEach)
    if (inShard > 0 && inShard + bytes > maxShardBytes) {
      shards.push({})
      inShard = 0
    }
    const load = async () => checkedNumbers(name, 'load' in tensor ? await tensor.load() : tensor.data)
    shards[shards.length - 1][name] = { shape: tensor.shape, load, dtype: storedAs[dtype] }
    inShard += bytes
    total += bytes
  }
  // transformers refuses files that do not say in which framework's layout they are.
  const metadata = { format: 'pt' }
  if (shards.length === 1) return writeSafetensors(path.join(folder, WEIGHTS), shards[0], metadata)
  const padded = (number: number) => String(number).padStart(5, '0')
  const weightMap: Record<string, string> = {}
  for (const [i, shard] of shards.entries()) {
    const file = `model-${padded(i + 1)}-of-${padded(shards.length)}.safetensors`
    for (const name of Object.keys(shard)) weightMap[name] = file
    await writeSafetensors(path.join(folder, file), shard, metadata)
  }
  const index = { metadata: { total_size: total }, weight_map: weightMap }
  await writeText(path.join(folder, INDEX), `${JSON.stringify(index, null, 2)}\n`)
}

function checkedNumbers(name: string, data: Float32Array): Float32Array {
  if (!allFinite(data))
    throw new CheckpointError(
      `tensor ${quoted(name)} holds NaN or infinity, so the model is not saved: its training diverged`,
    )
  return data
}
