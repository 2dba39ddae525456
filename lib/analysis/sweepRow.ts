/** One held-out evaluation of a run; accuracies are shares. */
export interface SweepEvaluation {
  /** GRPO steps made. */
  step: number
  /** avg@k. */
  sampled: number
  greedy: number
}

/** A run of a sweep as plain data: what tables and figures are made of. */
export interface SweepRow {
  /** Name of the sweep. */
  sweep: string
  /** Name of the run. */
  cell: string
  /** What is compared: runs of one arm differ by seed and warm-up alone. */
  arm: string
  /** Axis → label. */
  labels: Record<string, string>
  seed: number
  /** Seed of the warm-up that it began at; null where none was shared. */
  warmup: number | null
  state: 'finished' | 'unfinished' | 'failed'
  steps: number
  /** Ascending; the first is that of the checkpoint that the run began at. */
  evaluations: SweepEvaluation[]
  /** Mean training reward over stretches of steps; `step` is the last of each. */
  reward: { step: number[]; value: number[] }
  /** Mean gamma over all steps; 1 for uniform credit. Null where it was not recorded. */
  meanCredit: number | null
  /** Seconds of its steps and evaluations. */
  seconds: number
}

/** A sweep's runs, with what they are to be compared with. */
export interface SweepRecord {
  format: typeof SWEEP_FORMAT
  name: string
  /** The arm that the others are compared with. */
  baseline: string
  /** The paper's ablation that stands beside it; null: none. */
  paper: string | null
  /** Where it was made: processor, cores, versions; null where it is not recorded. */
  machine: string | null
  rows: SweepRow[]
}

export const SWEEP_FORMAT = 'reasoning-rhythm sweep 1'

/** What a run is judged by. Accuracies are shares; `area` is the mean height of the held-out curve. */
export const SWEEP_MEASURES = ['final', 'best', 'area', 'gain', 'finalGreedy'] as const
export type SweepMeasure = (typeof SWEEP_MEASURES)[number]

/**
 * A run's value of a measure; null for a run without evaluations, or of one evaluation for `area` and `gain`.
 * `final`: last sampled accuracy; `best`: the highest after the first step; `area`: the area under the curve of sampled accuracy by
 * trapezia, divided by its steps; `gain`: last less first; `finalGreedy`: last greedy accuracy.
 */
export function measureOf({ evaluations }: Pick<SweepRow, 'evaluations'>, measure: SweepMeasure): number | null {
  const [first, last] = [evaluations[0], evaluations.at(-1)]
  if (!first || !last) return null
  if (measure === 'final') return last.sampled
  if (measure === 'finalGreedy') return last.greedy
  if (evaluations.length < 2) return null
  if (measure === 'gain') return last.sampled - first.sampled
  if (measure === 'best') return Math.max(...evaluations.slice(1).map(({ sampled }) => sampled))
  let area = 0
  for (const [i, { step, sampled }] of evaluations.slice(1).entries())
    area += ((step - evaluations[i]!.step) * (sampled + evaluations[i]!.sampled)) / 2
  return area / (last.step - first.step)
}

/**
 * Steps until the curve of sampled accuracy first reaches a threshold, by straight lines between evaluations; null if it never does.
 */
export function stepsToReach({ evaluations }: Pick<SweepRow, 'evaluations'>, threshold: number): number | null {
  const at = evaluations.findIndex(({ sampled }) => sampled >= threshold)
  if (at < 0) return null
  const [before, after] = [evaluations[at - 1], evaluations[at]!]
  if (!before) return after.step
  return before.step + ((threshold - before.sampled) / (after.sampled - before.sampled)) * (after.step - before.step)
}

/** What pairs runs of two arms: the seed, and the checkpoint that they began at. */
export const pairKey = ({ seed, warmup }: Pick<SweepRow, 'seed' | 'warmup'>): string => `${warmup ?? ''} ${seed}`

/** The arms of rows, in their order. */
export const armsOf = (rows: readonly Pick<SweepRow, 'arm'>[]): string[] => [...new Set(rows.map(({ arm }) => arm))]
