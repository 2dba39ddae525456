import { rhythmOptions } from '../../credit/rhythmOptions'
import type { ModelConfig } from '../../model/config'
import { mostEntering } from '../../model/generate'
import type { LanguageModel } from '../../model/languageModel'
import { LeavingRule } from '../../model/leavingRule'
import { randomStream } from '../../random/randomStream'
import { resolveLayers } from '../../rhythm/layerRange'
import type { BlockSizes } from '../gradients/blockSizes'
import { byLength } from '../scoreResponses'
import type { GrpoChoice, TrainingConfig } from '../trainingConfig'
import { type MeasuredSpeed, measureSpeed } from './measureSpeed'
import type { ParameterCounts } from './parameterCounts'
import type { PlannedLengths } from './plannedLengths'

/** Seconds of a step by phase, and of one evaluation. */
export interface StepSeconds {
  supervised?: number
  rollout?: number
  oldLogprob?: number
  update?: number
  evaluation?: number
}

/**
 * How long the steps of a run take, from the speed of small pieces of its work, measured now. Taken as known: responses are as long as
 * demonstrations, or else as they may be, and no group lacks variance.
 */
export async function stepSeconds(
  config: TrainingConfig,
  text: Pick<LanguageModel, 'config' | 'tokenizer'>,
  counts: ParameterCounts,
  lengths: PlannedLengths,
  sizes: BlockSizes,
): Promise<StepSeconds> {
  const model = text.config
  const { supervised, grpo, evaluation } = config
  const prompt = mean(lengths.prompts)
  const grpoLengths = grpo ? responseLengths(lengths, grpo.maxNewTokens, model, grpo.prompts * grpo.responses) : []
  const demonstrated = lengths.demonstrations.map((step) => step.map(({ prompt, response }) => prompt + response))
  const whole = grpo ? grpoLengths.map((n) => prompt + n) : demonstrated.flat()
  const predicted = grpo ? mean(grpoLengths) : mean(lengths.demonstrations.flat().map(({ response }) => response))
  const writing = grpo ?? evaluation
  const speed = await measureSpeed(text, {
    length: Math.max(2, Math.round(mean(whole))),
    predictedShare: predicted / mean(whole),
    sequences: (grpo ?? supervised)!.microBatch,
    groupTokens: sizes.groupTokens,
    responses: Math.min(
      grpo ? grpo.rolloutBatch : (evaluation?.batch ?? 0),
      grpo ? grpo.prompts * grpo.responses : 1e9,
    ),
    cached: writing ? Math.round(prompt + writing.maxNewTokens / 2) : 0,
    optimizer: (grpo ?? supervised)!.optimizer.state,
    precision: config.model.precision,
  })
  const optimizer = speed.updateNumber * (counts.trained + counts.adapted)
  const recomputed = config.recompute ? speed.readToken : 0
  const gradient = (tokens: number) => tokens * (speed.gradientToken + recomputed)
  const seconds: StepSeconds = {}
  if (supervised)
    seconds.supervised =
      optimizer +
      mean(demonstrated.map((step) => gradient(paddedTokens(step, supervised.microBatch, sizes.groupTokens))))
  if (grpo) {
    const tokens = paddedTokens(whole, grpo.microBatch, sizes.groupTokens)
    seconds.rollout = writingSeconds(speed, grpoLengths, grpo.rolloutBatch, { count: grpo.prompts, tokens: prompt })
    seconds.oldLogprob = scoringSeconds(
      grpo,
      model,
      speed,
      paddedTokens(whole, grpo.microBatch, sizes.forward.scoredTokens),
    )
    seconds.update = gradient(tokens) + grpo.updates * optimizer
  }
  if (evaluation) {
    const of = (count: number) => responseLengths(lengths, evaluation.maxNewTokens, model, count)
    const { items, samples, batch } = evaluation
    seconds.evaluation =
      writingSeconds(speed, of(items), batch, { count: items, tokens: prompt }) +
      writingSeconds(speed, of(items * samples), batch, { count: items, tokens: prompt })
  }
  return seconds
}

const mean = (values: readonly number[]) => values.reduce((sum, n) => sum + n, 0) / Math.max(1, values.length)

/** Lengths that `count` responses may have: those of demonstrations in random order, cut off, or the longest possible. */
function responseLengths(
  { responses, prompts }: PlannedLengths,
  maxNewTokens: number,
  model: ModelConfig,
  count: number,
): number[] {
  const most = Math.min(maxNewTokens, model.maxPositionEmbeddings - Math.max(...prompts))
  const stream = randomStream(0, count)
  return Array.from({ length: count }, () =>
    responses === null ? most : Math.min(most, responses[stream.below(responses.length)]!),
  )
}

/** Tokens that are computed, padding included: of micro-batches, each cut into groups of at most so many tokens, if given. */
function paddedTokens(lengths: readonly number[], microBatch: number, groupTokens: number | null): number {
  let tokens = 0
  for (const part of byLength(lengths, microBatch)) {
    const longest = lengths[part[0]!]!
    const together = groupTokens === null ? part.length : Math.max(1, Math.floor(groupTokens / longest))
    for (let from = 0; from < part.length; from += together)
      tokens += Math.min(together, part.length - from) * lengths[part[from]!]!
  }
  return tokens
}

/** Reading the prompts, and writing responses of these lengths, `batch` at a time, in the order given. */
function writingSeconds(
  speed: MeasuredSpeed,
  lengths: readonly number[],
  batch: number,
  prompts: { count: number; tokens: number },
): number {
  // Equal prompts that begin together are read once; later ones mostly begin alone.
  const read = (responses: number) => Math.ceil((responses / lengths.length) * prompts.count) * prompts.tokens
  let seconds = 0
  const waiting = [...lengths]
  while (waiting.length > 0) {
    /** Tokens that are still to be written in each place. */
    let left = waiting.splice(0, batch)
    seconds += read(left.length) * speed.readToken
    const leaving = new LeavingRule()
    for (;;) {
      const going = left.filter((tokens) => tokens > 0).length
      if (going === 0) break
      seconds += speed.decodeStep(left.length) + going * speed.writeToken
      left = left.map((tokens) => Math.max(0, tokens - 1))
      const next = left.filter((tokens) => tokens > 0).length
      if (next === 0 || !leaving.isDue(left.length - next, next)) continue
      if (waiting.length > 0) {
        const entering = waiting.splice(0, Math.min(left.length - next, mostEntering(batch)))
        seconds += entering.length * prompts.tokens * speed.readToken
        left = [...left.filter((tokens) => tokens > 0), ...entering, ...zeros(left.length - next - entering.length)]
      } else {
        seconds += speed.selectResponse * next
        left = left.filter((tokens) => tokens > 0)
      }
    }
  }
  return seconds
}

const zeros = (count: number) => new Array<number>(count).fill(0)

/** The passes over the batch before its updates: old log-probabilities with or without observers, and the reference policy's. */
function scoringSeconds(grpo: GrpoChoice, model: ModelConfig, speed: MeasuredSpeed, tokens: number): number {
  const plain = grpo.credit.strategy === 'uniform' && grpo.credit.skipUnneededPass
  const { rl } = rhythmOptions({ rl: grpo.credit.rl }, grpo.credit.preset)
  const observed = plain ? 0 : resolveLayers(rl.layers, model.numHiddenLayers).length
  const passes = (plain && grpo.updates === 1 ? 0 : 1) + (grpo.klCoefficient > 0 ? 1 : 0)
  return tokens * (passes * speed.scoreToken + observed * speed.observeToken)
}
