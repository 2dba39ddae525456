import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { ConfigError } from '../training/readConfig'
import { lockRun } from '../training/runLock'
import { StopRequest } from '../training/stopRequest'
import { dropCheckpoints } from './dropCheckpoints'
import { lastLines } from './lastLines'
import { type JobStatus, type LaunchedJob, type Launcher, LauncherUnavailable } from './launcher'
import type { PlannedCell, PlannedRun, SweepPlan } from './planSweep'
import { reusableRuns } from './reusableRuns'
import { askFor, checkBegun, isHeld, type JobRecord, runProgress, SweepFolder } from './sweepFolder'
import {
  countStates,
  measuresOf,
  type RunView,
  type RunViewState,
  type SweepView,
  secondsLeft,
  secondsPerStep,
} from './sweepView'

export interface RunSweepOptions {
  launcher: Launcher
  /** Begin failed runs again, from their last checkpoints. */
  retry?: boolean
  /** Folders of other sweeps whose finished runs count for this one where they are the same run. */
  reuse?: readonly string[]
  /** GPUs of each run. Default 0. */
  gpus?: number
  /** Aborting stops the sweep: its runs end after their steps in progress. */
  signal?: AbortSignal
  /** Given a function that does what aborting does, with a reason; called again, it ends the runs at once. */
  onStart?: (stop: (reason: string) => void) => void
  /** After each look at the runs. */
  onUpdate?: (view: SweepView) => void
  /** What happened, a line each. */
  onEvent?: (text: string) => void
  /** Milliseconds between looks. Default 500. */
  every?: number
}

export interface SweepResult {
  folder: string
  /** `failed`: all that could be done is, and some runs failed. */
  state: 'finished' | 'stopped' | 'failed'
  /** Why it stopped. */
  reason: string | null
  view: SweepView
}

/** Times that a run may be killed without having made a step since, before it counts as failed. */
const FRUITLESS_ATTEMPTS = 3
/** Milliseconds before a launcher that did not answer is asked again. */
const UNAVAILABLE_PAUSE = 3000

/** One run as the sweep follows it. */
interface Followed {
  run: PlannedRun
  state: RunViewState
  message: string | null
  job: JobRecord | null
  /** Step at which the last process began, and how many before it ended without getting further. */
  beganAt: number
  fruitless: number
  reused: boolean
}

/**
 * Makes the runs of a plan, warm-ups before the cells that begin at them, and returns when all are done or have failed, or after a stop (an
 * abort, an interrupt, the folder's stop file). Started again it goes on, each run from its last checkpoint to the same bits. Throws an
 * Error if another process sweeps in the folder, and ConfigError where runs in it were begun with another configuration.
 */
export async function runSweep(plan: SweepPlan, options: RunSweepOptions): Promise<SweepResult> {
  await mkdir(plan.folder, { recursive: true })
  const release = await lockRun(plan.folder)
  try {
    const folder = new SweepFolder(plan.folder)
    await checkThreads(plan, folder)
    await checkBegun(plan)
    const reused = await reusableRuns(plan, options.reuse ?? [])
    const before = await folder.read()
    await folder.write(plan, reused)
    const gone = before?.cells.filter(({ name }) => !plan.cells.some((cell) => cell.name === name)) ?? []
    if (gone.length > 0)
      options.onEvent?.(
        `${gone.length} cells of an earlier sweep file stay in the folder and are no part of the sweep now, e.g. ${gone[0]!.name}`,
      )
    await rm(folder.stopFile, { force: true })
    return await new SweepRunner(plan, folder, reused, options).go()
  } finally {
    await release()
    await options.launcher.close()
  }
}

/** Other threads give other last bits: a sweep keeps those that it was begun with. */
export async function checkThreads(plan: SweepPlan, folder: SweepFolder): Promise<void> {
  const recorded = await folder.read()
  if (recorded && recorded.threads !== plan.threads)
    throw new ConfigError(
      `${plan.folder} was begun with ${recorded.threads} threads for each run; with ${plan.threads} its numbers would differ in their ` +
        `last bits. Give --threads ${recorded.threads}, or another folder`,
    )
}

