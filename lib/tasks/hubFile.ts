import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pacer } from '../engine/cooperate'

/** A file of a dataset on the hub, and where it is kept. */
export interface HubFile {
  /** The dataset's name, e.g. `openai/gsm8k`. */
  repository: string
  /** Path of the file in the dataset. */
  inRepository: string
  /** Where files from the hub are kept: `<folder>/<repository with -->/<path>`. */
  downloadsFolder: string
  /** What to do if it cannot be had, for the error. */
  otherwise: string
  /** Base URL of the hub. Default: the environment variable HF_ENDPOINT, else the hub that `@huggingface/hub` knows. */
  endpoint?: string
  /** Largest size in bytes. Default 100 MB: a larger one is another file than the one meant. */
  largest?: number
  signal?: AbortSignal
}

const TIMEOUT = 120_000

/** The path of a dataset's file, downloaded the first time, checked against the hub's SHA-256, and kept. */
export async function hubFile(wanted: HubFile): Promise<string> {
  const file = localPath(wanted)
  if (!existsSync(file)) await download(wanted, file)
  return file
}

const localPath = ({ downloadsFolder, repository, inRepository }: HubFile) =>
  path.join(downloadsFolder, repository.replace('/', '--'), inRepository)

/**
 * Rows of a Parquet file that `hubFile` returned, only these columns if they are given. Throws an error that says to
 * remove the file where it is none.
 */
export async function parquetRows(
  file: string,
  repository: string,
  columns?: string[],
): Promise<Record<string, unknown>[]> {
  const bytes = await readFile(file)
  try {
    const { parquetReadObjects } = await import('hyparquet')
    const content = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer
    return await parquetReadObjects({ file: content, ...(columns && { columns }) })
  } catch (error) {
    throw new Error(
      `${file} is not the Parquet file that ${repository} has on the hub (${(error as Error).message}): remove it, and it is downloaded again`,
      { cause: error },
    )
  }
}

async function download(wanted: HubFile, file: string): Promise<void> {
  const { repository, inRepository, endpoint, signal, largest = 100e6 } = wanted
  const offline = ['1', 'true', 'yes', 'on'].includes((process.env.HF_HUB_OFFLINE ?? '').toLowerCase())
  if (offline) throw notDownloaded(wanted, file, 'HF_HUB_OFFLINE is set, which forbids it')
  const hub = await import('@huggingface/hub')
  const hubUrl = (endpoint || process.env.HF_ENDPOINT || hub.HUB_URL).replace(/\/+$/, '')

  // What an interrupt or the caller's signal stops is not a failure of the hub: `pause` throws `Interrupted` for both.
  const pause = pacer(signal)
  const stop = new AbortController()
  const timer = setInterval(() => void pause().catch((error) => stop.abort(error)), 100)
  const stopped = AbortSignal.any([stop.signal, AbortSignal.timeout(TIMEOUT)])
  try {
    await pause()
    const access = {
      repo: { type: 'dataset', name: repository } as const,
      path: inRepository,
      hubUrl,
      fetch: ((input: string | URL | Request, init?: RequestInit) =>
        fetch(input, { ...init, signal: stopped })) as typeof fetch,
    }
    const downloadInfo = await hub.fileDownloadInfo(access)
    if (!downloadInfo) throw new Error('the dataset no longer has that file')
    if (downloadInfo.size > largest) throw new Error(`it has ${downloadInfo.size} bytes, far more than expected`)
    const blob = await hub.downloadFile({ ...access, downloadInfo, xet: false })
    const bytes = new Uint8Array((await blob?.arrayBuffer()) ?? [])
    checkBytes(bytes, downloadInfo.size, downloadInfo.etag)
    await writeWhole(file, bytes)
  } catch (error) {
    await pause()
    throw notDownloaded(wanted, file, `from ${hubUrl}: ${reason(error)}`, error)
  } finally {
    clearInterval(timer)
  }
}

/** The entity tag of a large file on the hub is its SHA-256. */
function checkBytes(bytes: Uint8Array, size: number, etag: string): void {
  if (bytes.length !== size) throw new Error(`${bytes.length} of ${size} bytes arrived`)
  const expected = /^(?:W\/)?"?([0-9a-f]{64})"?$/.exec(etag)?.[1]
  if (expected && createHash('sha256').update(bytes).digest('hex') !== expected)
    throw new Error('what arrived does not have the SHA-256 that the hub states')
}

async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  const partial = `${file}.${randomBytes(4).toString('hex')}.partial`
  try {
    await writeFile(partial, bytes)
    await rename(partial, file)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

function notDownloaded(wanted: HubFile, file: string, why: string, cause?: unknown): Error {
  const { repository, inRepository, otherwise } = wanted
  return new Error(
    `cannot download ${inRepository} of ${repository}, ${why}. ${otherwise} Put the file at ${file} yourself, ` +
      'or set another hub by HF_ENDPOINT',
    { cause },
  )
}

/** `fetch failed` keeps what happened in its cause. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.cause instanceof Error) return reason(error.cause)
  const first = error instanceof AggregateError && error.errors.length > 0 ? reason(error.errors[0]) : ''
  return error.message || first || ((error as NodeJS.ErrnoException).code ?? error.name)
}
