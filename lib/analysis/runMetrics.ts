/** A share between 0 and 1 with the bounds of its 95 % interval over items. */
export interface SharePoint {
  value: number
  low: number
  high: number
}

/** A line of a run's metrics: `step` counts from the run's first, `phaseStep` from the phase's. */
export interface MetricsRow {
  step: number
  phase: 'supervised' | 'grpo'
  phaseStep: number
  [name: string]: number | string | null
}

/** One held-out evaluation of a run. */
export interface RecordedEvaluation {
  phase: 'supervised' | 'grpo'
  step: number
  phaseStep: number
  /** Seconds of training since the run began; evaluations, checkpoints and the process's start are left out. */
  seconds: number
  greedy: SharePoint
  /** avg@k. */
  sampled: SharePoint
  passAtK: SharePoint
  /** Mean tokens of a sampled response. */
  length: number
  /** Share of sampled responses that were cut short. */
  truncated: number
}

/** Metrics by name, each a list over the same points; a point is the mean of neighbouring steps, `step` the last of them. */
export interface ThinnedMetrics {
  step: number[]
  phaseStep: number[]
  [name: string]: (number | null)[]
}

/** Metrics that are kept, beside the seconds of each phase. */
const KEPT =
  /^(reward|frac_reward_zero_std|completions\/(mean_length|min_length|max_length|clipped_ratio)|rhythm\/.*|loss|grad_norm|entropy|clip_ratio\/region_mean|timing_s\/(?!evaluation).*|perf\/(throughput|gpu_utilization)|memory\/(resident|gpu)_gb)$/

/** The evaluation in a line of metrics; null where there was none. */
export function evaluationOf(line: MetricsRow, seconds: number): RecordedEvaluation | null {
  const names = Object.keys(line)
  const average = names.find((name) => /^eval\/avg@\d+$/.test(name))
  const passAtK = names.find((name) => /^eval\/pass@\d+$/.test(name))
  if (!average || !passAtK) return null
  const point = (name: string): SharePoint => {
    const [value, low, high] = ['', '_low', '_high'].map((end) => numberOf(line, `${name}${end}`))
    return { value: rounded(value ?? 0), low: rounded(low ?? 0), high: rounded(high ?? 0) }
  }
  return {
    phase: line.phase,
    step: line.step,
    phaseStep: line.phaseStep,
    seconds: rounded(seconds),
    greedy: point('eval/greedy'),
    sampled: point(average),
    passAtK: point(passAtK),
    length: rounded(numberOf(line, 'eval/mean_length') ?? 0),
    truncated: rounded(numberOf(line, 'eval/clipped_ratio') ?? 0),
  }
}

/** k of avg@k in a run's metrics; null where it was never evaluated. */
export function samplesOf(metrics: readonly MetricsRow[]): number | null {
  for (const line of metrics)
    for (const name of Object.keys(line)) {
      const match = /^eval\/avg@(\d+)$/.exec(name)
      if (match) return Number(match[1])
    }
  return null
}

/** Means over at most `points` stretches of neighbouring lines of one phase; null where a metric has no number in one. */
export function thinned(lines: readonly MetricsRow[], points: number): ThinnedMetrics {
  const size = Math.ceil(lines.length / points)
  const stretches = Array.from({ length: Math.ceil(lines.length / size) }, (_, i) =>
    lines.slice(i * size, (i + 1) * size),
  )
  const names = [...new Set(lines.flatMap((line) => Object.keys(line)))].filter((name) => KEPT.test(name))
  return {
    step: stretches.map((stretch) => stretch.at(-1)!.step),
    phaseStep: stretches.map((stretch) => stretch.at(-1)!.phaseStep),
    ...Object.fromEntries(
      names.map((name) => [
        name,
        stretches.map((stretch) => {
          const values = stretch.flatMap((line) => numberOf(line, name) ?? [])
          return values.length === 0 ? null : rounded(values.reduce((sum, v) => sum + v, 0) / values.length)
        }),
      ]),
    ),
  }
}

/** A metric of a line; null where it has no number. */
export const numberOf = (line: MetricsRow, name: string): number | null => {
  const value = line[name]
  return typeof value === 'number' ? value : null
}

/** To five significant digits. */
export const rounded = (value: number) => Number(value.toPrecision(5))
