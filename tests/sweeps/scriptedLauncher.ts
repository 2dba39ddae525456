import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JobStatus, LaunchedJob, Launcher } from '../../lib/sweeps/launcher'
import type { RunState } from '../../lib/training/runFolder'

/** What a scripted job does at each look: a status, whose run folder may say something first. */
export type ScriptedLook = JobStatus & { run?: Pick<RunState, 'state' | 'step'> & { error?: string } }

/** A launcher without processes: each job follows the script that `scriptOf` gives for it, its last look for ever. */
export class ScriptedLauncher implements Launcher {
  readonly name = 'scripted'
  readonly submitted: LaunchedJob[] = []
  readonly stopped: string[] = []
  /** Most jobs that were under way at once. */
  most = 0
  closed = false
  private readonly jobs = new Map<string, { job: LaunchedJob; looks: ScriptedLook[] }>()

  constructor(
    readonly slots: number,
    private readonly scriptOf: (run: string, attempt: number) => ScriptedLook[],
    private readonly steps: number,
  ) {}

  async submit(job: LaunchedJob): Promise<string> {
    const run = job.command.at(-1)!
    const attempt = Number(job.id.split('-').at(-1))
    this.submitted.push(job)
    // As a run does when it begins.
    cpSync(join(run, 'asked.json'), join(run, 'config.json'))
    this.jobs.set(job.id, { job, looks: [...this.scriptOf(run, attempt)] })
    this.most = Math.max(this.most, this.jobs.size)
    return job.id
  }

  async status(id: string): Promise<JobStatus> {
    const known = this.jobs.get(id)
    if (!known) return { state: 'lost' }
    const look = this.stopped.includes(id) ? { state: 'stopped' as const } : known.looks[0]!
    if (known.looks.length > 1) known.looks.shift()
    const { run, ...status } = look as ScriptedLook
    if (run) this.say(known.job.command.at(-1)!, run)
    if (!['waiting', 'running'].includes(status.state)) this.jobs.delete(id)
    return status
  }

  /** Writes `state.json` as a run does. */
  say(folder: string, run: NonNullable<ScriptedLook['run']>): void {
    mkdirSync(folder, { recursive: true })
    const changedAt = new Date().toISOString()
    writeFileSync(join(folder, 'state.json'), JSON.stringify({ steps: this.steps, changedAt, ...run }))
  }

  async logs(): Promise<string> {
    return 'first line\nlast line'
  }

  async stop(id: string): Promise<void> {
    this.stopped.push(id)
  }

  async close(): Promise<void> {
    this.closed = true
  }
}
