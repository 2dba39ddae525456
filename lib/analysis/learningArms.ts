import type { RecordedRuns } from './recordedRuns'
import type { RecordedEvaluation, SharePoint } from './runMetrics'

export const WARM_UP = 'warm-up'

/** An evaluation on a curve whose zero is the checkpoint that all arms share. */
export interface LearningPoint {
  /** Steps since that checkpoint, negative in warm-up. */
  step: number
  /** Minutes of training since that checkpoint, evaluations left out; negative in warm-up. */
  minutes: number
  greedy: SharePoint
  sampled: SharePoint
  passAtK: SharePoint
}

/** Warm-up, or what was done from the checkpoint at its end on, with one seed. */
export interface LearningArm {
  label: string
  /** The run whose warm-up it goes on from: arms of one origin are compared as a pair. */
  origin: string
  /** That run's seed; the arm's own where the run was not recorded. */
  seed: number
  points: LearningPoint[]
}

export interface LearningRow {
  arm: string
  seed: number
  origin: string
  steps: number
  minutes: number
  /** Shares of right responses: before, after, and the bounds of the latter's 95 % interval over items. */
  sampledBefore: number
  sampled: number
  sampledLow: number
  sampledHigh: number
  greedyBefore: number
  greedy: number
  greedyLow: number
  greedyHigh: number
  /** Sampled accuracy after less before, and the same of greedy accuracy. */
  gain: number
  greedyGain: number
}

export interface LearningSummaryRow {
  arm: string
  seeds: number
  minutes: number
  sampledBefore: number
  sampled: number
  greedyBefore: number
  greedy: number
  /** Of sampled accuracy: mean over seeds, lowest and highest seed. */
  gain: number
  gainLowest: number
  gainHighest: number
}

/** The curves of recorded runs. A run of warm-up and GRPO gives two arms, which share the evaluation between them. */
export function learningArms({ runs }: Pick<RecordedRuns, 'runs'>): LearningArm[] {
  return runs.flatMap((run) => {
    const origin = run.from?.split('/')[0] ?? run.name
    const arm = (
      label: string,
      evaluations: readonly RecordedEvaluation[],
      zero: { step: number; seconds: number },
    ) => ({
      label,
      origin,
      seed: runs.find(({ name }) => name === origin)?.seed ?? run.seed,
      points: evaluations.map(({ step, seconds, greedy, sampled, passAtK }) => ({
        ...{ step: step - zero.step, minutes: (seconds - zero.seconds) / 60 },
        ...{ greedy, sampled, passAtK },
      })),
    })
    if (run.from !== null) return [arm(run.label, run.evaluations, { step: 0, seconds: 0 })]
    const warm = run.evaluations.filter(({ phase }) => phase === 'supervised')
    const later = run.evaluations.filter(({ phase }) => phase === 'grpo')
    const zero = warm.at(-1) ?? { step: 0, seconds: 0 }
    return [
      ...(warm.length > 0 ? [arm(WARM_UP, warm, zero)] : []),
      ...(later.length > 0 ? [arm(run.label, [...warm.slice(-1), ...later], zero)] : []),
    ]
  })
}

/** Accuracy before and after, for each arm but warm-up and each seed. */
export function learningTable(recorded: Pick<RecordedRuns, 'runs'>): LearningRow[] {
  return learningArms(recorded)
    .filter(({ label, points }) => label !== WARM_UP && points.length > 1)
    .map(({ label, seed, origin, points }) => {
      const [before, after] = [points[0]!, points.at(-1)!]
      return {
        ...{ arm: label, seed, origin, steps: after.step, minutes: after.minutes },
        sampledBefore: before.sampled.value,
        sampled: after.sampled.value,
        sampledLow: after.sampled.low,
        sampledHigh: after.sampled.high,
        greedyBefore: before.greedy.value,
        greedy: after.greedy.value,
        greedyLow: after.greedy.low,
        greedyHigh: after.greedy.high,
        gain: after.sampled.value - before.sampled.value,
        greedyGain: after.greedy.value - before.greedy.value,
      }
    })
}

/** Means over seeds, one row an arm, in the order of the table. */
export function learningSummary(rows: readonly LearningRow[]): LearningSummaryRow[] {
  const arms = [...new Set(rows.map(({ arm }) => arm))]
  return arms.map((arm) => {
    const own = rows.filter((row) => row.arm === arm)
    const mean = (name: keyof LearningRow) => own.reduce((sum, row) => sum + (row[name] as number), 0) / own.length
    const gains = own.map(({ gain }) => gain)
    return {
      ...{ arm, seeds: own.length, minutes: mean('minutes') },
      ...{ sampledBefore: mean('sampledBefore'), sampled: mean('sampled') },
      ...{ greedyBefore: mean('greedyBefore'), greedy: mean('greedy') },
      ...{ gain: mean('gain'), gainLowest: Math.min(...gains), gainHighest: Math.max(...gains) },
    }
  })
}
