import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pacer } from '../engine/cooperate'
import { checkpointFolder, checkpointSteps } from './checkpoint'
import { parseConfig, readConfig } from './readConfig'
import { storeConfig, storedConfig } from './runConfig'
import {
  type MetricsLine,
  type RolloutRecord,
  RunFolder,
  type RunState,
  readMetrics,
  readRollouts,
  rolloutSteps,
} from './runFolder'
import { isLocked } from './runLock'
import type { TrainingConfig, TrainingConfigInput } from './trainingConfig'

/** How a run in a folder stands, seen from outside. */
export interface RunStatus {
  /** `running` only while its process lives; `interrupted`: it ended without saying so, and can be taken up again. */
  state: 'running' | 'finished' | 'stopped' | 'failed' | 'interrupted' | 'starting'
  step: number
  steps: number
  device: string | null
  pid: number | null
  error: string | null
}

export interface FollowOptions {
  /** Called with each new line of metrics, and with the rollouts recorded in that step. */
  onStep?: (line: MetricsLine, rollouts: readonly RolloutRecord[]) => void
  onProgress?: (done: number, total: number, note?: string) => void
  /** Ends the watching, never the run. */
  signal?: AbortSignal
  /** Milliseconds between looks. Default 500. */
  every?: number
}

/** A run in a folder, whoever trains it: watched and stopped through its files. */
export class AttachedRun {
  readonly folder: string

  constructor(folder: string) {
    this.folder = path.resolve(folder)
  }

  status(): RunStatus {
    const locked = isLocked(this.folder)
    const file = path.join(this.folder, 'state.json')
    if (!existsSync(file))
      return { state: locked ? 'running' : 'starting', step: 0, steps: 0, device: null, pid: null, error: null }
    const written = JSON.parse(readFileSync(file, 'utf8')) as RunState
    const step = Math.max(written.step, readMetrics(this.folder).at(-1)?.step ?? 0)
    const state = written.state === 'running' && !locked ? 'interrupted' : written.state
    return { state, step, steps: written.steps, device: written.device, pid: written.pid, error: written.error ?? null }
  }

  metrics(): MetricsLine[] {
    return readMetrics(this.folder)
  }

  /** The newest recorded rollouts; empty where there are none yet. */
  async newestRollouts(): Promise<RolloutRecord[]> {
    const step = (await rolloutSteps(this.folder)).at(-1)
    return step === undefined ? [] : readRollouts(this.folder, step)
  }

  /** The configuration that the run was begun with. */
  async config(): Promise<TrainingConfig> {
    const config = await storedConfig(new RunFolder(this.folder))
    if (!config) throw new Error(`${this.folder} has no configuration yet: the run has not begun`)
    return config
  }

  /** Folder of the newest checkpoint, which `loadModel` opens. Throws if there is none yet. */
  async checkpoint(): Promise<string> {
    const { checkpoints } = new RunFolder(this.folder)
    const newest = (await checkpointSteps(checkpoints)).at(-1)
    if (newest === undefined) throw new Error(`${this.folder} has no checkpoint yet`)
    return checkpointFolder(checkpoints, newest)
  }

  /** Asks the run to end after the step in progress, with a checkpoint; resolves when its process has let go of the folder. */
  async stop(): Promise<RunStatus> {
    if (!isLocked(this.folder)) return this.status()
    writeFileSync(new RunFolder(this.folder).stopFile, '')
    const pause = pacer()
    while (isLocked(this.folder)) {
      await sleep(50)
      await pause()
    }
    return this.status()
  }

  /** What the process has printed, if `startRun` started it. */
  log(): string {
    const file = path.join(this.folder, LOG)
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  }

  /**
   * What went wrong, with the last lines of the log; null unless the run failed or its process died. Waits a moment for the
   * process's last words.
   */
  async failure(): Promise<string | null> {
    const { state, step, steps, error, pid } = this.status()
    if ((state !== 'failed' && state !== 'interrupted') || isLocked(this.folder)) return null
    for (let waited = 0; waited < 2000 && pid !== null && existsSync(`/proc/${pid}`); waited += 50) await sleep(50)
    await sleep(100)
    const what =
      state === 'failed' ? `failed: ${error}` : `ended at step ${step} of ${steps} without saying why: its process died`
    return `the run in ${this.folder} ${what}. Started again, it goes on from its last checkpoint.${lastLines(this)}`
  }

