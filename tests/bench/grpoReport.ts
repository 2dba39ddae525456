import type { GrpoVariant, PhaseSeconds } from './trainingWork'

/** Seconds of each phase of one process, by variant of the step. */
export type GrpoPhases = Record<GrpoVariant, PhaseSeconds>

const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!

/** Phases of the step with rhythm credit and of the fastest uniform one, and what the rhythm and the pass below it cost. */
export function grpoReport(processes: readonly GrpoPhases[]): string[] {
  const of = (value: (phases: GrpoPhases) => number) => median(processes.map(value))
  const whole = (seconds: PhaseSeconds) => Object.values(seconds).reduce((sum, s) => sum + s, 0)
  const s = (seconds: number) => `${seconds.toFixed(seconds < 0.1 ? 3 : 2)} s`
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`
  const line = (title: string, variant: 'rhythm' | 'fastest', pass: string) => {
    const phase = (name: keyof PhaseSeconds) => s(of((p) => p[variant][name]))
    return `${title}: ${s(of((p) => whole(p[variant])))} (rollout ${phase('gen')}, ${pass} ${phase('old_log_prob')}, credit ${phase('credit')}, update ${phase('update_actor')})`
  }
  const riding = (p: GrpoPhases) => p.rhythm.old_log_prob + p.rhythm.credit - p.pass.old_log_prob
  return [
    line('with rhythm credit', 'rhythm', 'old log-probabilities + rhythm'),
    line('fastest uniform step', 'fastest', 'old log-probabilities'),
    `rhythm credit costs ${s(of(riding))} over the old-log-probability pass it rides on, ${percent(of((p) => riding(p) / whole(p.rhythm)))} of a step (aim: at most 1 %)`,
    `the pass itself, which uniform credit with one update a batch may skip: ${s(of((p) => p.pass.old_log_prob))}, ${percent(of((p) => p.pass.old_log_prob / whole(p.fastest)))} of the fastest uniform step`,
  ]
}
