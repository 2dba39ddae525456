import { mkdir, rm } from 'node:fs/promises'
import { ConfigError } from '../training/readConfig'
import { lockRun } from '../training/runLock'
import type { Launcher } from './launcher'
import type { SweepPlan } from './planSweep'
import { reusableRuns } from './reusableRuns'
import { checkBegun, SweepFolder } from './sweepFolder'
import { SweepRunner } from './sweepRunner'
import type { SweepView } from './sweepView'

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