  /**
   * Watches until the run ends, or `signal` or an interrupt ends the watching (`Interrupted`): the run itself goes on.
   * Throws if the run failed or its process died, with the last lines of its log.
   */
  async follow(options: FollowOptions = {}): Promise<RunStatus> {
    const { onStep, onProgress, signal, every = 500 } = options
    const pause = pacer(signal)
    let shown = 0
    for (;;) {
      const status = this.status()
      const lines = this.metrics()
      const steps = new Set(await rolloutSteps(this.folder))
      for (const line of lines.slice(shown))
        onStep?.(line, steps.has(line.step) ? await readRollouts(this.folder, line.step) : [])
      // A run that was taken up at an earlier checkpoint writes its last lines again.
      shown = lines.length
      onProgress?.(status.step, Math.max(1, status.steps))
      const failure = await this.failure()
      if (failure) throw new Error(failure)
      // The folder is free for the next process only when this one has let it go.
      const over = status.state === 'finished' || status.state === 'stopped'
      if (over && !isLocked(this.folder)) return status
      await sleep(every)
      await pause()
    }
  }
}

/** A run that exists in a folder, to watch and stop it. Throws if there is none. */
export function attachRun(folder: string): AttachedRun {
  if (!existsSync(path.join(folder, 'config.json')) && !existsSync(path.join(folder, 'state.json')))
    throw new Error(`${path.resolve(folder)} holds no run: start one with startRun, or with rhythm train`)
  return new AttachedRun(folder)
}

/**
 * Starts, or takes up, a run in a process of its own, which outlives the notebook and its browser; attaches to the one that
 * already trains there. Credit and tasks written in a cell cannot leave it: name a module, or use `train` in the kernel.
 * @param config an object, the path of a configuration file, or null to go on with the run in the folder
 */
export async function startRun(config: TrainingConfigInput | string | null, folder: string): Promise<AttachedRun> {
  const run = new AttachedRun(folder)
  if (isLocked(run.folder)) return run
  const complete = typeof config === 'string' ? readConfig(config) : config === null ? null : parseConfig(config)
  mkdirSync(run.folder, { recursive: true })
  const files = new RunFolder(run.folder)
  // The child checks it against the configuration that the run was begun with, if there is one.
  if (complete) await storeConfig(files, complete, 'asked.json')
  const log = openSync(path.join(run.folder, LOG), 'a')
  const asked = complete ? [path.join(run.folder, 'asked.json')] : []
  const train = [path.join(__dirname, '..', 'cli.js'), 'train', ...asked, '--run', run.folder]
  const before = stateText(run)
  const child = spawn('/bin/sh', ['-c', SUPERVISOR, 'sh', process.execPath, ...train], {
    detached: true,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  const exit = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', resolve)
  })
  child.unref()
  // Wait until it trains, or has said why it does not. What went wrong after that is told by those who watch.
  for (let ended: number | null | undefined; ; ) {
    ended = await Promise.race([exit, new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 100))])
    const begun = stateText(run) !== before
    if (ended === 0 || (begun && (ended !== undefined || isLocked(run.folder)))) return run
    if (ended !== undefined) throw new Error(`the run in ${run.folder} could not be started.${lastLines(run)}`)
  }
}

const LOG = 'train.log'

/** Waits for the training and writes how it ended into the log, whoever else is still there to see it. */
const SUPERVISOR =
  '"$@"; code=$?; if [ $code -gt 128 ]; then echo "rhythm train was ended by signal $((code - 128))"; ' +
  'elif [ $code -ne 0 ]; then echo "rhythm train ended with exit code $code"; fi >&2; exit $code'

function stateText({ folder }: AttachedRun): string | null {
  const file = path.join(folder, 'state.json')
  return existsSync(file) ? readFileSync(file, 'utf8') : null
}

function lastLines(run: AttachedRun): string {
  const lines = run.log().trim().split('\n').slice(-6)
  return lines[0] === '' ? '' : ` The last lines of ${path.join(run.folder, LOG)}:\n${lines.join('\n')}`
}
