/** Adapters as peft saves them: adapter_config.json and adapter_model.safetensors, which refer to the model that they adapt. */
import { existsSync, statSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { currentValues, tf } from '../engine/tensorflow'
import { CheckpointError, quoted } from './checkpointError'
import { resolveModel } from './hub'
import { type AdaptedMatrix, LORA_TARGETS } from './lora'
import { type AdapterNumbers, adapted, type LoraAdapters } from './loraAdapters'
import { type LazyTensor, SafetensorsFile, writeSafetensors } from './safetensors'
import type { WeightSource } from './weightSource'
import { writeFileAtomically } from './writeFileAtomically'

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'
const PREFIX = 'base_model.model.'

/** Keys of peft that change what an adapter means, with the only values that are read; others do not matter here. */
const adapterConfig = z.looseObject({
  peft_type: z.literal('LORA'),
  base_model_name_or_path: z.string().min(1),
  r: z.int().min(1),
  lora_alpha: z.number().positive(),
  use_rslora: z.boolean().default(false),
  use_dora: z.literal(false).nullish(),
  use_qalora: z.literal(false).nullish(),
  lora_bias: z.literal(false).nullish(),
  fan_in_fan_out: z.literal(false).nullish(),
  bias: z.literal('none').nullish(),
  modules_to_save: z.array(z.string()).max(0).nullish(),
  trainable_token_indices: z.null().optional(),
  rank_pattern: z.strictObject({}).nullish(),
  alpha_pattern: z.strictObject({}).nullish(),
})

/** Whether a path is a folder of adapters without the model that they adapt. */
export function isAdapterFolder(location: string): boolean {
  return (
    statSync(location, { throwIfNoEntry: false })?.isDirectory() === true &&
    existsSync(path.join(location, CONFIG)) &&
    !existsSync(path.join(location, 'config.json'))
  )
}

/** Saves adapters in peft's layout, float32. `base`: the model that they adapt, as `resolveModel` takes it. */
export async function saveAdapters(adapters: LoraAdapters, folder: string, base: string): Promise<void> {
  const { rank, alpha, targets } = adapters.options
  await mkdir(folder, { recursive: true })
  const tensors: Record<string, LazyTensor> = {}
  for (const { name, a, b } of adapters.adapters)
    for (const [factor, tensor] of Object.entries({ A: a, B: b }))
      tensors[factorName(name, factor as 'A' | 'B')] = {
        shape: tensor.shape,
        load: () => currentValues(tensor),
      }
  await writeSafetensors(path.join(folder, WEIGHTS), tensors, { format: 'pt' })
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: existsSync(base) ? path.resolve(base) : base,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    target_modules: LORA_TARGETS.filter((target) => targets.includes(target)),
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    modules_to_save: null,
    rank_pattern: {},
    alpha_pattern: {},
    use_dora: false,
    use_rslora: false,
  }
  await writeFileAtomically(path.join(folder, CONFIG), (write) =>
    write(Buffer.from(`${JSON.stringify(config, null, 2)}\n`)),
  )
}

/** A folder of adapters, open for reading. */
export interface AdapterFolder {
  /** Where the model lies that they adapt. */
  base: string
  rank: number
  alpha: number
  /** What the products are multiplied by. */
  scale: number
  /** Names of the adapted matrices: `model.layers.0.self_attn.q_proj`. */
  modules: Set<string>
  /** Throws a CheckpointError if the factors do not fit the matrix. */
  read(matrix: Pick<AdaptedMatrix, 'name' | 'rows' | 'columns'>): Promise<AdapterNumbers>
  close(): Promise<void>
}

