import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { lastLines } from './lastLines'
import type { JobStatus, LaunchedJob, Launcher } from './launcher'

/**
 * Processes of this machine, each in a session of its own: Ctrl-C on the terminal reaches the sweep alone, which then stops them
 * gently. They outlive a sweep that is killed, and the next one finds them again by their ids.
 */
export class LocalLauncher implements Launcher {
  readonly name = 'local'
  private readonly children = new Map<string, { child: ChildProcess; logFile: string }>()

  /** @param slots processes at a time */
  constructor(readonly slots: number) {
    if (!(Number.isSafeInteger(slots) && slots >= 1))
      throw new Error(`slots is ${slots}: expected a whole number of processes, at least 1`)
  }

  async submit(job: LaunchedJob): Promise<string> {
    if (job.resources.gpus > 0 && this.slots > job.resources.gpus)
      // Every process would take the same first GPU: nothing here hands them out.
      throw new Error(
        `${job.id} asks for ${job.resources.gpus} GPU, and ${this.slots} processes are to run at a time: give --slots 1, or use Ray`,
      )
    mkdirSync(path.dirname(job.logFile), { recursive: true })
    const log = openSync(job.logFile, 'a')
    const [program, ...args] = job.command
    const child = spawn(program!, args, {
      cwd: job.workingDirectory,
      env: { ...process.env, ...job.environment },
      detached: true,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', (error) => reject(new Error(`${job.id} could not be started: ${error.message}`)))
    })
    child.unref()
    const id = `${child.pid}-${startTime(child.pid!) ?? 'ended'}`
    this.children.set(id, { child, logFile: job.logFile })
    return id
  }

  async status(id: string): Promise<JobStatus> {
    const known = this.children.get(id)
    if (!known) return { state: alive(id) ? 'running' : 'lost' }
    const { exitCode, signalCode } = known.child
    if (exitCode === null && signalCode === null) return { state: 'running' }
    if (exitCode === 0) return { state: 'succeeded', exitCode }
    return { state: 'failed', exitCode, message: signalCode ? `ended by ${signalCode}` : `exit status ${exitCode}` }
  }

  async logs(id: string): Promise<string> {
    const known = this.children.get(id)
    return known ? lastLines(known.logFile) : ''
  }

  async stop(id: string): Promise<void> {
    if (!alive(id)) return
    try {
      process.kill(Number(id.split('-')[0]), 'SIGTERM')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }

  async close(): Promise<void> {
    this.children.clear()
  }
}

/** Whether the process that the id names still runs; its number alone may have passed to another one. */
function alive(id: string): boolean {
  const [pid, started] = id.split('-')
  return startTime(Number(pid)) === started
}

/** When a process was started, in clock ticks since the system's start; null if there is none, or it has ended. */
function startTime(pid: number): string | null {
  try {
    // After the program's name, which may hold anything, in parentheses: state is the first field, start the twentieth.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    return ['Z', 'X'].includes(fields[0]!) ? null : fields[19]!
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null
    throw error
  }
}
