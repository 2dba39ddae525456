import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rhythmOptions } from '../../lib/credit/rhythmOptions'
import { generate } from '../../lib/model/generate'
import { resolveModel } from '../../lib/model/hub'
import { LanguageModel } from '../../lib/model/languageModel'
import { refreshProducts } from '../../lib/model/layerProducts'
import { randomStream } from '../../lib/random/randomStream'
import type { Task } from '../../lib/tasks/task'
import { AdamW } from '../../lib/training/adamw'
import { initialState } from '../../lib/training/checkpoint'
import { accumulateGradients } from '../../lib/training/gradients/accumulateGradients'
import { Gradients } from '../../lib/training/gradients/gradients'
import { supervisedLoss } from '../../lib/training/grpoLoss'
import { grpoStep } from '../../lib/training/grpoStep'
import { parseConfig } from '../../lib/training/readConfig'
import { ItemOrder } from '../../lib/training/runStreams'
import { StopRequest } from '../../lib/training/stopRequest'
import { initialModel, ownModel, type Products } from '../../lib/training/trainedModel'
import type { TrainingRun } from '../../lib/training/trainingRun'
import { resolveStrategy } from '../../lib/training/userModule'
import { SMALL_DECODER, SMOLLM2 } from './benchModels'

const temporary = mkdtempSync(join(tmpdir(), 'rhythm-bench-'))
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }))

export type ModelName = 'small' | 'smollm2'

/** A model whose responses never end by themselves, so that every process does the same work. */
export async function endless(name: ModelName, products: Products = 'none'): Promise<LanguageModel> {
  const model =
    name === 'small'
      ? await initialModel(SMALL_DECODER, 0, join(temporary, 'tokenizer'), products)
      : await ownModel(await resolveModel(SMOLLM2), SMOLLM2, products)
  const config = { ...model.config, eosTokenIds: [] }
  return new LanguageModel(name, config, model.weights, model.tokenizer, model.chatTemplate, model.location)
}

const randomIds = (model: LanguageModel, count: number, length: number) => {
  const stream = randomStream(0, count, length)
  return Array.from({ length: count }, () => Array.from({ length }, () => stream.below(model.config.vocabSize)))
}

/** One training step: forward, loss, all gradients, AdamW. Every token but the first is predicted. */
export async function trainingStep(
  name: ModelName,
  batch: number,
  tokens: number,
  products: Products = 'none',
): Promise<() => Promise<void>> {
  const model = await endless(name, products)
  const sequences = randomIds(model, batch, tokens + 1)
  const promptLengths = sequences.map(() => 1)
  const gradients = new Gradients(model.weights)
  const optimizer = new AdamW()
  return async () => {
    gradients.zero()
    await accumulateGradients(
      model,
      { sequences, promptLengths },
      (statistics) => supervisedLoss(statistics, { tokens: batch * tokens }).gradient,
      gradients,
    )
    optimizer.step(gradients.entries(), 1e-6)
    refreshProducts(model.weights)
  }
}

/** Sampling from prompts that all differ. */
export async function sampling(batch: number, tokens: number): Promise<() => Promise<void>> {
  const model = await endless('small')
  const prompts = randomIds(model, batch, 32)
  return async () => {
    const written = await generate(model, prompts, { maxNewTokens: tokens })
    if (written.some(({ ids }) => ids.length !== tokens)) throw new Error('a response ended early')
  }
}

/**
 * Seconds for a token of sequences that end at random, one in 32 at each token: all at once, a quarter of them at a time as `generate` does it and in
 * batches one after the other, and of as many that all go to the end.
 */
