import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pacer } from '../engine/cooperate'
import { parseProblem } from './problemLines'
import type { Problem } from './problems'

/** The dataset's name on the hub. */
export const GSM8K = 'openai/gsm8k'
export type Gsm8kSplit = 'test' | 'train'
export const gsm8kSplits: readonly Gsm8kSplit[] = ['test', 'train']

export interface Gsm8kHubOptions {
  split?: Gsm8kSplit
  /** Where the file is kept. */
  downloadsFolder: string
  endpoint?: string
  signal?: AbortSignal
}

/** The hub serves a few MB; anything much larger is another file than the one meant. */
const LARGEST_FILE = 100e6
const TIMEOUT = 120_000

/** GSM8K's problems from the hub's Parquet file, with the ids `gsm8k-test-1`, …; downloaded once, checked, and kept. */
export async function readGsm8kFromHub(options: Gsm8kHubOptions): Promise<Problem[]> {
  const { split = 'test', downloadsFolder } = options
  const inRepository = `main/${split}-00000-of-00001.parquet`
  const file = path.join(downloadsFolder, GSM8K.replace('/', '--'), inRepository)
  if (!existsSync(file)) await download(inRepository, file, options)

  const bytes = await readFile(file)
  let rows: Record<string, unknown>[]
  try {
    const { parquetReadObjects } = await import('hyparquet')
    const content = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer
    rows = await parquetReadObjects({ file: content, columns: ['question', 'answer'] })
  } catch (error) {
    throw new Error(
      `${file} is not the Parquet file that ${GSM8K} has on the hub (${(error as Error).message}): remove it, and it is downloaded again`,
      { cause: error },
    )
  }
  return rows.map((row, i) => parseProblem(row, `${file}, row ${i + 1}`, `gsm8k-${split}-${i + 1}`))
}

async function download(inRepository: string, file: string, { endpoint, signal }: Gsm8kHubOptions): Promise<void> {
  const offline = ['1', 'true', 'yes', 'on'].includes((process.env.HF_HUB_OFFLINE ?? '').toLowerCase())
  if (offline) throw notDownloaded(inRepository, file, 'HF_HUB_OFFLINE is set, which forbids it')
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
      repo: { type: 'dataset', name: GSM8K } as const,
      path: inRepository,
      hubUrl,
      fetch: ((input: string | URL | Request, init?: RequestInit) =>
        fetch(input, { ...init, signal: stopped })) as typeof fetch,
    }
    const downloadInfo = await hub.fileDownloadInfo(access)
    if (!downloadInfo) throw new Error('the dataset no longer has that file')
    if (downloadInfo.size > LARGEST_FILE) throw new Error(`it has ${downloadInfo.size} bytes, far more than expected`)
    const blob = await hub.downloadFile({ ...access, downloadInfo, xet: false })
    const bytes = new Uint8Array((await blob?.arrayBuffer()) ?? [])
    checkBytes(bytes, downloadInfo.size, downloadInfo.etag)
    await writeWhole(file, bytes)
  } catch (error) {
    await pause()
    throw notDownloaded(inRepository, file, `from ${hubUrl}: ${reason(error)}`, error)
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

function notDownloaded(inRepository: string, file: string, why: string, cause?: unknown): Error {
  return new Error(
    `cannot download ${inRepository} of ${GSM8K}, ${why}. Give the path of a copy of GSM8K in JSONL ({"question", "answer"}) instead, ` +
      `put the Parquet file at ${file}, or give nothing to use the project's own problems. Another hub is set by HF_ENDPOINT`,
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
