import { readFileSync } from 'node:fs'
import { InvalidArgument } from '../rhythm/invalidArgument'
import type { MetricsRow, RecordedEvaluation, SharePoint, ThinnedMetrics } from './runMetrics'

/** What is kept of a run folder: small enough for a repository. */
export interface RecordedRun {
  /** What was done: runs of one label are repetitions. */
  label: string
  /** Name of its folder. */
  name: string
  seed: number
  /** The checkpoint that it began with, as `NAME/checkpoints/step-N`, NAME a run's; null: new weights. */
  from: string | null
  /** How its configuration differs from the file's `base`, by key. */
  differences: Record<string, unknown>
  state: string
  steps: number
  device: string
  /** ISO times of the last process that trained it. */
  startedAt: string
  endedAt: string
  /** Seconds of steps by phase, and of evaluations. */
  seconds: { supervised: number; grpo: number; evaluation: number }
  evaluations: RecordedEvaluation[]
  metrics: { supervised?: ThinnedMetrics; grpo?: ThinnedMetrics }
}

/** `runs.json`. */
export interface RecordedRuns {
  format: typeof RUNS_FORMAT
  /** ISO time. */
  written: string
  /** Where it was made: processor, cores, versions. */
  machine: string
  /** k of avg@k and pass@k, and the items of an evaluation. */
  samples: number
  items: number
  /** The first run's configuration. */
  base: Record<string, unknown>
  runs: RecordedRun[]
}

export const RUNS_FORMAT = 'reasoning-rhythm runs 1'

/** Reads `runs.json`; null where there is no such file. Throws on a file of another form. */
export function readRecordedRuns(file: string): RecordedRuns | null {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  const read = JSON.parse(text) as RecordedRuns
  if (read.format !== RUNS_FORMAT)
    throw new InvalidArgument(
      `${file} has the format ${JSON.stringify(read.format)}: expected '${RUNS_FORMAT}', which rhythm collect writes`,
    )
  return read
}

/** The lines of a run's recorded metrics again, as `trainingCurves` draws them, evaluations (avg@`samples`) among them. */
export function recordedMetrics(run: RecordedRun, samples: number): MetricsRow[] {
  const rows = (['supervised', 'grpo'] as const).flatMap((phase): MetricsRow[] => {
    const columns = run.metrics[phase]
    if (!columns) return []
    const names = Object.keys(columns)
    return columns.step.map((step, i) => ({
      ...Object.fromEntries(names.map((name) => [name, columns[name]![i]!])),
      ...{ step, phase, phaseStep: columns.phaseStep[i]! },
    }))
  })
  const evaluations = run.evaluations.map((evaluation): MetricsRow => {
    const { phase, step, phaseStep, greedy, sampled, passAtK, length, truncated } = evaluation
    const bounds = (name: string, { value, low, high }: SharePoint) => ({
      [`eval/${name}`]: value,
      [`eval/${name}_low`]: low,
      [`eval/${name}_high`]: high,
    })
    return {
      ...{ step, phase, phaseStep },
      ...bounds('greedy', greedy),
      ...bounds(`avg@${samples}`, sampled),
      ...bounds(`pass@${samples}`, passAtK),
      ...{ 'eval/mean_length': length, 'eval/clipped_ratio': truncated },
    }
  })
  return [...rows, ...evaluations].sort((a, b) => a.step - b.step)
}
