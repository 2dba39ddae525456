import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, stat, statfs, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pacer } from '../engine/cooperate'
import { CorruptDownload, downloadFile, HttpRefusal, type RemoteFile } from './resumableDownload'

/** A model on the hub: `owner/name`, `owner/name@revision`, `owner/name/FILE.gguf`, `owner/name/FILE.gguf@revision`. */
export interface HubName {
  repo: string
  /** A branch, tag or commit; null is the default branch. */
  revision: string | null
  /** The .gguf file to take, as a path in the repository; null takes the safetensors. */
  file: string | null
}

export interface HubOptions {
  /** The folder to download into. */
  folder: string
  /** Base URL of the hub. */
  endpoint: string
  token?: string
  /** Bytes of the whole model, a note such as `model.safetensors: 12.3 of 98.1 MB`, and the bytes of the file at hand. */
  onProgress?: (done: number, total: number, note?: string, file?: FileProgress) => void
  signal?: AbortSignal
  /** See `DownloadOptions`. */
  retryDelay?: number
}

export interface FileProgress {
  name: string
  done: number
  total: number
}

/** Written beside the files: what they are, so that a later call needs no network and mixes no revisions. */
interface Manifest {
  model: string
  /** As asked for; null is the default branch. */
  revision: string | null
  /** What it meant at that time. All files are of this commit. */
  commit: string
  complete: boolean
  files: RemoteFile[]
}

const MANIFEST = 'download.json'
const INDEX = 'model.safetensors.index.json'
const SMALL_FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
]

/** Reads a hub name; null if it has not the form of one. */
export function parseHubName(name: string): HubName | null {
  const match = /^(\w[\w.-]*\/\w[\w.-]*)(?:\/([\w./-]+\.gguf))?(?:@(\w[\w./-]*))?$/.exec(name)
  if (!match || name.split(/[/@]/).some((part) => part === '..' || part === '')) return null
  return { repo: match[1], file: match[2] ?? null, revision: match[3] ?? null }
}

/** What to load from the folder of a download: its only .gguf file, else the folder. Null if it is not there whole. */
export async function downloadedModel(folder: string): Promise<string | null> {
  const manifest = await readManifest(folder)
  if (!manifest?.complete) return null
  for (const file of manifest.files) {
    const target = path.join(folder, path.basename(file.path))
    if (!existsSync(target) || (await stat(target)).size !== file.size) return null
  }
  return modelPath(folder, manifest)
}

/** Whether a download into this folder was begun. A folder with files and without this was filled by hand. */
export function hasManifest(folder: string): boolean {
  return existsSync(path.join(folder, MANIFEST))
}

/**
 * Downloads what a model needs into a folder: configuration, tokenizer, chat template and safetensors, or one .gguf file.
 * Goes on with what an earlier call left, at the commit which that call found. Every file is checked against the hub's hash.
 * Returns the folder or .gguf file. Throws errors that name the model, the reason and what to do.
 */
export async function downloadModel(name: HubName, options: HubOptions): Promise<string> {
  return withStop(options.signal, async (signal) => {
    try {
      const manifest = await beginDownload(name, options, signal)
      await requireSpace(options.folder, manifest)
      const total = sum(manifest.files)
      let before = 0
      for (const file of manifest.files) {
        const progress = (done: number) => {
          const fileProgress = { name: path.basename(file.path), done, total: file.size }
          options.onProgress?.(before + done, total, note(fileProgress), fileProgress)
        }
        await fetchFile(name, manifest.commit, file, options, signal, progress)
        before += file.size
      }
      await writeManifest(options.folder, { ...manifest, complete: true })
      return modelPath(options.folder, manifest)
    } catch (error) {
      throw signal.aborted ? error : explain(error, name, options)
    }
  })
}

