import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'

/** A file as a hub lists it. Large files have a SHA-256; others the SHA-1 that git gives them as a blob. */
export interface RemoteFile {
  path: string
  /** Bytes. */
  size: number
  sha256?: string
  gitSha1?: string
}

export interface DownloadOptions {
  url: string
  headers?: Record<string, string>
  signal: AbortSignal
  /** Called with the number of bytes that are on disk. */
  onBytes?: (done: number) => void
  /** Tries after a broken connection or a server's passing trouble before giving up. Default 3. */
  retries?: number
  /** Wait before the first of them in milliseconds, doubled each time. Default 1,000. */
  retryDelay?: number
}

/** The answer was a refusal that trying again will not change. */
export class HttpRefusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
    this.name = 'HttpRefusal'
  }
}

/** The bytes are not those that the hub promised. */
export class CorruptDownload extends Error {
  override name = 'CorruptDownload'
}

/**
 * Downloads a file to `target` unless it is there with the right size. Bytes arrive in `target.partial`, which a later call
 * continues; only when size and hash are right does it get its name. Throws `HttpRefusal`, `CorruptDownload` (the partial
 * file is then removed), what made the last try fail, or the signal's reason.
 */
export async function downloadFile(file: RemoteFile, target: string, options: DownloadOptions): Promise<void> {
  if (await hasSize(target, file.size)) {
    options.onBytes?.(file.size)
    return
  }
  await mkdir(path.dirname(target), { recursive: true })
  const partial = `${target}.partial`
  const { retries = 3, retryDelay = 1000 } = options
  for (let attempt = 0; ; attempt++) {
    try {
      await continueDownload(file, partial, options)
      break
    } catch (error) {
      const final = error instanceof HttpRefusal || error instanceof CorruptDownload || isDiskError(error)
      if (final || options.signal.aborted || attempt >= retries) throw error
      await delay(retryDelay * 2 ** attempt, options.signal)
    }
  }
  await rename(partial, target)
}

async function continueDownload(file: RemoteFile, partial: string, options: DownloadOptions): Promise<void> {
  const { url, signal, onBytes } = options
  const handle = await open(partial, 'a')
  try {
    let { size: done } = await handle.stat()
    if (done > file.size) {
      await handle.truncate(0)
      done = 0
    }
    let hash = newHash(file)
    if (done > 0) for await (const chunk of createReadStream(partial, { signal })) hash.update(chunk)
    onBytes?.(done)

    if (done < file.size) {
      const headers = { ...options.headers, 'accept-encoding': 'identity' }
      const request = (from: number) =>
        fetch(url, { signal, headers: from > 0 ? { ...headers, range: `bytes=${from}-` } : headers })
      let response = await request(done)
      const continues =
        response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${done}-`) === true
      if (done > 0 && !continues && (response.ok || response.status === 416)) {
        // The server cannot continue: take the whole file.
        await handle.truncate(0)
        done = 0
        hash = newHash(file)
        if (response.status !== 200) {
          await response.body?.cancel()
          response = await request(0)
        }
      }
      if (!response.ok || !response.body) throw await refusal(response)
      done = await append(response.body, handle, file, hash, done, onBytes)
      await handle.sync()
      if (done < file.size) throw new Error(`the connection ended after ${done} of ${file.size} bytes`)
    }
    await verify(file, hash, partial)
  } finally {
    await handle.close()
  }
}

async function append(
  body: AsyncIterable<Uint8Array>,
  handle: FileHandle,
  file: RemoteFile,
  hash: Hash,
  start: number,
  onBytes?: (done: number) => void,
): Promise<number> {
  let done = start
  for await (const chunk of body) {
    if (done + chunk.length > file.size) {
      await handle.truncate(0)
      throw new CorruptDownload(`${file.path} is longer than the ${file.size} bytes that the hub lists; try again`)
    }
    await handle.appendFile(chunk)
    hash.update(chunk)
    done += chunk.length
    onBytes?.(done)
  }
  return done
}

function newHash(file: RemoteFile): Hash {
  return file.sha256 !== undefined ? createHash('sha256') : createHash('sha1').update(`blob ${file.size}\0`)
}

async function verify(file: RemoteFile, hash: Hash, partial: string): Promise<void> {
  const expected = file.sha256 ?? file.gitSha1
  const actual = hash.digest('hex')
  if (actual === expected) return
  await rm(partial, { force: true })
  throw new CorruptDownload(
    `${file.path} arrived damaged: its ${file.sha256 !== undefined ? 'SHA-256' : 'git SHA-1'} is ${actual}, ` +
      `the hub lists ${expected}. It was removed; try again`,
  )
}

/** An error for a response that is not the file. Server trouble (429, 5xx) is an ordinary error, and tried again. */
async function refusal(response: Response): Promise<Error> {
  const text = (await response.text().catch(() => '')).slice(0, 200)
  const message = `status ${response.status}${text ? `: ${text}` : ''}`
  const passing = response.status === 429 || response.status >= 500 || response.ok
  return passing ? new Error(message) : new HttpRefusal(response.status, message)
}

function isDiskError(error: unknown): boolean {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return code !== undefined && ['ENOSPC', 'EACCES', 'EROFS', 'EDQUOT', 'EISDIR', 'EPERM'].includes(code)
}

async function hasSize(file: string, size: number): Promise<boolean> {
  try {
    return (await stat(file)).size === size
  } catch {
    return false
  }
}

function delay(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, milliseconds)
    signal.addEventListener('abort', stop, { once: true })
  })
}
