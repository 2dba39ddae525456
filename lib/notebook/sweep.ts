import { availableParallelism } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SweepRecord } from '../analysis/sweepRow'
import { Interrupted, pacer } from '../engine/cooperate'
import { deviceReport } from '../engine/tensorflow'
import type { Launcher } from '../sweeps/launcher'
import { LocalLauncher } from '../sweeps/localLauncher'
import { planSweep } from '../sweeps/planSweep'
import { readSweep } from '../sweeps/readSweep'
import { runSweep, type SweepResult } from '../sweeps/runSweep'
import { type AxisValue, parseSweep, type SweepInput } from '../sweeps/sweepFile'
import { SweepFolder } from '../sweeps/sweepFolder'
import type { TrainingConfigInput } from '../training/trainingConfig'
import { sweepDisplay } from './sweepDisplay'

export interface SweepOptions extends Omit<SweepInput, 'base' | 'axes' | 'seeds'> {
  /** The sweep's folder: begun there, or gone on with. */
  run: string
  /** Seeds of the runs, or how many. Default 3. */
  seeds?: number | number[]
  /** Runs at a time. Default: one for each core, one on a GPU. */
  slots?: number
  /** Threads of each run, fixed once the sweep has begun. Default: the cores shared out. */
  threads?: number
  /** Where runs happen. Default: processes of this machine; `connectRay` gives a cluster. */
  launcher?: Launcher
  /** Where warm-ups lie, to share them among sweeps. Default: in the sweep's folder. */
  warmups?: string
  /** Folders of other sweeps whose finished runs count where they are the same run. */
  reuse?: string[]
  /** Begin failed runs again. */
  retry?: boolean
  signal?: AbortSignal
}

/**
 * Trains a grid: a base configuration (an object or a file), and axes, each a key with its values. Runs are processes of their own; a table in the running
 * cell shows them fill the grid. Interrupted, runs end after their steps in progress, and the same call goes on with them; so it does after the kernel died. A
 * strategy or task written in a cell cannot go to other processes: name a module. Resolves to the runs as plain rows, failed ones
 * among them; throws ConfigError on mistakes in the grid, and Interrupted if it was stopped.
 *
 *     const base = 'data/configs/countdown-laptop.jsonc'
 *     const axes = { 'grpo.credit.options.topShare': [0.2, 0.4, 1] }
 *     const result = await sweep(base, axes, { run: 'data/runs/top-share', seeds: 3, warmup: { seeds: 1 } })
 */
export async function sweep(
  base: TrainingConfigInput | string,
  axes: Record<string, AxisValue[]>,
  options: SweepOptions,
): Promise<SweepRecord> {
  const { run, slots, threads, launcher, warmups, reuse, retry, signal, seeds = 3, ...written } = options
  const folder = path.resolve(run)
  // Before anything is awaited: an interrupt counts from here on.
  const pause = pacer(signal)
  const display = sweepDisplay()
  await ending.get(folder)
  const recorded = await new SweepFolder(folder).read()
  const where = launcher ?? new LocalLauncher(slots ?? localSlots())
  const plan = planSweep(parseSweep({ ...written, base, axes, seeds }), {
    run: folder,
    warmups,
    threads: threads ?? recorded?.threads ?? threadsOfEach(launcher ? availableParallelism() : where.slots),
  })
  const work = runSweep(plan, {
    launcher: where,
    ...{ reuse, retry, signal },
    onUpdate: display.update,
    onEvent: display.event,
  })
  const result = await untilInterrupted(work, pause, folder)
  if (result.state === 'stopped') throw new Interrupted(stopText(result))
  return readSweep(folder)
}

/** Sweeps whose cells were interrupted, by folder: their runs still end after the steps in progress. */
const ending = new Map<string, Promise<void>>()

/** The cell ends at once when it is interrupted; the runs follow, and the next sweep in the folder waits for that. */
async function untilInterrupted(
  work: Promise<SweepResult>,
  pause: () => Promise<void>,
  folder: string,
): Promise<SweepResult> {
  let over = false
  const ended = work.then(
    () => {},
    () => {},
  )
  void ended.then(() => {
    over = true
    ending.delete(folder)
  })
  try {
    while (!over) {
      await Promise.race([ended, sleep(100)])
      await pause()
    }
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error
    if (!over) ending.set(folder, ended)
    throw new Interrupted(`the sweep in ${folder} ends after the steps in progress: the same call goes on with it`)
  }
  return work
}

/** One run for each core; a GPU is not shared unless asked. */
export const localSlots = (): number => (deviceReport().device === 'GPU' ? 1 : availableParallelism())

/** The cores shared out among so many runs. */
export const threadsOfEach = (slots: number): number => Math.max(1, Math.floor(availableParallelism() / slots))

const stopText = ({ folder, reason, view }: SweepResult) =>
  `the sweep in ${folder} stopped with ${view.counts.done} of ${view.runs.length} runs done (${reason}): the same call goes on with it`
