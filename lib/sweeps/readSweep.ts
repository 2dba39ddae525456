import { existsSync } from 'node:fs'
import path from 'node:path'
import { readSweepRecord } from '../analysis/sweepRecord'
import { SWEEP_FORMAT, type SweepEvaluation, type SweepRecord, type SweepRow } from '../analysis/sweepRow'
import { storedConfig } from '../training/runConfig'
import { type MetricsLine, RunFolder, readMetrics } from '../training/runFolder'
import type { PlannedRun } from './planSweep'
import { type RecordedCell, type RecordedSweep, runProgress, SweepFolder } from './sweepFolder'
import { sampledAccuracy } from './sweepView'

/** Most points of a run's training reward. */
const REWARD_POINTS = 25

/**
 * The runs of a sweep as plain rows, of one in progress too: what is evaluated so far. `folder` is a sweep's, or one into which
 * `rhythm compare` has written a record. Throws if it holds neither.
 */
export async function readSweep(folder: string): Promise<SweepRecord> {
  const recorded = await new SweepFolder(folder).read()
  if (recorded) return recordOf(path.resolve(folder), recorded)
  const record = readSweepRecord(folder)
  if (record) return record
  throw new Error(
    `${path.resolve(folder)} holds no sweep: expected sweep.json, which rhythm sweep writes, or runs.json of rhythm compare`,
  )
}

async function recordOf(folder: string, sweep: RecordedSweep): Promise<SweepRecord> {
  const rows = await Promise.all(sweep.cells.map((cell) => rowOf(folder, sweep, cell)))
  const arms = rows.map(({ arm }) => arm)
  const guess = arms.includes('uniform') ? 'uniform' : arms[0]!
  return {
    format: SWEEP_FORMAT,
    name: sweep.name,
    baseline: sweep.baseline ?? guess,
    paper: sweep.paper,
    machine: null,
    rows,
  }
}

async function rowOf(folder: string, sweep: RecordedSweep, cell: RecordedCell): Promise<SweepRow> {
  const at = path.resolve(folder, cell.folder)
  const lines = existsSync(at) ? readMetrics(at) : []
  const { state } = runProgress({ folder: at, steps: cell.steps })
  // A run of another sweep has its jobs there.
  const job = await new SweepFolder(folder).readJob({ kind: 'cell', name: cell.name } as PlannedRun)
  return {
    sweep: sweep.name,
    cell: cell.name,
    arm: cell.arm,
    labels: cell.labels,
    seed: cell.seed,
    warmup: cell.warmup?.seed ?? null,
    state: state === 'finished' ? 'finished' : job?.failed ? 'failed' : 'unfinished',
    steps: lines.at(-1)?.step ?? 0,
    evaluations: evaluationsOf(lines),
    reward: rewardOf(lines),
    meanCredit: await meanCreditOf(at, lines),
    seconds: lines.reduce(
      (sum, line) => sum + Number(line['timing_s/step'] ?? 0) + Number(line['timing_s/evaluation'] ?? 0),
      0,
    ),
  }
}

/** The evaluations of GRPO, steps counted from its beginning, and before them the one of the checkpoint that it began at. */
export function evaluationsOf(lines: readonly MetricsLine[]): SweepEvaluation[] {
  const evaluated = lines.filter((line) => sampledAccuracy(line) !== null)
  const grpo = evaluated.filter(({ phase }) => phase === 'grpo')
  const shown = (line: MetricsLine, step: number): SweepEvaluation => ({
    step,
    sampled: sampledAccuracy(line)!,
    greedy: Number(line['eval/greedy']),
  })
  if (grpo.length === 0) return evaluated.map((line) => shown(line, line.phaseStep))
  const before = evaluated.filter(({ phase }) => phase === 'supervised').at(-1)
  return [...(before ? [shown(before, 0)] : []), ...grpo.map((line) => shown(line, line.phaseStep))]
}

/** Means over stretches of neighbouring steps, few enough for a repository. */
export function rewardOf(lines: readonly MetricsLine[]): SweepRow['reward'] {
  const known = lines.filter(({ phase, reward }) => phase === 'grpo' && typeof reward === 'number')
  const size = Math.max(1, Math.ceil(known.length / REWARD_POINTS))
  const stretches = Array.from({ length: Math.ceil(known.length / size) }, (_, i) =>
    known.slice(i * size, (i + 1) * size),
  )
  const mean = (stretch: readonly MetricsLine[]) =>
    stretch.reduce((sum, line) => sum + Number(line.reward), 0) / stretch.length
  return {
    step: stretches.map((stretch) => stretch.at(-1)!.phaseStep),
    value: stretches.map((stretch) => Number(mean(stretch).toPrecision(4))),
  }
}

/** Uniform credit is 1 by definition, and its pass may have been left out. */
async function meanCreditOf(folder: string, lines: readonly MetricsLine[]): Promise<number | null> {
  const gammas = lines.flatMap((line) => {
    const gamma = line['rhythm/gamma_mean']
    return typeof gamma === 'number' ? [gamma] : []
  })
  if (gammas.length > 0) return gammas.reduce((sum, gamma) => sum + gamma, 0) / gammas.length
  const config = existsSync(folder) ? await storedConfig(new RunFolder(folder)) : null
  return config?.grpo?.credit.strategy === 'uniform' ? 1 : null
}
