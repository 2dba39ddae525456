import path from 'node:path'
import type { TrainingConfig } from '../training/trainingConfig'
import type { PlannedCell, PlannedRun, SweepPlan } from './planSweep'
import { reusableRuns } from './reusableRuns'
import { runProgress, SweepFolder } from './sweepFolder'
import { secondsLeft, secondsPerStep } from './sweepView'

/** What a sweep has before it, before anything is started. */
export interface SweepEstimate {
  warmups: { total: number; done: number }
  cells: { total: number; done: number; reused: number; failed: number; begun: number }
  /** Seconds until all is done; null if neither recorded steps nor shapes tell. */
  seconds: number | null
  /** Where the seconds come from. */
  source: 'recorded steps' | 'a rough guess from shapes and a measured matrix product' | 'nothing to do'
  /** Bytes that the folder will hold more than it does now. */
  bytes: number
}

/** Bytes of metrics, rollouts and logs of a run, roughly. */
const RECORD_BYTES = 2e6

/**
 * Counts what is done, and estimates time and disk of what is not: from recorded steps in this folder, in that of shared warm-ups and in `reuse`, or, where there
 * are none, from the training plan (which loads TensorFlow). Starts nothing and writes nothing.
 */
export async function estimateSweep(
  plan: SweepPlan,
  options: { slots: number; reuse?: readonly string[] },
): Promise<SweepEstimate> {
  const { slots, reuse = [] } = options
  const folder = new SweepFolder(plan.folder)
  const reused = await reusableRuns(plan, reuse)
  const progress = async (run: PlannedRun) => {
    const { state, step } = runProgress(run)
    const failed = Boolean((await folder.readJob(run))?.failed)
    return { run, step, done: state === 'finished', begun: state !== 'none' && state !== 'finished', failed }
  }
  const warmups = await Promise.all(plan.warmups.map(progress))
  const cells = (await Promise.all(plan.cells.map(progress))).map((cell) => ({
    ...cell,
    reused: reused.has(cell.run.name),
    done: cell.done || reused.has(cell.run.name),
  }))
  // A warm-up is made only if a cell is still to begin at it.
  const needed = new Set(cells.flatMap(({ done, run }) => (done ? [] : [(run as PlannedCell).warmup?.name])))
  const open = [...warmups.filter(({ run }) => needed.has(run.name)), ...cells].filter(({ done }) => !done)
  const recorded = secondsPerStep([...plan.warmups, ...plan.cells, ...(await runsOf(reuse))])
  const work = open.map(({ run, step }) => ({ kind: run.kind, steps: run.steps, step }))
  const left = secondsLeft(work, recorded, slots)
  const guessed = open.length > 0 && left === null
  const planned = guessed ? await plannedSpeed(plan) : null
  const seconds = planned
    ? secondsLeft(work, { warmup: recorded.warmup ?? planned.warmup, cell: recorded.cell ?? planned.cell }, slots)
    : left
  const count = (of: readonly { done: boolean }[]) => of.filter(({ done }) => done).length
  return {
    warmups: { total: warmups.length, done: count(warmups) },
    cells: {
      total: cells.length,
      done: count(cells),
      reused: reused.size,
      failed: cells.filter(({ done, failed }) => !done && failed).length,
      begun: cells.filter(({ begun, done }) => begun && !done).length,
    },
    seconds,
    source:
      open.length === 0
        ? 'nothing to do'
        : guessed
          ? 'a rough guess from shapes and a measured matrix product'
          : 'recorded steps',
    bytes: open.length === 0 ? 0 : await bytesOf(plan, open, slots),
  }
}

/** The runs of other sweeps, for their times. */
async function runsOf(folders: readonly string[]): Promise<PlannedRun[]> {
  const found: PlannedRun[] = []
  for (const given of folders) {
    const sweep = await new SweepFolder(given).read()
    for (const cell of sweep?.cells ?? [])
      found.push({ ...cell, kind: 'cell', folder: path.resolve(given, cell.folder), config: null as never })
    for (const warmup of sweep?.warmups ?? [])
      found.push({ ...warmup, kind: 'warmup', folder: path.resolve(given, warmup.folder), config: null as never })
  }
  return found
}

/** Seconds of a step of each kind, evaluations included, as the training plan has them. */
async function plannedSpeed({ sweep }: SweepPlan): Promise<{ warmup: number; cell: number }> {
  const { trainingPlan } = await import('../training/trainingPlan')
  const { supervised, grpo } = sweep.base
  const { seconds } = await trainingPlan(sweep.base)
  const warmup = seconds.supervised ?? 0
  if (!grpo) return { warmup, cell: warmup }
  const step = (seconds.rollout ?? 0) + (seconds.oldLogprob ?? 0) + (seconds.update ?? 0)
  const evaluating = (evaluationsOf(sweep.base) * (seconds.evaluation ?? 0)) / grpo.steps
  const own = supervised && !sweep.warmup ? (supervised.steps * warmup) / grpo.steps : 0
  return { warmup, cell: step + evaluating + own }
}

/** How often a run of GRPO is evaluated: before the first and after the last step, and in between. */
function evaluationsOf({ grpo, evaluation }: TrainingConfig): number {
  if (!grpo || !evaluation) return 0
  const { steps, evaluateEvery } = grpo
  return 1 + (evaluateEvery > 0 ? Math.ceil(steps / evaluateEvery) : 1)
}

async function bytesOf({ sweep }: SweepPlan, open: readonly { run: PlannedRun }[], slots: number): Promise<number> {
  const { trainingPlan } = await import('../training/trainingPlan')
  const { checkpointBytes } = await trainingPlan(sweep.base)
  const whileRunning = sweep.base.checkpoints.keep + 2
  const cells = open.filter(({ run }) => run.kind === 'cell').length
  const warmups = open.length - cells
  const kept = { all: whileRunning, last: 1, none: 0 }[sweep.checkpoints]
  const running = Math.min(slots, cells) * Math.max(0, whileRunning - kept)
  return open.length * RECORD_BYTES + (cells * kept + warmups * whileRunning + running) * checkpointBytes
}
