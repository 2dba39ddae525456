import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readConfig } from '../../lib/training/readConfig'
import type { TrainingConfigInput } from '../../lib/training/trainingConfig'
import { SMALL_DECODER, SMOLLM2 } from './benchModels'

const ROOT = join(__dirname, '..', '..')
const FIXTURES = join(ROOT, 'tests', 'fixtures', 'training')
const TASK = join(FIXTURES, 'evenLength.cjs')
const LETTERS = SMALL_DECODER.characters.slice(0, -1)

/** Demonstrations of the small decoder, a prompt of 12 characters and a response, its end included. */
function demonstrations(folder: string, tokens: number): string {
  const file = join(folder, `demonstrations-${tokens}.jsonl`)
  const text = (length: number, i: number) =>
    Array.from({ length }, (_, k) => LETTERS[(7 * i + k) % LETTERS.length]).join('')
  const lines = Array.from({ length: 64 }, (_, i) => ({ prompt: text(12, i), response: text(tokens - 13, i) }))
  writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return file
}

const steps = 4
const supervised = (file: string, batch: number, microBatch: number) => ({
  steps,
  batch,
  microBatch,
  bucketSteps: 2,
  demonstrations: file,
})

/** Runs of a few steps by name, whose plan is compared with what they take. `folder`: for their files. */
export function planCases(folder: string): Record<string, () => TrainingConfigInput> {
  const small = (batch: number, tokens: number, microBatch = batch) => ({
    model: SMALL_DECODER,
    task: { module: TASK },
    supervised: supervised(demonstrations(folder, tokens + 1), batch, microBatch),
  })
  const smollm2 = (prompts: string[]) => ({ model: { from: SMOLLM2 }, task: { module: TASK, options: { prompts } } })
  const narrow = (config: TrainingConfigInput): TrainingConfigInput => ({
    ...config,
    model: { ...config.model, precision: 'bf16' } as TrainingConfigInput['model'],
  })
  const story = 'The old lighthouse keeper looked at the sea and wondered when the ship would come back home. '
  const grpo = { steps: 3, optimizer: { learningRate: 1e-6 } }
  const cases: Record<string, () => TrainingConfigInput> = {
    laptop: () => {
      const config = readConfig(join(ROOT, 'data', 'configs', 'countdown-laptop.jsonc'))
      const { task, supervised, grpo, evaluation } = config
      return {
        ...config,
        task: { module: join(FIXTURES, 'evenCountdown.cjs'), options: task.options },
        supervised: { ...supervised!, steps: 16 },
        grpo: { ...grpo!, steps: 3, evaluateEvery: 0 },
        evaluation: { ...evaluation!, items: 64 },
        checkpoints: { every: 100 },
      }
    },
    'small-64x128': () => small(64, 128),
    'small-16x128': () => small(16, 128),
    'small-128x96': () => small(128, 96),
    'small-64x128-in-16': () => small(64, 128, 16),
    'small-grpo': () => ({
      model: SMALL_DECODER,
      task: {
        module: TASK,
        options: { prompts: ['the quick brown fox jumps over t', 'he lazy dog and runs away again '] },
      },
      grpo: { ...grpo, prompts: 16, responses: 8, maxNewTokens: 32, microBatch: 64 },
    }),
    'smollm2-4x256': () => {
      const file = join(folder, 'story.jsonl')
      writeFileSync(file, `${JSON.stringify({ prompt: story, response: story.repeat(12) })}\n`)
      return { ...smollm2([story]), supervised: supervised(file, 4, 4) }
    },
    'smollm2-grpo': () => ({
      ...smollm2([story, `Again: ${story}`]),
      grpo: { ...grpo, steps: 2, prompts: 4, responses: 4, maxNewTokens: 48, microBatch: 8 },
    }),
    'smollm2-lora': () => ({
      ...smollm2([story, `Again: ${story}`]),
      lora: { rank: 16 },
      grpo: { ...grpo, steps: 2, prompts: 2, responses: 4, maxNewTokens: 48, microBatch: 4 },
    }),
  }
  for (const name of ['smollm2-4x256', 'smollm2-grpo', 'smollm2-lora'])
    cases[`${name}-bf16`] = () => narrow(cases[name]!())
  return cases
}
