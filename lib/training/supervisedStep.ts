import type { DemonstrationBatches } from './demonstrations'
import { accumulateGradients } from './gradients/accumulateGradients'
import { supervisedLoss } from './grpoLoss'
import { byLength } from './scoreResponses'
import type { SupervisedChoice } from './trainingConfig'
import { PhaseTimes, type StepResult, type TrainingRun, update } from './trainingRun'

/** One step of supervised warm-up: next-token loss on the responses of a batch of demonstrations, the prompt masked. */
export async function supervisedStep(
  run: TrainingRun,
  choice: SupervisedChoice,
  batches: DemonstrationBatches,
): Promise<StepResult> {
  const { phaseStep } = run.state
  const times = new PhaseTimes()
  const { pairs, leftOut } = batches.at(phaseStep)
  times.end('data')
  const responseTokens = pairs.reduce((sum, { ids, promptLength }) => sum + ids.length - promptLength, 0)
  const allTokens = pairs.reduce((sum, { ids }) => sum + ids.length, 0)
  const { loss, entropy } = await run.stop.finishing(async () => {
    run.gradients.zero()
    let loss = 0
    let entropy = 0
    for (const part of byLength(
      pairs.map(({ ids }) => ids.length),
      choice.microBatch,
    )) {
      const batch = {
        sequences: part.map((i) => pairs[i]!.ids),
        promptLengths: part.map((i) => pairs[i]!.promptLength),
      }
      const statistics = await accumulateGradients(
        run.model,
        batch,
        (s) => {
          const result = supervisedLoss(s, { tokens: responseTokens })
          loss += result.loss
          return result.gradient
        },
        run.gradients,
        { recompute: run.config.recompute },
      )
      for (const values of statistics.entropy) for (const value of values) entropy += value
    }
    return { loss, entropy }
  })
  times.end('gradient')
  const { gradientNorm, learningRate, skipped } = update(run, choice.optimizer, loss, phaseStep, choice.steps)
  times.end('optimizer')
  return {
    metrics: {
      loss,
      entropy: entropy / responseTokens,
      grad_norm: gradientNorm,
      learning_rate: learningRate,
      updates_skipped: Number(skipped),
      demonstrations_left_out: leftOut,
      ...times.seconds,
    },
    tokens: allTokens,
    rollouts: [],
  }
}