/** The manifest that an earlier call left, else a new one from the hub's listing. */
async function beginDownload(name: HubName, options: HubOptions, signal: AbortSignal): Promise<Manifest> {
  const earlier = await readManifest(options.folder)
  if (earlier) return earlier
  const { listFiles, modelInfo } = await import('@huggingface/hub')
  const access = {
    hubUrl: options.endpoint,
    ...(options.token !== undefined && { accessToken: options.token }),
    fetch: ((input: string | URL | Request, init?: RequestInit) => fetch(input, { ...init, signal })) as typeof fetch,
  }
  const { sha: commit } = await modelInfo({
    ...access,
    name: name.repo,
    additionalFields: ['sha'],
    ...(name.revision !== null && { revision: name.revision }),
  })
  const folderInRepo = name.file?.includes('/') ? path.posix.dirname(name.file) : undefined
  const listed: RemoteFile[] = []
  for await (const entry of listFiles({
    ...access,
    repo: { type: 'model', name: name.repo },
    revision: commit,
    ...(folderInRepo !== undefined && { path: folderInRepo }),
  })) {
    if (entry.type !== 'file') continue
    const hash = entry.lfs ? { sha256: entry.lfs.oid } : { gitSha1: entry.oid }
    listed.push({ path: entry.path, size: entry.lfs?.size ?? entry.size, ...hash })
  }
  const files = await chooseFiles(name, commit, listed, options, signal)
  const manifest: Manifest = { model: name.repo, revision: name.revision, commit, complete: false, files }
  await writeManifest(options.folder, manifest)
  return manifest
}

async function chooseFiles(
  name: HubName,
  commit: string,
  listed: RemoteFile[],
  options: HubOptions,
  signal: AbortSignal,
): Promise<RemoteFile[]> {
  const find = (file: string) => listed.find((entry) => entry.path === file)
  const gguf = listed.filter(({ path: file }) => file.endsWith('.gguf'))
  if (name.file !== null) {
    const file = find(name.file)
    if (!file) throw new HubAnswer(`it has no file ${name.file}${gguf.length > 0 ? `, but ${names(gguf)}` : ''}`)
    return [file]
  }
  const small = listed.filter(({ path: file }) => SMALL_FILES.includes(file))
  const single = find('model.safetensors')
  if (single) return [...small, single]
  const index = find(INDEX)
  if (index) {
    await fetchFile(name, commit, index, options, signal)
    const shards = shardNames(await readFile(path.join(options.folder, INDEX), 'utf8'))
    const missing = shards.filter((shard) => !find(shard))
    if (shards.length === 0 || missing.length > 0)
      throw new HubAnswer(
        `its ${INDEX} names ${missing.length > 0 ? `${missing.join(', ')}, which it lacks` : 'no file'}`,
      )
    return [...small, index, ...shards.map((shard) => find(shard) as RemoteFile)]
  }
  if (gguf.length === 1) return gguf
  if (gguf.length > 1)
    throw new HubAnswer(`it has several GGUF files: ask for one of them, as ${name.repo}/FILE.gguf: ${names(gguf)}`)
  throw new HubAnswer(
    `it has neither model.safetensors nor ${INDEX} nor a .gguf file, only ${names(listed)}. ` +
      "Weights in other formats can be converted with Python's transformers (save_pretrained)",
  )
}

/** The hub answered, and what it has is not what was asked for. */
class HubAnswer extends Error {}

function names(files: RemoteFile[]): string {
  const shown = files.slice(0, 20).map(({ path: file }) => file)
  return shown.join(', ') + (files.length > shown.length ? `, and ${files.length - shown.length} more` : '')
}

function shardNames(indexText: string): string[] {
  const weightMap: unknown = JSON.parse(indexText)?.weight_map
  return [...new Set(Object.values(weightMap ?? {}))].map(String).sort()
}

async function fetchFile(
  name: HubName,
  commit: string,
  file: RemoteFile,
  options: HubOptions,
  signal: AbortSignal,
  onBytes?: (done: number) => void,
): Promise<void> {
  const encoded = file.path.split('/').map(encodeURIComponent).join('/')
  let done = 0
  try {
    await downloadFile(file, path.join(options.folder, path.basename(file.path)), {
      url: `${options.endpoint}/${name.repo}/resolve/${commit}/${encoded}`,
      ...(options.token !== undefined && { headers: { authorization: `Bearer ${options.token}` } }),
      signal,
      onBytes: (bytes) => {
        done = bytes
        onBytes?.(bytes)
      },
      ...(options.retryDelay !== undefined && { retryDelay: options.retryDelay }),
    })
  } catch (error) {
    if (signal.aborted || error instanceof CorruptDownload || error instanceof HttpRefusal) throw error
    throw new BrokenOff(`${path.basename(file.path)} broke off at ${done} of ${file.size} bytes (${reason(error)})`)
  }
}

class BrokenOff extends Error {}

