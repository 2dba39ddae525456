import type { CreditedResponse } from './assignCredit'
import type { Rollout } from './rollouts'
import type { RolloutRecord } from './runFolder'
import type { ScoredResponse } from './scoreResponses'
import type { TrainingRun } from './trainingRun'

/** The first groups of a batch as they are kept, those that taught something first. */
export function recordRollouts(
  run: TrainingRun,
  rollouts: readonly Rollout[],
  kept: readonly Rollout[],
  scored: readonly ScoredResponse[] | null,
  credit: readonly CreditedResponse[] | null,
): RolloutRecord[] {
  const groups = [...new Set([...kept, ...rollouts].map(({ group }) => group))].slice(0, run.config.rollouts.groups)
  return rollouts
    .filter(({ group }) => groups.includes(group))
    .map((rollout) => {
      const { generation, verdict } = rollout
      const i = kept.indexOf(rollout)
      const own = i < 0 ? null : (credit?.[i] ?? null)
      const scores = i < 0 ? null : (scored?.[i] ?? null)
      return {
        step: run.state.step + 1,
        item: rollout.item,
        group: rollout.group,
        prompt: rollout.prompt,
        response: generation.text,
        tokens: run.model.tokenizer?.pieces(generation.ids) ?? generation.ids.map(String),
        ids: generation.ids,
        promptLength: generation.promptIds.length,
        stopReason: generation.stopReason,
        reward: verdict.reward,
        correct: verdict.correct,
        advantage: rollout.advantage,
        gamma: own?.gammas ?? null,
        entropy: scores && Array.from(scores.entropy),
        logprob: scores && Array.from(scores.logprob),
        rhythm: own && {
          waad: Array.from(own.rhythm.waad),
          fai: Array.from(own.rhythm.fai),
          faiValid: [...own.rhythm.faiValid],
          delta: Array.from(own.rhythm.delta),
        },
      }
    })
}
