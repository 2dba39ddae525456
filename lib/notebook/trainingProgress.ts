import type { MetricsLine } from '../training/runFolder'
import type { RunStatus } from '../training/startRun'
import type { TrainingConfig } from '../training/trainingConfig'
import type { ProgressView } from './progress'

/** Steps over which the speed is measured. */
const RECENT = 20

/**
 * How far each phase of a run is, as bars show it. The time left is told from the last steps and the last evaluation; of a phase that has
 * not begun nothing is known.
 */
export function phaseViews(
  config: Pick<TrainingConfig, 'supervised' | 'grpo' | 'evaluation'>,
  metrics: readonly MetricsLine[],
  state: RunStatus['state'],
): ProgressView[] {
  return (['supervised', 'grpo'] as const).flatMap((phase) => {
    const choice = config[phase]
    if (!choice) return []
    const lines = metrics.filter((line) => line.phase === phase)
    const done = lines.at(-1)?.phaseStep ?? 0
    const steps = lines.filter((line) => line.phaseStep > 0)
    const finished = done >= choice.steps
    const view: ProgressView = {
      label: phase === 'supervised' ? 'warm-up' : 'GRPO',
      done,
      total: choice.steps,
      unit: 'steps',
      note: note(lines),
      state: finished ? 'finished' : state === 'running' || state === 'starting' ? 'running' : 'stopped',
      elapsed: seconds(lines, 'timing_s/step') + seconds(lines, 'timing_s/evaluation'),
      left: null,
    }
    if (view.state === 'running' && steps.length > 0) {
      const recent = steps.slice(-RECENT)
      const evaluation = metrics.filter((line) => typeof line['timing_s/evaluation'] === 'number').at(-1)
      const perEvaluation = Number(evaluation?.['timing_s/evaluation'] ?? 0)
      const evaluations = config.evaluation ? evaluationsLeft(done, choice.steps, choice.evaluateEvery) : 0
      view.left =
        ((choice.steps - done) * seconds(recent, 'timing_s/step')) / recent.length + evaluations * perEvaluation
    }
    return [view]
  })
}

/** Evaluations after step `done`: every `every` steps, and after the last. */
export function evaluationsLeft(done: number, steps: number, every: number): number {
  if (done >= steps) return 0
  if (every === 0) return 1
  return Math.floor(steps / every) - Math.floor(done / every) + (steps % every === 0 ? 0 : 1)
}

const seconds = (lines: readonly MetricsLine[], name: string) =>
  lines.reduce((sum, line) => sum + Number(line[name] ?? 0), 0)

/** The newest numbers of a phase. */
function note(lines: readonly MetricsLine[]): string {
  const newest = lines.at(-1)
  if (!newest) return ''
  const names = newest.phase === 'grpo' ? ['reward', 'entropy'] : ['loss']
  const numbers = names.flatMap((name) =>
    typeof newest[name] === 'number' ? `${name} ${newest[name].toFixed(3)}` : [],
  )
  const average = (line: MetricsLine) => Object.keys(line).find((name) => /^eval\/avg@\d+$/.test(name))
  const evaluated = lines.filter(average).at(-1)
  if (!evaluated) return numbers.join(', ')
  const name = average(evaluated)!
  const percent = (key: string) => (100 * Number(evaluated[key])).toFixed(1)
  return [
    ...numbers,
    `${name.slice(5)} ${percent(name)} % [${percent(`${name}_low`)}, ${percent(`${name}_high`)}]`,
  ].join(', ')
}