async function requireSpace(folder: string, manifest: Manifest): Promise<void> {
  let present = 0
  for (const { path: file } of manifest.files)
    for (const suffix of ['', '.partial']) {
      const target = path.join(folder, path.basename(file) + suffix)
      if (existsSync(target)) present += (await stat(target)).size
    }
  const needed = sum(manifest.files) - present
  const { bavail, bsize } = await statfs(folder)
  if (needed > bavail * bsize)
    throw new HubAnswer(
      `it needs ${megabytes(needed)} MB more on this disk, which has ${megabytes(bavail * bsize)} MB free`,
    )
}

/** An error for the reader: which model, what went wrong, what to do. */
function explain(error: unknown, name: HubName, { folder, endpoint, token }: HubOptions): Error {
  const what = `cannot download ${name.repo}${name.revision === null ? '' : `@${name.revision}`} from ${endpoint}`
  const status = statusOf(error)
  const advice = (() => {
    if (status === 401 || status === 403)
      return (
        `it does not exist, is private, or asks you to accept its terms (status ${status}). Check the name; for a private or ` +
        `gated model, accept its terms on its page and ${
          token === undefined ? 'set the environment variable HF_TOKEN' : 'check that the token in HF_TOKEN may read it'
        }`
      )
    if (status === 404)
      return `there is no such model${name.revision === null ? '' : ', or it has no such revision'} (status 404). Check the name`
    if (status !== undefined) return `${reason(error)}. Try again later: what has arrived is kept`
    if (error instanceof BrokenOff) return `${error.message}. What has arrived is kept: run it again to go on`
    if (error instanceof TypeError && error.message.startsWith('Your access token'))
      return "the environment variable HF_TOKEN does not hold a token: it must start with 'hf_'"
    if (error instanceof TypeError && error.message === 'fetch failed')
      return (
        `it cannot be reached (${reason(error)}). Without a network, put the model's files (config.json, tokenizer.json, ` +
        `tokenizer_config.json, *.safetensors) into ${folder} by hand and use the same name, or give the path of a ` +
        'folder or .gguf file. smollm2-135m-instruct is installed with this project and needs no network. ' +
        'Another hub is set by the environment variable HF_ENDPOINT'
      )
    return reason(error)
  })()
  return new Error(`${what}: ${advice}`, { cause: error })
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof HttpRefusal) return error.status
  const status = (error as { statusCode?: unknown } | null)?.statusCode
  return typeof status === 'number' ? status : undefined
}

/** What happened, in the words of the error nearest to it. `fetch failed` keeps the reason in its cause. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.cause instanceof Error) return reason(error.cause)
  const first = error instanceof AggregateError && error.errors.length > 0 ? reason(error.errors[0]) : ''
  return error.message || first || ((error as NodeJS.ErrnoException).code ?? error.name)
}

function modelPath(folder: string, { files }: Manifest): string {
  return files.length === 1 && files[0].path.endsWith('.gguf')
    ? path.join(folder, path.basename(files[0].path))
    : folder
}

async function readManifest(folder: string): Promise<Manifest | null> {
  const file = path.join(folder, MANIFEST)
  if (!existsSync(file)) return null
  try {
    const manifest = JSON.parse(await readFile(file, 'utf8')) as Manifest
    const whole = (entry: RemoteFile) =>
      typeof entry.path === 'string' && Number.isSafeInteger(entry.size) && Boolean(entry.sha256 ?? entry.gitSha1)
    if (typeof manifest.commit === 'string' && manifest.files.every(whole)) return manifest
  } catch {
    // Fall through: the message below says all there is to say.
  }
  throw new Error(`${file} is damaged: remove the folder, and the model is downloaded again`)
}

async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  await mkdir(folder, { recursive: true })
  const file = path.join(folder, MANIFEST)
  await writeFile(`${file}.partial`, `${JSON.stringify(manifest, null, 2)}\n`)
  await rename(`${file}.partial`, file)
}

/** Runs network work that stops within 200 ms of an interrupt or an abort, whatever it waits for. */
async function withStop<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const pause = pacer(signal)
  await pause()
  const stop = new AbortController()
  const timer = setInterval(() => void pause().catch((error) => stop.abort(error)), 100)
  try {
    return await work(signal ? AbortSignal.any([signal, stop.signal]) : stop.signal)
  } catch (error) {
    if (signal?.aborted) await pause()
    throw stop.signal.aborted ? stop.signal.reason : error
  } finally {
    clearInterval(timer)
  }
}

function sum(files: RemoteFile[]): number {
  return files.reduce((total, { size }) => total + size, 0)
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}

function note({ name, done, total }: FileProgress): string {
  return `${name}: ${megabytes(done)} of ${megabytes(total)} MB`
}
