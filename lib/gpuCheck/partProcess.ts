import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { PartRequest, PartResults } from './checkPart'

export interface PartOptions {
  /** Variables on top of this process's. */
  env: Record<string, string>
  /** Seconds after which the process is ended. */
  limit: number
  onProgress: (note: string) => void
  signal?: AbortSignal
}

/** Does a part somewhere. Rejects with what was wrong. */
export type RunPart = <Request extends PartRequest>(
  request: Request,
  options: PartOptions,
) => Promise<PartResults[Request['part']]>

/** A line that a part's process prints. */
export type PartLine = { note: string } | { result: unknown }

/** Does a part in a process of its own: `rhythm gpu-check --part REQUEST`, which prints lines of JSON. */
export const runPartInProcess: RunPart = (request, { env, limit, onProgress, signal }) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli(), 'gpu-check', '--part', JSON.stringify(request)], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [rest, errors, overdue] = ['', '', false]
    let result: { value: unknown } | null = null
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        const read = lineOf(line)
        if (read && 'note' in read) onProgress(read.note)
        else if (read) result = { value: read.result }
      }
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-4000)
    })
    const timer = setTimeout(() => {
      overdue = true
      child.kill('SIGKILL')
    }, limit * 1000)
    const stop = () => child.kill('SIGKILL')
    signal?.addEventListener('abort', stop, { once: true })
    child.on('error', reject)
    child.on('close', (code, ended) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', stop)
      if (code === 0 && result) resolve(result.value as never)
      else
        reject(new Error(failure(overdue ? `it took longer than ${limit} s` : (ended ?? `exit code ${code}`), errors)))
    })
  })

/** Null for what the libraries underneath print. */
function lineOf(line: string): PartLine | null {
  if (!line.startsWith('{')) return null
  try {
    return JSON.parse(line) as PartLine
  } catch {
    return null
  }
}

const cli = () => {
  const built = path.join(__dirname, '..', 'cli.js')
  return existsSync(built) ? built : path.join(__dirname, '..', 'dist', 'cli.js')
}

/** The last lines that the process wrote, which say more than its exit code, without stacks and notes. */
function failure(how: string, errors: string): string {
  const beside = /^(WARNING: All log messages|[IW]\d{4} |\s*at |\s*\^|\s*[{}]$|Node\.js v|node:)/
  const lines = errors
    .split('\n')
    .filter((line) => line.trim() !== '' && !beside.test(line))
    .slice(-4)
  return lines.length === 0 ? how : `${lines.join(' | ').replace(/^rhythm: /, '')} (${how})`
}
