import { readFileSync } from 'node:fs'
import type { LanguageModel } from '../model/languageModel'
import type { Demonstration, Task } from '../tasks/task'
import { promptIds, responseIds } from './promptIds'
import { ItemOrder, runStream } from './runStreams'
import type { SupervisedChoice } from './trainingConfig'

/** Prompt + response to imitate. */
export interface TrainingPair {
  ids: number[]
  promptLength: number
}

/**
 * The batches of supervised training. Demonstrations of `bucketSteps` steps are sorted by length together and cut into
 * batches, whose order is random: a batch holds similar lengths. Batch `n` depends on seed and `n` alone.
 */
export class DemonstrationBatches {
  private bucket = -1
  private batches: TrainingPair[][] = []
  private leftOut = 0

  constructor(
    private readonly model: LanguageModel,
    private readonly choice: Pick<SupervisedChoice, 'batch' | 'bucketSteps' | 'maxTokens'>,
    private readonly seed: number,
    private readonly demonstration: (index: number) => Demonstration,
  ) {}

  /** The demonstrations of a step, and how many of its bucket were left out for their length. */
  at(step: number): { pairs: TrainingPair[]; leftOut: number } {
    const { batch, bucketSteps } = this.choice
    const bucket = Math.floor(step / bucketSteps)
    if (bucket !== this.bucket) this.fill(bucket, bucket * bucketSteps * batch)
    return { pairs: this.batches[step % bucketSteps]!, leftOut: this.leftOut }
  }

  private fill(bucket: number, first: number): void {
    const { batch, bucketSteps, maxTokens } = this.choice
    const all = Array.from({ length: bucketSteps * batch }, (_, i) => this.pair(first + i))
    const pairs = all.filter(({ ids }) => maxTokens === null || ids.length <= maxTokens)
    if (pairs.length < bucketSteps)
      throw new Error(
        `supervised.maxTokens ${maxTokens} leaves ${pairs.length} of ${all.length} demonstrations: raise it`,
      )
    const sorted = pairs.map((pair, i) => ({ pair, i }))
    sorted.sort((a, b) => a.pair.ids.length - b.pair.ids.length || a.i - b.i)
    const cut = (k: number) => Math.floor((k * sorted.length) / bucketSteps)
    const order = runStream(this.seed, 'buckets', bucket).permutation(bucketSteps)
    this.batches = order.map((k) => sorted.slice(cut(k), cut(k + 1)).map(({ pair }) => pair))
    this.leftOut = all.length - pairs.length
    this.bucket = bucket
  }

  private pair(index: number): TrainingPair {
    const { prompt, response } = this.demonstration(index)
    const head = promptIds(this.model, prompt)
    const ids = [...head, ...responseIds(this.model, response)]
    const most = this.model.config.maxPositionEmbeddings
    if (this.choice.maxTokens === null && ids.length > most)
      throw new Error(
        `demonstration ${index} has ${ids.length} tokens, the model's context is ${most}: leave such ones out with supervised.maxTokens`,
      )
    if (ids.length === head.length) throw new Error(`demonstration ${index} has an empty response`)
    return { ids, promptLength: head.length }
  }
}

/** Demonstrations by index: the task's own, or the lines of a file, in a new order each epoch. */
export function demonstrationSource(
  task: Task<unknown>,
  source: string,
  seed: number,
): (index: number) => Demonstration {
  if (source === 'task') {
    if (!task.demonstration)
      throw new Error(
        `the task ${task.name} writes no demonstrations: give supervised.demonstrations a JSONL file of {"prompt", "response"}`,
      )
    return (index) => task.demonstration!(seed, index)
  }
  const lines = readFileSync(source, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line, i) => demonstrationOf(line, `${source}, line ${i + 1}`))
  const order = new ItemOrder(seed, lines.length)
  return (index) => lines[order.at(index)]!
}

function demonstrationOf(line: string, where: string): Demonstration {
  let value: Partial<Demonstration> | null
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new Error(`${where}: ${(error as Error).message}`)
  }
  const prompt = value?.prompt
  if (!(typeof prompt === 'string' || Array.isArray(prompt)) || typeof value?.response !== 'string')
    throw new Error(`${where}: expected {"prompt": text or turns, "response": text}`)
  return { prompt, response: value.response }
}
