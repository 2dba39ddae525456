import { statSync } from 'node:fs'
import path from 'node:path'
import { readMetrics } from '../training/runFolder'
import type { FollowedRun } from './followedRun'
import type { Launcher } from './launcher'
import type { PlannedCell, PlannedRun, SweepPlan } from './planSweep'

/** How one run of a sweep stands. `waiting`: for a slot, its warm-up or a process elsewhere. */
export type RunViewState = 'waiting' | 'running' | 'done' | 'failed' | 'stopped'

export interface RunView {
  kind: 'warmup' | 'cell'
  name: string
  /** What is compared; of a warm-up, its name. */
  arm: string
  seed: number
  state: RunViewState
  step: number
  steps: number
  /** Seconds of a step, evaluations included; null before the first. */
  secondsPerStep: number | null
  /** Newest held-out accuracy of sampled responses, a share. */
  accuracy: number | null
  /** Why it failed, or what it waits for. */
  message: string | null
}

/** How a sweep stands: plain data for whoever shows it. */
export interface SweepView {
  name: string
  folder: string
  launcher: string
  slots: number
  runs: RunView[]
  counts: Record<RunViewState, number>
  /** Seconds since this command began. */
  elapsed: number
  /** Seconds that the rest will take, from recorded times of steps; null while there are none. */
  left: number | null
  /** What people should know now: the launcher does not answer, the sweep is stopping. */
  note: string | null
  over: boolean
}

/** What the metrics of a run say about its speed and accuracy. */
export interface RunMeasures {
  steps: number
  /** Of steps and evaluations. */
  seconds: number
  accuracy: number | null
}

const cache = new Map<string, { stamp: string; measures: RunMeasures }>()

/** Reads a run's metrics; again only when they have changed. */
export function measuresOf(folder: string): RunMeasures {
  const stat = statSync(path.join(folder, 'metrics.jsonl'), { throwIfNoEntry: false })
  if (!stat) return { steps: 0, seconds: 0, accuracy: null }
  const stamp = `${stat.mtimeMs} ${stat.size}`
  const known = cache.get(folder)
  if (known?.stamp === stamp) return known.measures
  const lines = readMetrics(folder)
  const measures = {
    steps: lines.filter(({ step }) => step > 0).length,
    seconds: lines.reduce(
      (sum, line) => sum + Number(line['timing_s/step'] ?? 0) + Number(line['timing_s/evaluation'] ?? 0),
      0,
    ),
    accuracy: lines.reduce<number | null>((newest, line) => sampledAccuracy(line) ?? newest, null),
  }
  cache.set(folder, { stamp, measures })
  return measures
}

/** `eval/avg@k` of a line of metrics, whatever k is; null in a line without an evaluation. */
export function sampledAccuracy(line: Record<string, unknown>): number | null {
  const name = Object.keys(line).find((key) => /^eval\/avg@\d+$/.test(key))
  const value = name === undefined ? null : line[name]
  return typeof value === 'number' ? value : null
}

/** Seconds of a step of each kind of run, over all runs of the sweep that have made some; null where none has. */
export function secondsPerStep(runs: readonly PlannedRun[]): Record<PlannedRun['kind'], number | null> {
  const of = (kind: PlannedRun['kind']) => {
    const measured = runs.filter((run) => run.kind === kind).map(({ folder }) => measuresOf(folder))
    const steps = measured.reduce((sum, m) => sum + m.steps, 0)
    return steps === 0 ? null : measured.reduce((sum, m) => sum + m.seconds, 0) / steps
  }
  return { warmup: of('warmup'), cell: of('cell') }
}

/**
 * Seconds that runs will take with so many slots: the larger of all work shared out, and of the longest run by itself. Null where the
 * speed of a kind that still has work is not known.
 */
export function secondsLeft(
  runs: readonly { kind: PlannedRun['kind']; steps: number; step: number }[],
  speed: Record<PlannedRun['kind'], number | null>,
  slots: number,
): number | null {
  let total = 0
  const longest = { warmup: 0, cell: 0 }
  for (const { kind, steps, step } of runs) {
    if (step >= steps) continue
    const own = speed[kind]
    if (own === null) return null
    total += (steps - step) * own
    longest[kind] = Math.max(longest[kind], (steps - step) * own)
  }
  return Math.max(total / slots, longest.warmup + longest.cell)
}

/** The view of runs that are followed. */
export function viewOf(
  plan: SweepPlan,
  followed: readonly FollowedRun[],
  now: { launcher: Pick<Launcher, 'name' | 'slots'>; elapsed: number; note: string | null; over: boolean },
): SweepView {
  const { launcher, elapsed, note, over } = now
  const runs = followed.map(({ run, state, message }): RunView => {
    const { steps, seconds, accuracy } = measuresOf(run.folder)
    return {
      kind: run.kind,
      name: run.name,
      arm: run.kind === 'cell' ? (run as PlannedCell).arm : run.name,
      seed: run.config.seed,
      state,
      step: state === 'done' ? run.steps : Math.min(steps, run.steps),
      steps: run.steps,
      secondsPerStep: steps > 0 ? seconds / steps : null,
      accuracy,
      message,
    }
  })
  const open = runs.filter(({ state }) => state === 'waiting' || state === 'running')
  const speed = secondsPerStep(followed.map(({ run }) => run))
  return {
    ...{ name: plan.sweep.name, folder: plan.folder, launcher: launcher.name, slots: launcher.slots },
    runs,
    counts: countStates(runs),
    elapsed,
    left: over ? null : secondsLeft(open, speed, launcher.slots),
    note,
    over,
  }
}

function countStates(runs: readonly RunView[]): Record<RunViewState, number> {
  const counts: Record<RunViewState, number> = { waiting: 0, running: 0, done: 0, failed: 0, stopped: 0 }
  for (const { state } of runs) counts[state]++
  return counts
}
