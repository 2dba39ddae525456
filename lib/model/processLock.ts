import { createHash } from 'node:crypto'
import { readFileSync, realpathSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { hostname } from 'node:os'

/** Who holds a lock. */
interface LockHolder {
  pid: number
  host: string
  /** ISO time at which it was taken. */
  since: string
}

export interface LockOptions {
  /** Locks for different purposes do not exclude each other. Letters and `-`. */
  purpose: string
  /** Says who holds the lock; other machines with the same storage go by its time of change. Removed when the lock is let go. */
  holderFile: string
  /** What to do if another process holds it, for the message. */
  advice: string
}

/** A holder on another machine that has not been heard of for so long is taken for dead, in milliseconds. */
const SILENCE = 120_000
const HEARTBEAT = 5_000

/**
 * Takes a folder or file, which must be there, for this process; resolves to a function that lets it go. On one machine the lock is a
 * name in Linux's abstract socket space, which the system frees when its holder ends, however that happens: there is no stale lock.
 * Throws if another process holds it, naming that process.
 */
export async function lockForProcess(
  target: string,
  { purpose, holderFile, advice }: LockOptions,
): Promise<() => Promise<void>> {
  const { dev, ino } = statSync(realpathSync(target))
  const key = createHash('sha256').update(`${dev}:${ino}`).digest('hex').slice(0, 32)
  const server = createServer((socket) => socket.destroy())
  const free = await new Promise<boolean>((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error)))
    server.listen(`\0reasoning-rhythm-${purpose}-${key}`, () => resolve(true))
  })
  const holder = lockHolder(holderFile)
  const refuse = () => {
    const who = holder ? `process ${holder.pid} on ${holder.host} since ${holder.since}` : 'another process'
    return new Error(`${target} is in use by ${who}: ${advice}`)
  }
  if (!free) throw refuse()
  if (holder && holder.host !== hostname() && isRecent(holderFile)) {
    server.close()
    throw refuse()
  }
  server.unref()
  const own: LockHolder = { pid: process.pid, host: hostname(), since: new Date().toISOString() }
  writeFileSync(holderFile, `${JSON.stringify(own)}\n`)
  const heartbeat = setInterval(() => {
    const now = new Date()
    try {
      utimesSync(holderFile, now, now)
    } catch {
      // The folder may have been removed under a running process; its work itself will say so.
    }
  }, HEARTBEAT)
  heartbeat.unref()
  return async () => {
    clearInterval(heartbeat)
    rmSync(holderFile, { force: true })
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
}

/** Who took the lock last, if the file says so; whether that process still lives is another question. */
function lockHolder(holderFile: string): LockHolder | null {
  try {
    return JSON.parse(readFileSync(holderFile, 'utf8')) as LockHolder
  } catch {
    return null
  }
}

/** Whether a process holds the lock now: on this machine it is asked for, on another one its last sign is read. */
export function isLockHeld(holderFile: string): boolean {
  const holder = lockHolder(holderFile)
  if (!holder) return false
  if (holder.host !== hostname()) return isRecent(holderFile)
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  return isHolder(holder)
}

/** Ticks of `/proc/PID/stat` in a second: Linux shows a hundred to programs, whatever it counts. */
const TICKS = 100
/** Clocks are set, and `btime` has whole seconds. */
const CLOCK_TOLERANCE = 5_000

/**
 * Whether the process with the holder's number is the holder. One that has ended stays listed until its parent takes notice, in a
 * container without an init for good; and after a reboot the number may be that of a process which began later.
 */
function isHolder({ pid, since }: LockHolder): boolean {
  try {
    // Third on follow the program's name, which may hold anything, in parentheses: its state, and as the 22nd field its start.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    if (['Z', 'X'].includes(fields[0]!)) return false
    const booted = /^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))
    const began = (Number(booted?.[1]) + Number(fields[22 - 3]) / TICKS) * 1000
    // Where either time is unknown, nothing is later.
    return !(began > Date.parse(since) + CLOCK_TOLERANCE)
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}

function isRecent(holderFile: string): boolean {
  const changed = statSync(holderFile, { throwIfNoEntry: false })
  return changed !== undefined && Date.now() - changed.mtimeMs < SILENCE
}