/** Opens what peft, or `saveAdapters`, has written. Throws a CheckpointError naming what is not supported or does not belong there. */
export async function openAdapterFolder(folder: string): Promise<AdapterFolder> {
  const config = await readConfig(folder)
  const { r: rank, lora_alpha: alpha, base_model_name_or_path: base } = config
  const file = await SafetensorsFile.open(path.join(folder, WEIGHTS))
  try {
    const modules = adaptedModules(file)
    const factor = async (name: string, kind: 'A' | 'B', shape: number[]) => {
      const stored = factorName(name, kind)
      if (!modules.has(name) || String(file.shape(stored)) !== String(shape))
        throw new CheckpointError(
          `${file.path}: ${quoted(stored)} ${modules.has(name) ? `is [${file.shape(stored).join(', ')}]` : 'is missing'}; expected [${shape.join(', ')}]`,
        )
      return file.readFloat32(stored)
    }
    return {
      base: await resolveModel(/^\.{1,2}\//.test(base) ? path.resolve(folder, base) : base),
      rank,
      alpha,
      scale: config.use_rslora ? alpha / Math.sqrt(rank) : alpha / rank,
      modules,
      read: async ({ name, rows, columns }) => ({
        a: await factor(name, 'A', [rank, columns]),
        b: await factor(name, 'B', [rows, rank]),
      }),
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** A model whose adapted matrices are read as `W + scale · B A`: adapters merged into their base, which `openBase` opens. */
export async function openAdapted(
  folder: string,
  openBase: (location: string) => Promise<WeightSource>,
): Promise<WeightSource> {
  const adapters = await openAdapterFolder(folder)
  let base: WeightSource | null = null
  try {
    base = await openBase(adapters.base)
    const source = base
    const names = new Set(source.names())
    const unknown = [...adapters.modules].find((module) => !names.has(`${module}.weight`))
    if (unknown) throw new CheckpointError(`${folder} adapts ${quoted(unknown)}, which ${source.path} does not have`)
    return {
      path: folder,
      config: source.config,
      names: () => source.names(),
      shape: (name) => source.shape(name),
      read: async (name) => {
        const values = await source.read(name)
        const module = name.replace(/\.weight$/, '')
        if (!adapters.modules.has(module)) return values
        const [rows, columns] = source.shape(name) as [number, number]
        const { a, b } = await adapters.read({ name: module, rows, columns })
        const { rank, scale } = adapters
        const sum = tf.tidy(() =>
          adapted(
            tf.tensor2d(values, [rows, columns]),
            tf.tensor2d(a, [rank, columns]),
            tf.tensor2d(b, [rows, rank]),
            scale,
          ),
        )
        try {
          return sum.dataSync() as Float32Array
        } finally {
          sum.dispose()
        }
      },
      close: async () => {
        await adapters.close()
        await source.close()
      },
    }
  } catch (error) {
    await adapters.close()
    await base?.close()
    throw error
  }
}

/** Where the tokenizer and chat template of a model lie: adapters that come without take those of their base. */
export async function textLocation(location: string): Promise<string> {
  if (!isAdapterFolder(location)) return location
  if ((await readdir(location)).some((file) => /^tokenizer\./.test(file))) return location
  const adapters = await openAdapterFolder(location)
  await adapters.close()
  return textLocation(adapters.base)
}

async function readConfig(folder: string) {
  const file = path.join(folder, CONFIG)
  let value: unknown
  try {
    value = JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new CheckpointError(`${file} cannot be read as JSON: ${(error as Error).message}`, { cause: error })
  }
  const result = adapterConfig.safeParse(value)
  if (!result.success) {
    const [issue] = result.error.issues
    throw new CheckpointError(
      `${file}: ${issue!.path.join('.') || 'the file'} is not supported: ${issue!.message}. Merge the adapters with peft and give the merged model`,
    )
  }
  const begun = result.data.init_lora_weights
  if (typeof begun === 'string' && /^(pissa|olora|corda|loftq)/.test(begun))
    throw new CheckpointError(
      `${file}: init_lora_weights is ${quoted(begun)}, which changed the base's weights. Merge the adapters with peft and give the merged model`,
    )
  return result.data
}

/** Matrices that have both factors. */
function adaptedModules(file: SafetensorsFile): Set<string> {
  const modules = new Set<string>()
  for (const stored of file.names()) {
    const found = /^base_model\.model\.(.+)\.lora_[AB]\.weight$/.exec(stored)
    if (!found)
      throw new CheckpointError(
        `${file.path} holds ${quoted(stored)}, which is no factor of a matrix (${PREFIX}….lora_A.weight, ….lora_B.weight)`,
      )
    modules.add(found[1]!)
  }
  if (modules.size === 0) throw new CheckpointError(`${file.path} holds no factors`)
  return modules
}

const factorName = (module: string, factor: 'A' | 'B') => `${PREFIX}${module}.lora_${factor}.weight`
