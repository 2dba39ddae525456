import { groupAdvantages } from '../credit/advantages'
import { type Generation, generate } from '../model/generate'
import { itemAt, type Verdict } from '../tasks/task'
import { promptIds, promptText } from './promptIds'
import { runSeed } from './runStreams'
import type { GrpoChoice } from './trainingConfig'
import type { TrainingRun } from './trainingRun'

/** A response of a rollout batch, with its verdict and advantage. */
export interface Rollout {
  group: number
  item: unknown
  prompt: string
  generation: Generation
  verdict: Verdict
  truncated: boolean
  /** `A_i` of the response within its group; 0 in a group without variance. */
  advantage: number
  /** Whether its group has no variance. */
  dropped: boolean
}

/** Writes `responses` responses to each of the next `prompts` items, `rolloutBatch` at a time, the next as one is complete. */
export async function writeRollouts(
  run: TrainingRun,
  choice: GrpoChoice,
): Promise<{ index: number; item: unknown; prompt: string; generation: Generation }[]> {
  const { config, model, task, state } = run
  const items = task.items('train', config.dataSeed)
  const chosen = Array.from({ length: choice.prompts }, (_, p) => {
    const item = itemAt(items, run.order.at(state.phaseStep * choice.prompts + p), `${task.name}, train`)
    const prompt = task.prompt(item)
    return { item, prompt: promptText(model, prompt), ids: promptIds(model, prompt) }
  })
  const requests = chosen.flatMap(
    (c, group) => new Array(choice.responses).fill({ ...c, group }) as (typeof c & { group: number })[],
  )
  const generations = await generate(
    model,
    requests.map(({ ids }) => ids),
    {
      maxNewTokens: choice.maxNewTokens,
      temperature: choice.temperature,
      seed: runSeed(config.seed, 'rollout', state.phaseStep),
      batch: choice.rolloutBatch,
    },
  )
  return requests.map(({ group, item, prompt }, i) => ({ index: group, item, prompt, generation: generations[i]! }))
}

/** Verifies the responses and gives each its advantage within its group. */
export function judgeRollouts(
  run: TrainingRun,
  choice: GrpoChoice,
  written: Awaited<ReturnType<typeof writeRollouts>>,
): Rollout[] {
  const verdicts = written.map(({ item, generation }) => run.task.verify(item, generation.text))
  const G = choice.responses
  const groups = Array.from({ length: choice.prompts }, (_, g) =>
    groupRewards(
      verdicts.slice(g * G, (g + 1) * G).map(({ reward }) => reward),
      choice.advantage,
    ),
  )
  return written.map(({ index, item, prompt, generation }, i) => ({
    group: index,
    item,
    prompt,
    generation,
    verdict: verdicts[i]!,
    truncated: generation.stopReason === 'length' || generation.stopReason === 'context',
    advantage: groups[index]!.advantages[i % G]!,
    dropped: groups[index]!.dropped,
  }))
}

/** Advantages of a group: divided by its standard deviation, or not (`none`, as in Dr. GRPO). */
export function groupRewards(rewards: readonly number[], kind: GrpoChoice['advantage']) {
  const { advantages, dropped } = groupAdvantages(rewards, kind === 'none' ? 'population' : kind)
  if (kind !== 'none' || dropped) return { advantages, dropped }
  const mean = rewards.reduce((sum, r) => sum + r, 0) / rewards.length
  return { advantages: rewards.map((r) => r - mean), dropped }
}

/** What a batch of rollouts looks like, under TRL's names. */
export function rolloutMetrics(rollouts: readonly Rollout[], choice: GrpoChoice): Record<string, number> {
  const lengths = rollouts.map(({ generation }) => generation.ids.length)
  const mean = (of: (r: Rollout) => number) => rollouts.reduce((sum, r) => sum + of(r), 0) / rollouts.length
  const groups = Array.from({ length: choice.prompts }, (_, g) => rollouts.filter(({ group }) => group === g))
  const deviation = (group: readonly Rollout[]) => {
    const average = group.reduce((sum, r) => sum + r.verdict.reward, 0) / group.length
    return Math.sqrt(group.reduce((sum, r) => sum + (r.verdict.reward - average) ** 2, 0) / group.length)
  }
  return {
    reward: mean(({ verdict }) => verdict.reward),
    reward_std: groups.reduce((sum, group) => sum + deviation(group), 0) / groups.length,
    frac_reward_zero_std: groups.filter((group) => group[0]!.dropped).length / groups.length,
    accuracy: mean(({ verdict }) => Number(verdict.correct)),
    well_formed: mean(({ verdict }) => Number(verdict.wellFormed)),
    'completions/mean_length': mean(({ generation }) => generation.ids.length),
    'completions/min_length': Math.min(...lengths),
    'completions/max_length': Math.max(...lengths),
    'completions/clipped_ratio': mean(({ truncated }) => Number(truncated)),
  }
}
