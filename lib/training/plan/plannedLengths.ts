import type { LanguageModel } from '../../model/languageModel'
import { itemAt, type Task } from '../../tasks/task'
import { DemonstrationBatches, demonstrationSource } from '../demonstrations'
import { promptIds } from '../promptIds'
import type { SupervisedChoice, TrainingConfig } from '../trainingConfig'

/** Tokens of a prompt and of the response to it. */
export interface SequenceLength {
  prompt: number
  response: number
}

/** How long the sequences of a run will be, in tokens, from its first prompts and demonstrations. */
export interface PlannedLengths {
  /** Prompts of the first training items; empty without GRPO and evaluation. */
  prompts: number[]
  /** The demonstrations of some steps, as warm-up would batch them; empty without warm-up. */
  demonstrations: SequenceLength[][]
  /**
   * Lengths that responses may have when nothing cuts them short: those of demonstrations. Null where there are none: then every response is
   * taken to be as long as it may be.
   */
  responses: number[] | null
}

/** Prompts that are looked at, and demonstrations, of which a bucket may hold more: it is filled up with the same lengths. */
const PROMPTS = 64
const DEMONSTRATIONS = 512

/** @param text the model's tokenizer and chat template; its weights are not needed */
export function plannedLengths(config: TrainingConfig, task: Task<unknown>, text: LanguageModel): PlannedLengths {
  const { supervised, grpo, evaluation, seed, dataSeed } = config
  const written = supervised?.demonstrations ?? (task.demonstration ? 'task' : null)
  const demonstrations = written === null ? [] : demonstrationLengths(supervised, written, task, text, seed)
  const items = grpo || evaluation ? task.items('train', dataSeed) : null
  const prompts = Array.from({ length: Math.min(PROMPTS, items?.length ?? 0) }, (_, i) =>
    promptIds(text, task.prompt(itemAt(items!, i, `${task.name}, train`))),
  )
  return {
    prompts: prompts.map((ids) => ids.length),
    demonstrations: supervised ? batched(demonstrations, supervised) : [],
    responses: demonstrations.length === 0 ? null : demonstrations.map(({ response }) => response),
  }
}

function demonstrationLengths(
  supervised: SupervisedChoice | null,
  source: string,
  task: Task<unknown>,
  text: LanguageModel,
  seed: number,
): SequenceLength[] {
  // Those that are merely looked at may be longer than the model reads.
  const looked = { batch: PROMPTS, bucketSteps: 1, maxTokens: text.config.maxPositionEmbeddings }
  const { batch, bucketSteps, maxTokens } = supervised ?? looked
  const choice = { batch: Math.min(DEMONSTRATIONS, batch * bucketSteps), bucketSteps: 1, maxTokens }
  const { pairs } = new DemonstrationBatches(text, choice, seed, demonstrationSource(task, source, seed)).at(0)
  return pairs.map(({ ids, promptLength }) => ({ prompt: promptLength, response: ids.length - promptLength }))
}

/** Sorted by length and cut into the steps of one bucket, as `DemonstrationBatches` does. */
function batched(lengths: readonly SequenceLength[], { batch, bucketSteps }: SupervisedChoice): SequenceLength[][] {
  const all = Array.from({ length: batch * bucketSteps }, (_, i) => lengths[i % lengths.length]!)
  all.sort((a, b) => a.prompt + a.response - b.prompt - b.response)
  return Array.from({ length: bucketSteps }, (_, k) => all.slice(k * batch, (k + 1) * batch))
}
