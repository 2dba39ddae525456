import { generate } from '../model/generate'
import type { LanguageModel } from '../model/languageModel'
import { bootstrapMean, type Estimate } from '../tasks/passAtK'
import { itemAt, type Task } from '../tasks/task'
import { promptIds } from './promptIds'
import { runSeed } from './runStreams'
import type { EvaluationChoice } from './trainingConfig'

export interface EvaluationResult {
  split: string
  items: number
  samples: number
  /** Share of items that the greedy response solves. */
  greedy: Estimate
  /** avg@k: share of sampled responses that are right. */
  average: Estimate
  /** Share of items that any of the k responses solves. */
  passAtK: Estimate
  /** Mean reward of sampled responses. */
  reward: number
  /** Mean tokens of sampled responses. */
  length: number
  /** Share of sampled responses that did not end by themselves. */
  truncated: number
  /** Right responses of each item, of `samples`. */
  right: number[]
}

export interface EvaluateOptions {
  /** Of sampling; the same in all evaluations of a run, so that they differ by the weights alone. Default 0. */
  seed?: number
  /** Of the task's items. Default 0. */
  dataSeed?: number
  signal?: AbortSignal
  onProgress?: (done: number, total: number, note?: string) => void
}

/** Accuracy of a model on a task's held-out items: greedy, and avg@k at a temperature, with bootstrap intervals over items. */
export async function evaluate<Item>(
  model: LanguageModel,
  task: Task<Item>,
  choice: EvaluationChoice,
  options: EvaluateOptions = {},
): Promise<EvaluationResult> {
  const { seed = 0, dataSeed = 0, signal, onProgress } = options
  const { split, samples, temperature, maxNewTokens, batch } = choice
  const source = task.items(split, dataSeed)
  const count = Math.min(choice.items, source.length)
  const items = Array.from({ length: count }, (_, i) => itemAt(source, i, `${task.name}, ${split}`))
  const prompts = items.map((item) => promptIds(model, task.prompt(item)))
  const total = count * (samples + 1)
  let done = 0
  const respond = async (which: readonly number[], at: number) => {
    const responses = await generate(
      model,
      which.map((i) => prompts[i]!),
      {
        maxNewTokens,
        temperature: at,
        seed: runSeed(seed, 'evaluation'),
        batch,
        signal,
        onProgress: (written) => onProgress?.(done + (batch < which.length ? written : 0), total, 'evaluation'),
      },
    )
    done += which.length
    onProgress?.(done, total, 'evaluation')
    return responses.map((response, k) => ({ verdict: task.verify(items[which[k]!]!, response.text), response }))
  }
  const greedy = await respond(
    items.map((_, i) => i),
    0,
  )
  const sampled = await respond(
    items.flatMap((_, i) => new Array<number>(samples).fill(i)),
    temperature,
  )
  const right = items.map(
    (_, i) => sampled.slice(i * samples, (i + 1) * samples).filter(({ verdict }) => verdict.correct).length,
  )
  const mean = (of: (s: (typeof sampled)[number]) => number) =>
    sampled.reduce((sum, s) => sum + of(s), 0) / sampled.length
  return {
    split,
    items: count,
    samples,
    greedy: bootstrapMean(greedy.map(({ verdict }) => Number(verdict.correct))),
    average: bootstrapMean(right.map((r) => r / samples)),
    passAtK: bootstrapMean(right.map((r) => Number(r > 0))),
    reward: mean(({ verdict }) => verdict.reward),
    length: mean(({ response }) => response.ids.length),
    truncated: mean(({ response }) => Number(['length', 'context'].includes(response.stopReason))),
    right,
  }
}

/** The result as a metrics line shows it. */
export function evaluationMetrics(result: EvaluationResult): Record<string, number> {
  const { samples, greedy, average, passAtK } = result
  const named = (name: string, { value, low, high }: Estimate) => ({
    [`eval/${name}`]: value,
    [`eval/${name}_low`]: low,
    [`eval/${name}_high`]: high,
  })
  return {
    ...named('greedy', greedy),
    ...named(`avg@${samples}`, average),
    ...named(`pass@${samples}`, passAtK),
    'eval/reward': result.reward,
    'eval/mean_length': result.length,
    'eval/clipped_ratio': result.truncated,
  }
}
