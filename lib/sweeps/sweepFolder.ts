import { existsSync, readFileSync, statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { ConfigError, parseConfig } from '../training/readConfig'
import { resumedConfig, storeConfig, storedConfig } from '../training/runConfig'
import { RunFolder, type RunState } from '../training/runFolder'
import { isLocked } from '../training/runLock'
import type { PlannedRun, SweepPlan } from './planSweep'
import type { Axis, Sweep } from './sweepFile'

const BASE = 'base.json'

/** A cell as `sweep.json` lists it. */
export interface RecordedCell {
  name: string
  /** Its run folder, relative to the sweep's; one of another sweep where that has made the same run. */
  folder: string
  labels: Record<string, string>
  arm: string
  seed: number
  warmup: { name: string; seed: number } | null
  /** Hash of all that its numbers depend on. */
  key: string
  steps: number
}

/** `sweep.json`: what a sweep's folder holds, resolved. */
export interface RecordedSweep {
  version: 1
  name: string
  /** The base with its changes; `base.json` beside this file. */
  base: string
  /** What paths among the axes' values are relative to, relative to the sweep's folder. */
  relativeTo: string
  axes: Axis[]
  seeds: number[]
  warmup: Sweep['warmup']
  exclude: Sweep['exclude']
  checkpoints: Sweep['checkpoints']
  baseline: string | null
  paper: string | null
  /** Threads of each run. */
  threads: number
  warmupsFolder: string
  warmups: { name: string; folder: string; seed: number; key: string; steps: number }[]
  cells: RecordedCell[]
}

/** The last job of a run, so that a sweep that begins again finds it. */
export interface JobRecord {
  launcher: string
  /** By which the launcher knows it; null while it is being submitted. */
  id: string | null
  attempt: number
  /** When the run's folder last said how it stands, before this job: what it says later is of this job. */
  changedBefore: string | null
  /** Why the run failed; it is begun again only when asked. */
  failed: string | null
}

/** The files of a sweep beside its runs. */
export class SweepFolder {
  readonly folder: string
  private readonly files: RunFolder

  constructor(folder: string) {
    this.folder = path.resolve(folder)
    this.files = new RunFolder(this.folder)
  }

  get stopFile(): string {
    return this.files.stopFile
  }

  logFile(run: PlannedRun): string {
    return path.join(this.folder, 'logs', `${run.name}.log`)
  }

  /** The sweep that the folder holds; null where there is none yet. */
  async read(): Promise<RecordedSweep | null> {
    const recorded = await this.files.readJson<RecordedSweep>('sweep.json')
    if (recorded && recorded.version !== 1)
      throw new Error(
        `${this.folder}/sweep.json has version ${recorded.version}: this version of rhythm reads version 1`,
      )
    return recorded
  }

  async write(plan: SweepPlan, reused: ReadonlyMap<string, string>): Promise<void> {
    const { sweep, warmups, cells, threads } = plan
    const relative = (folder: string) => path.relative(this.folder, folder)
    await mkdir(path.join(this.folder, 'jobs'), { recursive: true })
    await mkdir(path.join(this.folder, 'logs'), { recursive: true })
    await mkdir(path.join(this.folder, 'cells'), { recursive: true })
    await storeConfig(this.files, sweep.base, BASE)
    const { base: _, folder, ...written } = sweep
    await this.files.writeJson('sweep.json', {
      version: 1,
      ...written,
      base: BASE,
      relativeTo: relative(folder),
      threads,
      warmupsFolder: relative(plan.warmupsFolder),
      warmups: warmups.map(({ name, folder, seed, key, steps }) => ({
        name,
        folder: relative(folder),
        seed,
        key,
        steps,
      })),
      cells: cells.map(({ name, folder, labels, arm, seed, warmup, key, steps }) => ({
        name,
        folder: relative(reused.get(name) ?? folder),
        labels,
        arm,
        seed,
        warmup,
        key,
        steps,
      })),
    } satisfies RecordedSweep)
  }

  /** The sweep as it was begun or last changed, to go on with. Throws if the folder holds none. */
  async readSweep(): Promise<{ sweep: Sweep; threads: number; warmupsFolder: string }> {
    const recorded = await this.read()
    const base = recorded && (await this.files.readJson<unknown>(recorded.base))
    if (!recorded || base === null)
      throw new Error(`${this.folder} holds no sweep yet: give a sweep file, e.g. data/configs/sweeps/strategies.jsonc`)
    const { name, axes, seeds, warmup, exclude, checkpoints, baseline, paper, threads } = recorded
    const sweep: Sweep = {
      ...{ name, axes, seeds, warmup, exclude, checkpoints, baseline, paper },
      base: parseConfig(base, this.folder),
      folder: path.resolve(this.folder, recorded.relativeTo),
    }
    return { sweep, threads, warmupsFolder: path.resolve(this.folder, recorded.warmupsFolder) }
  }

  private jobFile(run: PlannedRun): string {
    return path.join('jobs', `${run.name}.json`)
  }

  readJob(run: PlannedRun): Promise<JobRecord | null> {
    return this.files.readJson<JobRecord>(this.jobFile(run))
  }

  writeJob(run: PlannedRun, job: JobRecord): Promise<void> {
    return this.files.writeJson(this.jobFile(run), job)
  }
}

/** How far a run has come, as its folder says. */
export interface RunProgress {
  /** `begun`: it did not say that it ended, whether or not a process is at it. */
  state: 'none' | 'begun' | 'stopped' | 'finished' | 'failed'
  step: number
  /** What the run itself said when it failed. */
  error: string | null
  /** When it said so, as an ISO time. */
  changedAt: string | null
}

/** Reads `state.json` of a run. A run that is finished with fewer steps than are wanted now is one that was stopped. */
export function runProgress(run: Pick<PlannedRun, 'folder' | 'steps'>): RunProgress {
  const file = path.join(run.folder, 'state.json')
  if (!existsSync(file)) return { state: 'none', step: 0, error: null, changedAt: null }
  const { state, step, error = null, changedAt } = JSON.parse(readFileSync(file, 'utf8')) as RunState
  const shown = { running: 'begun', failed: 'failed', stopped: 'stopped', finished: 'finished' } as const
  return { state: state === 'finished' && step < run.steps ? 'stopped' : shown[state], step, error, changedAt }
}

/** A process that trains and gave no sign of life for so long is taken for dead, in milliseconds; as other machines do (`lockForProcess`). */
const SILENCE = 120_000

/**
 * Whether a process trains in the folder, on this machine or on one with the same storage. The lock's file names a process, whose
 * number may belong to another one after a restart of the machine: without a sign of life it does not count.
 */
export function isHeld(run: Pick<PlannedRun, 'folder'>): boolean {
  const lock = statSync(path.join(run.folder, 'run.lock'), { throwIfNoEntry: false })
  return lock !== undefined && Date.now() - lock.mtimeMs < SILENCE && isLocked(run.folder)
}

/** Writes `asked.json`, the configuration that the run's process is started with; returns its path. */
export async function askFor(run: PlannedRun): Promise<string> {
  await mkdir(run.folder, { recursive: true })
  await storeConfig(new RunFolder(run.folder), run.config, 'asked.json')
  return path.join(run.folder, 'asked.json')
}

/**
 * Refuses a plan whose runs were begun with other configurations, naming each and what is different, before anything is started. More
 * steps are no difference where a run can go on to them.
 */
export async function checkBegun(plan: SweepPlan): Promise<void> {
  const problems: string[] = []
  for (const run of [...plan.warmups, ...plan.cells]) {
    const stored = await storedConfig(new RunFolder(run.folder))
    if (!stored) continue
    try {
      resumedConfig(stored, run.config, `${run.kind === 'cell' ? 'cell' : 'warm-up'} ${run.name}`)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(error.message.replace(/\. Choose a new run folder.*$/, ''))
    }
  }
  if (problems.length === 0) return
  const shown = problems.slice(0, 5)
  throw new ConfigError(
    `${plan.folder} holds runs of another configuration, and nothing was started:\n${shown.join('\n')}` +
      `${problems.length > shown.length ? `\nand ${problems.length - shown.length} more` : ''}\n` +
      'Give --run another folder, put the file back, or remove those run folders',
  )
}
