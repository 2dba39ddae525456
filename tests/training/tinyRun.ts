import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isTiming, type MetricsLine, readMetrics } from '../../lib/training/runFolder'

export const TASK = join(__dirname, '..', 'fixtures', 'training', 'evenOnes.cjs')

/** A run of a second or two: 4 steps of warm-up and 6 of GRPO of a decoder of 5,000 weights. `changes` go one level into sections. */
export function tinyConfig(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const optimizer = { learningRate: 1e-2, beta2: 0.95 }
  const config: Record<string, unknown> = {
    seed: 3,
    model: {
      characters: 'ab01\n',
      numHiddenLayers: 2,
      hiddenSize: 16,
      intermediateSize: 32,
      numAttentionHeads: 2,
      numKeyValueHeads: 1,
      headDim: 8,
      maxPositionEmbeddings: 40,
    },
    task: { module: TASK },
    supervised: { steps: 4, batch: 6, microBatch: 4, bucketSteps: 2, optimizer },
    grpo: {
      steps: 6,
      prompts: 3,
      responses: 4,
      updates: 2,
      microBatch: 4,
      maxNewTokens: 16,
      evaluateEvery: 3,
      credit: { refreshEvery: 2 },
      optimizer,
    },
    evaluation: { items: 4, samples: 2, maxNewTokens: 16 },
    checkpoints: { every: 4, keep: 2 },
    rollouts: { every: 2, groups: 2 },
  }
  for (const [name, change] of Object.entries(changes)) {
    const before = config[name]
    config[name] = isObject(change) && isObject(before) && !('module' in change) ? { ...before, ...change } : change
  }
  return config
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

export const withoutTimings = (line: MetricsLine) =>
  Object.fromEntries(Object.entries(line).filter(([name]) => !isTiming(name)))

const hash = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex')

/** What a resumed run must equal: metrics without timings, last weights and optimizer, rollouts. */
export function resultOf(folder: string) {
  const metrics = readMetrics(folder).map(withoutTimings)
  const last = join(folder, 'checkpoints', `step-${metrics.at(-1)!.step}`)
  return {
    metrics,
    weights: hash(join(last, 'model.safetensors')),
    optimizer: hash(join(last, 'optimizer.safetensors')),
    state: JSON.parse(readFileSync(join(last, 'trainer_state.json'), 'utf8')),
    rollouts: readdirSync(join(folder, 'rollouts')).map((name) => [name, hash(join(folder, 'rollouts', name))]),
  }
}

/** Every file but those that say when: path to hash. */
export function filesOf(folder: string, at = ''): Record<string, string> {
  return Object.fromEntries(
    readdirSync(join(folder, at), { withFileTypes: true }).flatMap((entry) => {
      const name = join(at, entry.name)
      if (entry.isDirectory()) return Object.entries(filesOf(folder, name))
      return ['state.json', 'run.lock'].includes(entry.name) ? [] : [[name, hash(join(folder, name))]]
    }),
  )
}
