import { isDeepStrictEqual } from 'node:util'
import { InvalidArgument } from '../rhythm/invalidArgument'
import type { RecordedRun } from './recordedRuns'
import { evaluationOf, type MetricsRow, numberOf, type RecordedEvaluation, rounded, thinned } from './runMetrics'

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