class SweepRunner {
  private readonly followed: Followed[]
  private readonly started = performance.now()
  private readonly stop: StopRequest
  private note: string | null = null
  private unavailableUntil = 0
  /** How many times running jobs have been asked to end. */
  private stops = 0
  private wishes = 0

  constructor(
    private readonly plan: SweepPlan,
    private readonly folder: SweepFolder,
    reused: ReadonlyMap<string, string>,
    private readonly options: RunSweepOptions,
  ) {
    this.stop = new StopRequest(folder.stopFile, options.signal)
    this.followed = [...plan.warmups, ...plan.cells].map((run) => ({
      run: run.kind === 'cell' && reused.has(run.name) ? { ...run, folder: reused.get(run.name)! } : run,
      state: 'waiting',
      message: null,
      job: null,
      beganAt: 0,
      fruitless: 0,
      reused: run.kind === 'cell' && reused.has(run.name),
    }))
  }

  async go(): Promise<SweepResult> {
    this.options.onStart?.((reason) => {
      this.wishes++
      this.stop.request(reason)
    })
    for (const one of this.followed) await this.find(one)
    for (;;) {
      const asked = await this.stop.asked()
      await this.look()
      if (asked !== null) await this.stopRunning(asked)
      else await this.startWaiting()
      const running = this.followed.some(({ state }) => state === 'running')
      const more = this.followed.some((one) => one.state === 'waiting' && !this.isBlocked(one))
      const over = !running && (asked !== null || !more)
      const view = this.view(over)
      this.options.onUpdate?.(view)
      if (over) {
        return { folder: this.plan.folder, ...endOf(view, asked), view }
      }
      await new Promise((resolve) => setTimeout(resolve, this.options.every ?? 500))
    }
  }

  /** How a run stands when the sweep begins. */
  private async find(one: Followed): Promise<void> {
    const { run } = one
    const progress = runProgress(run)
    one.job = await this.folder.readJob(run)
    if (progress.state === 'finished') {
      one.state = 'done'
      return
    }
    if (one.job?.failed && !this.options.retry) {
      one.state = 'failed'
      one.message = one.job.failed
      return
    }
    const { launcher } = this.options
    if (!one.job?.id || one.job.failed || one.job.launcher !== launcher.name) return
    const status = await this.ask(() => launcher.status(one.job!.id!))
    // One that could not be asked is taken for running: the next look asks again.
    if (status && !['waiting', 'running'].includes(status.state)) return
    one.state = 'running'
    one.beganAt = progress.step
    this.event(`${run.name}: its process still runs and is followed`)
  }

  /** Looks at every running job, and judges those that have ended by their folders. */
  private async look(): Promise<void> {
    for (const one of this.followed) {
      if (one.state !== 'running') continue
      const status = await this.ask(() => this.options.launcher.status(one.job!.id!))
      if (!status || status.state === 'running') {
        if (status) one.message = null
        continue
      }
      if (status.state === 'waiting') one.message = status.message ?? `waits in ${this.options.launcher.name}'s queue`
      else await this.judge(one, status)
    }
  }

  private async judge(one: Followed, status: JobStatus): Promise<void> {
    const { run } = one
    const progress = runProgress(run)
    const own = progress.changedAt !== null && progress.changedAt >= one.job!.submittedAt
    if (progress.state === 'finished') {
      one.state = 'done'
      one.message = null
      if (run.kind === 'cell') await dropCheckpoints(run.folder, this.plan.sweep.checkpoints)
      this.event(`${run.name}: done`)
    } else if (own && progress.state === 'stopped') {
      one.state = 'stopped'
      one.message = this.stops > 0 ? null : 'was stopped by others; the next sweep goes on with it'
      this.event(`${run.name}: stopped at step ${progress.step} of ${run.steps}`)
    } else if (this.stops > 0 && !(own && progress.state === 'failed')) {
      one.state = 'stopped'
      this.event(`${run.name}: ended; it goes on from its last checkpoint`)
    } else if (own && progress.state === 'failed') await this.fail(one, progress.error ?? 'no reason was recorded')
    else await this.interrupted(one, status, progress.step)
  }

