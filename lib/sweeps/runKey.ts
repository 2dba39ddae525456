import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { rhythmOptions } from '../credit/rhythmOptions'
import { parseConfig } from '../training/readConfig'
import type { TrainingConfig } from '../training/trainingConfig'

/** Keys that change no number of a run. */
const FREE = ['checkpoints', 'rollouts', 'maxNonFiniteUpdates', 'recompute', 'hashes']

/** The user's code that numbers depend on, by its name in `hashes`. */
const CODE = ['credit', 'task']

/** Every section with as little in it as there can be: what is the same in a configuration is left out of its key. */
const LEAST = normal(
  parseConfig({
    model: {
      characters: '-\n',
      ...{ numHiddenLayers: 1, hiddenSize: 1, intermediateSize: 1, maxPositionEmbeddings: 2048 },
      ...{ numAttentionHeads: 1, numKeyValueHeads: 1, headDim: 2 },
    },
    task: { name: '-' },
    supervised: { steps: 1 },
    grpo: { steps: 1 },
    evaluation: {},
  }),
)

/**
 * A hash of all that a run's numbers depend on. What is at its default counts as left out: a version that has learned a new option gives
 * the runs of earlier ones the keys that they had.
 */
export function runKey(config: TrainingConfig, threads: number): string {
  const text = JSON.stringify(sorted({ ...shortened(normal(config), LEAST), threads }))
  return createHash('sha256').update(text).digest('hex')
}

/** Without the keys that change nothing, with the hashes of the user's code where there is any, the method's options by their meaning, whether they come from a preset or are written out. */
function normal(config: TrainingConfig): object {
  const code = Object.entries(config.hashes).filter(([name]) => CODE.includes(name))
  const { grpo, ...rest } = Object.fromEntries([
    ...Object.entries(config).filter(([key]) => !FREE.includes(key)),
    ...(code.length > 0 ? [['code', Object.fromEntries(code)]] : []),
  ]) as unknown as TrainingConfig
  if (!grpo) return { ...rest, grpo }
  const { preset, rl, options, excludeSink, ...credit } = grpo.credit
  const method = rhythmOptions({ rl, credit: options, excludeSink }, preset)
  return { ...rest, grpo: { ...grpo, credit: { ...credit, rl: method.rl, options: method.credit, excludeSink } } }
}

function shortened(value: object, least: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, own]) => !isDeepStrictEqual(own, (least as Record<string, unknown>)[key]))
      .map(([key, own]) => {
        const usual = (least as Record<string, unknown>)[key]
        return [key, isSection(own) && isSection(usual) ? shortened(own, usual) : own]
      }),
  )
}

const isSection = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The value with its keys in order, so that equal values have one text. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isSection(value)) return value
  const entries = Object.entries(value).map(([key, v]) => [key, sorted(v)] as const)
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}
