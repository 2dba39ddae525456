import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { StopRequest } from '../training/stopRequest'
import { dropCheckpoints } from './dropCheckpoints'
import { type FollowedRun, verdict } from './followedRun'
import { lastLines } from './lastLines'
import { type JobStatus, LauncherUnavailable } from './launcher'
import type { PlannedCell, SweepPlan } from './planSweep'
import { jobOf } from './runJob'
import type { RunSweepOptions, SweepResult } from './runSweep'
import { isHeld, runProgress, type SweepFolder } from './sweepFolder'
import { type SweepView, viewOf } from './sweepView'

/** Milliseconds before a launcher that did not answer is asked again. */
const UNAVAILABLE_PAUSE = 3000

/** Follows the runs of a plan to their ends: looks at those that run, starts those that wait, stops when asked. */
export class SweepRunner {
  private readonly followed: FollowedRun[]
  private readonly started = performance.now()
  private readonly stop: StopRequest
  private note: string | null = null
  private unavailableUntil = 0
  /** How often the runs have been asked to end, and how often that was wished. */
  private stops = 0
  private wishes = 0
  /** Those that the launcher is still to be asked to end. */
  private unstopped = new Set<FollowedRun>()

  /** @param reused folders of other sweeps' runs, by cell */
  constructor(
    private readonly plan: SweepPlan,
    private readonly folder: SweepFolder,
    reused: ReadonlyMap<string, string>,
    private readonly options: RunSweepOptions,
  ) {
    this.stop = new StopRequest(folder.stopFile, options.signal)
    this.followed = [...plan.warmups, ...plan.cells].map((run) => {
      const elsewhere = run.kind === 'cell' ? reused.get(run.name) : undefined
      return {
        run: elsewhere === undefined ? run : { ...run, folder: elsewhere },
        ...{ state: 'waiting', message: null, job: null, beganAt: 0, fruitless: 0 },
        reused: elsewhere !== undefined,
      }
    })
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
      if (over) return { folder: this.plan.folder, ...endOf(view, asked), view }
      await sleep(this.options.every ?? 500)
    }
  }

  /** How a run stands when the sweep begins. */
  private async find(one: FollowedRun): Promise<void> {
    const { launcher, retry } = this.options
    const progress = runProgress(one.run)
    one.job = await this.folder.readJob(one.run)
    if (progress.state === 'finished') {
      await this.finish(one)
      if (one.reused) one.message = 'of another sweep'
    } else if (one.job?.failed && !retry) {
      one.state = 'failed'
      one.message = one.job.failed
    } else if (one.job?.id && !one.job.failed && one.job.launcher === launcher.name) {
      const status = await this.ask(() => launcher.status(one.job!.id!))
      // One that cannot be asked now is taken for running: the next look asks again.
      if (status && !isUnderWay(status)) return
      one.state = 'running'
      one.beganAt = progress.step
      this.event(`${one.run.name}: its process still runs and is followed`)
    }
  }

  /** Looks at every job, and judges those that have ended. */
  private async look(): Promise<void> {
    const { launcher } = this.options
    for (const one of this.followed) {
      if (one.state !== 'running') continue
      const status = await this.ask(() => launcher.status(one.job!.id!))
      if (!status) continue
      if (!isUnderWay(status)) await this.judge(one, status)
      else one.message = status.state === 'running' ? null : (status.message ?? `waits in ${launcher.name}'s queue`)
    }
  }

  private async judge(one: FollowedRun, status: JobStatus): Promise<void> {
    const { run } = one
    const progress = runProgress(run)
    const found = verdict(one, progress, status, this.stops > 0)
    if (found.state === 'failed') return this.fail(one, found.message)
    if (found.state === 'printed') return this.failAsPrinted(one, status)
    one.message = null
    if (found.state === 'done') {
      await this.finish(one)
      this.event(`${run.name}: done`)
    } else if (found.state === 'stopped') {
      one.state = 'stopped'
      one.message = found.message
      this.event(`${run.name}: stopped at step ${progress.step} of ${run.steps}`)
    } else {
      one.state = 'waiting'
      one.fruitless = found.fruitless
      this.event(`${run.name}: its process is gone (${found.how}); it goes on from its last checkpoint`)
    }
  }

  /** Also of a run that finished while no sweep watched. */
  private async finish(one: FollowedRun): Promise<void> {
    Object.assign(one, { state: 'done', message: null })
    if (one.run.kind === 'cell' && !one.reused) await dropCheckpoints(one.run.folder, this.plan.sweep.checkpoints)
  }

  private async failAsPrinted(one: FollowedRun, status: JobStatus): Promise<void> {
    const logs = await this.ask(() => this.options.launcher.logs(one.job!.id!))
    const lines = (logs || lastLines(this.folder.logFile(one.run))).split('\n')
    // Another sweep was quicker to take the folder.
    if (/is in use by/.test(lines.at(-1)!)) one.state = 'waiting'
    else await this.fail(one, lines.slice(-4).join('\n') || `${status.message ?? status.state}, without a word`)
  }

  private async fail(one: FollowedRun, message: string): Promise<void> {
    const { run, job } = one
    one.state = 'failed'
    one.message = message
    const log = this.folder.logFile(run)
    const printed = job?.id && !existsSync(log) ? await this.ask(() => this.options.launcher.logs(job.id!)) : null
    if (printed) await writeFile(log, printed)
    one.job = { ...job!, failed: message }
    await this.folder.writeJob(run, one.job)
    this.event(`${run.name}: failed: ${message}${existsSync(log) ? `\n(log: ${log})` : ''}`)
  }

  private async stopRunning(reason: string): Promise<void> {
    const { launcher } = this.options
    if (this.stops < Math.max(1, this.wishes)) {
      const running = this.followed.filter(({ state }) => state === 'running')
      if (this.stops === 0 && running.length > 0)
        this.event(`stopping (${reason}): ${running.length} runs end after their steps in progress`)
      this.note = 'stopping'
      this.stops++
      this.unstopped = new Set(running)
    }
    for (const one of this.unstopped) {
      // A launcher that does not answer is asked again at the next look.
      const isAsked = one.state !== 'running' || (await this.ask(() => launcher.stop(one.job!.id!).then(() => true)))
      if (!isAsked) return
      this.unstopped.delete(one)
    }
  }

  private async startWaiting(): Promise<void> {
    if (performance.now() < this.unavailableUntil) return
    let free = this.options.launcher.slots - this.followed.filter(({ state }) => state === 'running').length
    for (const one of this.followed) {
      if (free <= 0) return
      if (one.state !== 'waiting' || this.warmupOf(one) || !this.isNeeded(one)) continue
      // Another sweep that shares the warm-up may have made it.
      if (runProgress(one.run).state === 'finished') await this.finish(one)
      else if (isHeld(one.run)) one.message = 'another process is at it'
      else if (await this.start(one)) free--
      else return
    }
  }

  /** False if the launcher does not answer. */
  private async start(one: FollowedRun): Promise<boolean> {
    const { run, job } = one
    const { launcher, gpus = 0 } = this.options
    const { step, changedAt } = runProgress(run)
    // A job that never got an id may be with the launcher nevertheless: it keeps its number.
    const attempt = job === null ? 1 : job.attempt + (job.id === null && !job.failed ? 0 : 1)
    one.job = { launcher: launcher.name, id: null, attempt, changedBefore: changedAt, failed: null }
    await this.folder.writeJob(run, one.job)
    try {
      one.job.id = await launcher.submit(await jobOf(run, { plan: this.plan, folder: this.folder, gpus, attempt }))
    } catch (error) {
      if (!(error instanceof LauncherUnavailable)) await this.fail(one, (error as Error).message)
      else this.unavailable(error)
      return !(error instanceof LauncherUnavailable)
    }
    await this.folder.writeJob(run, one.job)
    Object.assign(one, { state: 'running', message: null, beganAt: step })
    this.event(`${run.name}: ${step > 0 ? `goes on from its last checkpoint (was at step ${step})` : 'started'}`)
    return true
  }

  /** The warm-up that a cell still needs. */
  private warmupOf({ run }: FollowedRun): FollowedRun | null {
    const name = run.kind === 'cell' ? (run as PlannedCell).warmup?.name : undefined
    if (name === undefined) return null
    const warmup = this.followed.find((other) => other.run.kind === 'warmup' && other.run.name === name)!
    return warmup.state === 'done' ? null : warmup
  }

  private isBlocked(one: FollowedRun): boolean {
    const warmup = this.warmupOf(one)
    return !this.isNeeded(one) || warmup?.state === 'failed' || warmup?.state === 'stopped'
  }

  /** A warm-up is made only if a cell is still to begin at it. */
  private isNeeded({ run }: FollowedRun): boolean {
    if (run.kind === 'cell') return true
    return this.followed.some(
      (other) => other.state === 'waiting' && (other.run as PlannedCell).warmup?.name === run.name,
    )
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
    const runs = this.followed.map((one) => {
      const warmup = one.state === 'waiting' ? this.warmupOf(one) : null
      const unneeded = one.state === 'waiting' && !this.isNeeded(one)
      const waits = warmup && `its warm-up ${warmup.run.name} ${warmup.state === 'failed' ? 'failed' : 'is not done'}`
      return unneeded
        ? { ...one, state: 'done' as const, message: 'no cell needs it' }
        : { ...one, message: waits ?? one.message }
    })
    const elapsed = (performance.now() - this.started) / 1000
    return viewOf(this.plan, runs, { launcher, elapsed, note: this.note, over })
  }
}

const isUnderWay = ({ state }: JobStatus) => state === 'waiting' || state === 'running'

function endOf({ counts }: SweepView, asked: string | null): Pick<SweepResult, 'state' | 'reason'> {
  if (counts.waiting + counts.failed + counts.stopped === 0) return { state: 'finished', reason: null }
  if (asked !== null) return { state: 'stopped', reason: asked }
  return counts.failed > 0
    ? { state: 'failed', reason: null }
    : { state: 'stopped', reason: `${counts.stopped} of its runs were stopped by others` }
}
