import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, realpathSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { hostname } from 'node:os'
import path from 'node:path'

/** Who trains in a run folder. */
export interface LockHolder {
  pid: number
  host: string
  /** ISO time at which it took the folder. */
  since: string
}

/** A holder on another machine that has not been heard of for so long is taken for dead, in milliseconds. */
const SILENCE = 120_000
const HEARTBEAT = 5_000

/**
 * Takes a run folder for this process; resolves to a function that lets it go. On one machine the lock is a name in Linux's
 * abstract socket space, which the system frees when its holder ends, however that happens: there is no stale lock.
 * `run.lock` beside it tells other machines with the same storage, by its time of change.
 * Throws if another process holds it, naming that process.
 */
export async function lockRun(folder: string): Promise<() => Promise<void>> {
  mkdirSync(folder, { recursive: true })
  const file = path.join(folder, 'run.lock')
  const { dev, ino } = statSync(realpathSync(folder))
  const key = createHash('sha256').update(`${dev}:${ino}`).digest('hex').slice(0, 32)
  const server = createServer((socket) => socket.destroy())
  const free = await new Promise<boolean>((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error)))
    server.listen(`\0reasoning-rhythm-run-${key}`, () => resolve(true))
  })
  const holder = lockHolder(folder)
  if (!free) throw inUse(folder, holder)
  if (holder && holder.host !== hostname() && Date.now() - statSync(file).mtimeMs < SILENCE) {
    server.close()
    throw inUse(folder, holder)
  }
  server.unref()
  const own: LockHolder = { pid: process.pid, host: hostname(), since: new Date().toISOString() }
  writeFileSync(file, `${JSON.stringify(own)}\n`)
  const heartbeat = setInterval(() => {
    const now = new Date()
    try {
      utimesSync(file, now, now)
    } catch {
      // The folder may have been removed under a running process; the run itself will say so.
    }
  }, HEARTBEAT)
  heartbeat.unref()
  return async () => {
    clearInterval(heartbeat)
    writeFileSync(file, '')
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
}

/** Who took the folder last, if it says so; whether that process still lives is another question. */
export function lockHolder(folder: string): LockHolder | null {
  try {
    return JSON.parse(readFileSync(path.join(folder, 'run.lock'), 'utf8')) as LockHolder
  } catch {
    return null
  }
}

/** Whether a process trains in the folder now: on this machine it is asked for, on another one its last sign is read. */
export function isLocked(folder: string): boolean {
  const holder = lockHolder(folder)
  if (!holder) return false
  if (holder.host !== hostname()) return Date.now() - statSync(path.join(folder, 'run.lock')).mtimeMs < SILENCE
  try {
    process.kill(holder.pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function inUse(folder: string, holder: LockHolder | null): Error {
  const who = holder ? `process ${holder.pid} on ${holder.host} since ${holder.since}` : 'another process'
  return new Error(`${folder} is in use by ${who}: stop that run, wait for it, or choose another folder`)
}
