import { availableParallelism } from 'node:os'
import type { SweepRecord } from '../analysis/sweepRow'
import { Interrupted } from '../engine/cooperate'
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
  /** Runs at a time. Default: one for each core. */
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
  const display = sweepDisplay()
  const recorded = await new SweepFolder(run).read()
  const where = launcher ?? new LocalLauncher(slots ?? availableParallelism())
  const plan = planSweep(parseSweep({ ...written, base, axes, seeds }), {
    run,
    warmups,
    threads: threads ?? recorded?.threads ?? threadsOfEach(launcher ? availableParallelism() : where.slots),
  })
  const result = await runSweep(plan, {
    launcher: where,
    ...{ reuse, retry, signal },
    onUpdate: display.update,
    onEvent: display.event,
  })
  if (result.state === 'stopped') throw new Interrupted(stopText(result))
  return readSweep(run)
}

/** The cores shared out among so many runs. */
export const threadsOfEach = (slots: number): number => Math.max(1, Math.floor(availableParallelism() / slots))

const stopText = ({ folder, reason, view }: SweepResult) =>
  `the sweep in ${folder} stopped with ${view.counts.done} of ${view.runs.length} runs done (${reason}): the same call goes on with it`