export async function mixedSampling(
  batch: number,
  tokens: number,
): Promise<() => Promise<Record<'mixed' | 'waiting' | 'inBatches' | 'even', number>>> {
  const model = await endless('small')
  const prompts = randomIds(model, batch, 32)
  const quarter = Math.ceil(batch / 4)
  const perToken = async (stopTokens: number[], atOnce = batch, together = atOnce) => {
    const start = performance.now()
    const written = []
    for (let from = 0; from < batch; from += atOnce)
      written.push(
        ...(await generate(model, prompts.slice(from, from + atOnce), {
          maxNewTokens: tokens,
          stopTokens,
          batch: together,
        })),
      )
    return (performance.now() - start) / 1000 / written.reduce((sum, { ids }) => sum + ids.length, 0)
  }
  // An untrained model writes each of its 64 tokens about as often.
  return async () => ({
    mixed: await perToken([7, 21]),
    waiting: await perToken([7, 21], batch, quarter),
    inBatches: await perToken([7, 21], quarter),
    even: await perToken([]),
  })
}

export interface GrpoWork {
  model: ModelName
  choice: { prompts: number; responses: number; maxNewTokens: number; microBatch: number }
  promptText: (index: number) => string
  /** Times that each variant is measured. */
  rounds: number
}

const letters = 'the quick brown fox jumps over the lazy dog and runs away '

export const GRPO_WORK: Record<string, GrpoWork> = {
  'grpo-small': {
    model: 'small',
    choice: { prompts: 16, responses: 8, maxNewTokens: 64, microBatch: 64 },
    promptText: (index) => `${index} ${letters}`.slice(0, 32),
    rounds: 5,
  },
  'grpo-smollm2': {
    model: 'smollm2',
    choice: { prompts: 4, responses: 4, maxNewTokens: 64, microBatch: 8 },
    promptText: (index) => `Question ${index}: ${letters.repeat(4)}? Answer:`,
    rounds: 3,
  },
}

/** Rewards as arbitrary as those of a hard task, half of them 1, so that groups have variance. */
const arbitraryTask = (promptText: GrpoWork['promptText']): Task<unknown> => ({
  name: 'arbitrary',
  items: () => ({ length: 1000, at: (index) => index }),
  prompt: (item) => promptText(item as number),
  verify: (_item, response) => {
    const sum = [...response].reduce((total, character) => total + character.codePointAt(0)!, 0)
    return { reward: sum % 2, correct: sum % 2 === 1, wellFormed: true, answer: null }
  },
})

export const PHASES = ['gen', 'old_log_prob', 'credit', 'update_actor'] as const
export type PhaseSeconds = Record<(typeof PHASES)[number], number>

/** `rhythm`: coupled credit. `fastest`: uniform credit, one update, no pass over the batch before it. `pass`: uniform credit with that pass. */
export type GrpoVariant = 'rhythm' | 'pass' | 'fastest'

/** Steps of GRPO that all write and learn the same responses: the seconds of each phase. */
export async function grpoSteps(work: GrpoWork): Promise<(variant: GrpoVariant) => Promise<PhaseSeconds>> {
  const model = await endless(work.model)
  const gradients = new Gradients(model.weights)
  const optimizer = new AdamW()
  const variant = async (strategy: string, updates: number): Promise<TrainingRun> => ({
    config: parseConfig({
      model: SMALL_DECODER,
      task: { name: 'countdown-compact' },
      // The learning rate is too low to change a weight.
      grpo: { ...work.choice, steps: 1, updates, credit: { strategy }, optimizer: { learningRate: 1e-30 } },
    }),
    model,
    gradients,
    optimizer,
    task: arbitraryTask(work.promptText),
    order: new ItemOrder(0, 1000),
    credit: await resolveStrategy(strategy),
    rhythm: rhythmOptions(),
    reference: null,
    state: initialState({ supervised: null }),
    stop: new StopRequest(join(temporary, 'stop')),
  })
  const runs = {
    rhythm: await variant('coupled', 1),
    fastest: await variant('uniform', 1),
    // Old log-probabilities are needed from the second update on.
    pass: await variant('uniform', 2),
  }
  return async (which) => {
    const run = runs[which]
    const { metrics } = await grpoStep(run, run.config.grpo!, false)
    gradients.zero()
    return Object.fromEntries(PHASES.map((phase) => [phase, metrics[`timing_s/${phase}`]!])) as PhaseSeconds
  }
}
