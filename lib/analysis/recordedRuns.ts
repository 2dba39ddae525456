import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { InvalidArgument } from '../rhythm/invalidArgument'

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

/** A run as its folder describes it: the folder's name, `config.json`, `state.json` and the lines of `metrics.jsonl`. */
export interface RunFiles {
  name: string
  config: Record<string, unknown>
  state: { state: string; step: number; device: string; startedAt: string; changedAt: string }
  metrics: readonly MetricsRow[]
}

export interface RecordOptions {
  /** Default: what the configuration does, such as `GRPO, coupled credit`. */
  label?: string
  /** Most points of a phase's metrics. Default 100. */
  points?: number
}

/** Metrics that are kept, beside the seconds of each phase. */
const KEPT =
  /^(reward|frac_reward_zero_std|completions\/(mean_length|min_length|max_length|clipped_ratio)|rhythm\/.*|loss|grad_norm|entropy|clip_ratio\/region_mean|timing_s\/(?!evaluation).*|perf\/throughput|memory\/resident_gb)$/

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

/** What is kept of one run. `base`: the configuration that its differences are from. Throws if it has no evaluation. */
export function recordRun(files: RunFiles, base: RunFiles['config'], options: RecordOptions = {}): RecordedRun {
  const { points = 100 } = options
  const { name, config, state, metrics } = files
  const model = config.model as { from?: string }
  const seconds = { supervised: 0, grpo: 0, evaluation: 0 }
  const evaluations: RecordedEvaluation[] = []
  for (const line of metrics) {
    seconds[line.phase] += numberOf(line, 'timing_s/step') ?? 0
    seconds.evaluation += numberOf(line, 'timing_s/evaluation') ?? 0
    const evaluation = evaluationOf(line, seconds.supervised + seconds.grpo)
    if (evaluation) evaluations.push(evaluation)
  }
  if (evaluations.length === 0) throw new InvalidArgument('this run has no evaluation: there is no accuracy to record')
  const phase = (name: 'supervised' | 'grpo') => {
    const lines = metrics.filter((line) => line.phase === name && line.phaseStep > 0)
    return lines.length === 0 ? {} : { [name]: thinned(lines, points) }
  }
  return {
    label: options.label ?? labelOf(config),
    name,
    seed: config.seed as number,
    from: model.from === undefined ? null : shortPath(model.from),
    differences: differencesOf(withoutPlaces({ ...base, seed: config.seed }), withoutPlaces(config)),
    state: state.state,
    steps: state.step,
    device: state.device,
    startedAt: state.startedAt,
    endedAt: state.changedAt,
    seconds: {
      supervised: rounded(seconds.supervised),
      grpo: rounded(seconds.grpo),
      evaluation: rounded(seconds.evaluation),
    },
    evaluations,
    metrics: { ...phase('supervised'), ...phase('grpo') },
  }
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

const numberOf = (line: MetricsRow, name: string): number | null => {
  const value = line[name]
  return typeof value === 'number' ? value : null
}

const rounded = (value: number) => Number(value.toPrecision(5))

function labelOf(config: RunFiles['config']): string {
  const grpo = config.grpo as { credit: { strategy: string | { module: string } } } | null
  if (grpo) {
    const { strategy } = grpo.credit
    return `GRPO, ${typeof strategy === 'string' ? strategy : strategy.module.split('/').at(-1)} credit`
  }
  return (config.model as { from?: string }).from === undefined ? 'warm-up' : 'further supervised training'
}

/** The configuration without what belongs to one machine or one process: where its first checkpoint lay, hashes of code. */
export function withoutPlaces(config: RunFiles['config']): RunFiles['config'] {
  const { hashes: _, ...rest } = config
  const { from } = config.model as { from?: string }
  return from === undefined ? rest : { ...rest, model: { from: shortPath(from) } }
}

/** A checkpoint's path without the folders around its run. */
const shortPath = (from: string) =>
  /[^/]+\/checkpoints\/step-\d+$/.exec(from)?.[0] ?? from.split('/').slice(-2).join('/')

/** Keys whose values differ, at the deepest level at which both sides have objects with a key in common. */
function differencesOf(base: unknown, config: unknown, at = ''): Record<string, unknown> {
  if (isObject(base) && isObject(config) && (at === '' || Object.keys(base).some((key) => key in config))) {
    const keys = [...new Set([...Object.keys(base), ...Object.keys(config)])]
    return Object.assign({}, ...keys.map((key) => differencesOf(base[key], config[key], at ? `${at}.${key}` : key)))
  }
  return isDeepStrictEqual(base, config) ? {} : { [at]: config ?? null }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