  /** A process that ended without its run saying why: what it printed, or a kill. */
  private async interrupted(one: Followed, status: JobStatus, step: number): Promise<void> {
    const { run, job } = one
    const ownEnd = typeof status.exitCode === 'number' && status.exitCode <= 128
    if (ownEnd) {
      const log = (await this.ask(() => this.options.launcher.logs(job!.id!))) || lastLines(this.folder.logFile(run))
      if (/is in use by/.test(log.split('\n').at(-1) ?? '')) {
        one.state = 'waiting'
        return
      }
      return this.fail(one, log.split('\n').slice(-4).join('\n') || `${status.message ?? 'ended'} without a word`)
    }
    one.fruitless = step > one.beganAt ? 0 : one.fruitless + 1
    const how = status.message ?? status.state
    if (one.fruitless >= FRUITLESS_ATTEMPTS)
      return this.fail(one, `${how}, ${one.fruitless} times at step ${step}: is there memory enough?`)
    one.state = 'waiting'
    this.event(`${run.name}: its process is gone (${how}); it goes on from its last checkpoint`)
  }

  private async fail(one: Followed, message: string): Promise<void> {
    const { run, job } = one
    one.state = 'failed'
    one.message = message
    const log = this.folder.logFile(run)
    const printed = job?.id && !existsSync(log) ? await this.ask(() => this.options.launcher.logs(job.id!)) : null
    if (printed) await writeFile(log, printed)
    one.job = { ...this.newJob(job?.attempt ?? 1), id: job?.id ?? null, failed: message }
    await this.folder.writeJob(run, one.job)
    this.event(`${run.name}: failed: ${message}${existsSync(log) ? `\n(log: ${log})` : ''}`)
  }

  private async stopRunning(reason: string): Promise<void> {
    const wanted = Math.max(1, this.wishes)
    if (this.stops >= wanted) return
    const running = this.followed.filter(({ state }) => state === 'running')
    if (this.stops === 0 && running.length > 0)
      this.event(`stopping (${reason}): ${running.length} runs end after their steps in progress`)
    this.note = 'stopping'
    this.stops++
    for (const one of running) await this.ask(() => this.options.launcher.stop(one.job!.id!))
  }

  private async startWaiting(): Promise<void> {
    if (performance.now() < this.unavailableUntil) return
    const { launcher } = this.options
    let free = launcher.slots - this.followed.filter(({ state }) => state === 'running').length
    for (const one of this.followed) {
      if (free <= 0) return
      if (one.state !== 'waiting' || this.warmupOf(one)) continue
      if (isHeld(one.run)) {
        one.message = 'another process is at it'
        // A warm-up that another sweep makes may be finished by now.
        if (runProgress(one.run).state === 'finished') one.state = 'done'
        continue
      }
      if (runProgress(one.run).state === 'finished') {
        one.state = 'done'
        continue
      }
      if (!(await this.start(one))) return
      free--
    }
  }

  /** False if the launcher does not answer. */
  private async start(one: Followed): Promise<boolean> {
    const { run } = one
    const { launcher } = this.options
    // A job that was written down but never got an id may be with the launcher already: it keeps its number.
    const attempt = one.job ? one.job.attempt + (one.job.id === null && !one.job.failed ? 0 : 1) : 1
    one.job = this.newJob(attempt)
    await this.folder.writeJob(run, one.job)
    try {
      one.job.id = await launcher.submit(await this.jobOf(run, attempt))
    } catch (error) {
      if (error instanceof LauncherUnavailable) {
        this.unavailable(error)
        return false
      }
      await this.fail(one, (error as Error).message)
      return true
    }
    this.note = null
    await this.folder.writeJob(run, one.job)
    const { step } = runProgress(run)
    one.beganAt = step
    one.state = 'running'
    one.message = null
    this.event(`${run.name}: ${step > 0 ? `goes on from its last checkpoint (was at step ${step})` : 'started'}`)
    return true
  }

  private newJob(attempt: number): JobRecord {
    return {
      launcher: this.options.launcher.name,
      id: null,
      attempt,
      submittedAt: new Date().toISOString(),
      failed: null,
    }
  }

  private async jobOf(run: PlannedRun, attempt: number): Promise<LaunchedJob> {
    const asked = await askFor(run)
    const sweep = createHash('sha256').update(this.plan.folder).digest('hex').slice(0, 8)
    const own = createHash('sha256').update(run.name).digest('hex').slice(0, 8)
    const readable = run.name.replace(/[^A-Za-z0-9_-]+/g, '-').slice(0, 80)
    const threads = String(this.plan.threads)
    const inherited = Object.entries(process.env).filter(([name]) => /^(TF_|OMP_|GLIBC_TUNABLES$)/.test(name))
    return {
      id: `${sweep}-${readable}-${own}-${attempt}`,
      command: [process.execPath, commandLineTool(), 'train', asked, '--run', run.folder],
      workingDirectory: this.plan.folder,
      environment: {
        ...(Object.fromEntries(inherited) as Record<string, string>),
        TF_NUM_INTRAOP_THREADS: threads,
        TF_NUM_INTEROP_THREADS: threads,
        OMP_NUM_THREADS: threads,
      },
      resources: { cpus: this.plan.threads, gpus: this.options.gpus ?? 0, threads: this.plan.threads },
      logFile: this.folder.logFile(run),
      stopFile: path.join(run.folder, 'stop'),
    }
  }

  /** The warm-up that a cell still needs. */
  private warmupOf({ run }: Followed): Followed | null {
    const name = (run as PlannedCell).warmup?.name
    if (run.kind === 'warmup' || name === undefined) return null
    const warmup = this.followed.find((other) => other.run.kind === 'warmup' && other.run.name === name)!
    return warmup.state === 'done' ? null : warmup
  }

  private isBlocked(one: Followed): boolean {
    const warmup = this.warmupOf(one)
    return warmup !== null && (warmup.state === 'failed' || warmup.state === 'stopped')
  }

  /** Asks the launcher; null where it does not answer now. */
  private async ask<T>(question: () => Promise<T>): Promise<T | null> {
    try {
      const answer = await question()
      this.note = this.stops > 0 ? 'stopping' : null
      return answer
    } catch (error) {
      if (!(error instanceof LauncherUnavailable)) throw error
      this.unavailable(error)
      return null
    }
  }

  private unavailable(error: Error): void {
    this.note = `${this.options.launcher.name} does not answer: ${error.message}`
    this.unavailableUntil = performance.now() + UNAVAILABLE_PAUSE
  }

  private event(text: string): void {
    this.options.onEvent?.(text)
  }

  private view(over: boolean): SweepView {
    const { launcher } = this.options
    const runs = this.followed.map((one): RunView => {
      const { run, state } = one
      const { steps: made, seconds, accuracy } = measuresOf(run.folder)
      const warmup = this.warmupOf(one)
      const waits =
        state === 'waiting' && warmup
          ? `its warm-up ${warmup.run.name} ${warmup.state === 'failed' ? 'failed' : 'is not done'}`
          : null
      return {
        kind: run.kind,
        name: run.name,
        arm: run.kind === 'cell' ? (run as PlannedCell).arm : run.name,
        seed: (run as PlannedCell).seed,
        state,
        step: state === 'done' ? run.steps : Math.min(made, run.steps),
        steps: run.steps,
        secondsPerStep: made > 0 ? seconds / made : null,
        accuracy,
        message: waits ?? one.message ?? (one.reused ? 'of another sweep' : null),
      }
    })
    const unfinished = runs.filter(({ state }) => state === 'waiting' || state === 'running')
    const speed = secondsPerStep(this.followed.map(({ run }) => run))
    return {
      name: this.plan.sweep.name,
      folder: this.plan.folder,
      launcher: launcher.name,
      slots: launcher.slots,
      runs,
      counts: countStates(runs),
      elapsed: (performance.now() - this.started) / 1000,
      left: over ? null : secondsLeft(unfinished, speed, launcher.slots),
      note: this.note,
      over,
    }
  }
}

function endOf({ counts }: SweepView, asked: string | null): Pick<SweepResult, 'state' | 'reason'> {
  if (counts.waiting + counts.failed + counts.stopped === 0) return { state: 'finished', reason: null }
  if (asked !== null) return { state: 'stopped', reason: asked }
  return counts.failed > 0
    ? { state: 'failed', reason: null }
    : { state: 'stopped', reason: `${counts.stopped} of its runs were stopped by others` }
}

/** The built command line tool, also where this file is run from its source. */
function commandLineTool(): string {
  const built = path.join(__dirname, '..', 'cli.js')
  return existsSync(built) ? built : path.join(__dirname, '..', 'dist', 'cli.js')
}
