import { shapeAdvantages } from '../credit/advantages'
import { assignCredit, calibrate, groupTurnover } from './assignCredit'
import { accumulateGradients } from './gradients/accumulateGradients'
import { addSums, type GrpoSums, grpoLoss, lossNormalizer, noSums } from './grpoLoss'
import { recordRollouts } from './recordRollouts'
import { judgeRollouts, type Rollout, rolloutMetrics, writeRollouts } from './rollouts'
import { runSeed, runStream } from './runStreams'
import { byLength, type ScoredResponse, scoreResponses } from './scoreResponses'
import type { GrpoChoice } from './trainingConfig'
import { PhaseTimes, type StepResult, type TrainingRun, update } from './trainingRun'

/** A response that takes part in the updates: per response token, nats and shaped advantages. */
interface Learned {
  ids: number[]
  promptLength: number
  advantages: ArrayLike<number>
  /** Null where the ratio is 1 by definition: one update a batch, uniform credit, pass left out. */
  oldLogprob: ArrayLike<number> | null
  referenceLogprob: ArrayLike<number> | null
}

/**
 * One step of GRPO with rhythm credit (Sec. 5): rollouts, verdicts and group advantages; groups without variance drop out; old
 * log-probabilities with the rhythm's observers on the same pass; credit; updates.
 */
export async function grpoStep(run: TrainingRun, choice: GrpoChoice, record: boolean): Promise<StepResult> {
  const times = new PhaseTimes()
  const written = await run.stop.finishing(() => writeRollouts(run, choice))
  times.end('gen')
  const rollouts = judgeRollouts(run, choice, written)
  times.end('reward')
  const counted = rollouts.filter(({ truncated }) => !(choice.maskTruncated && truncated))
  const kept = counted.filter(({ dropped }) => !dropped)
  const metrics = rolloutMetrics(rollouts, choice)

  const sequences = kept.map(({ generation }) => ({
    ids: [...generation.promptIds, ...generation.ids],
    promptLength: generation.promptIds.length,
  }))
  const pass = passNeeded(run, choice)
  const scored =
    pass === 'none'
      ? null
      : await run.stop.finishing(() =>
          scoreResponses(run.model, sequences, {
            batch: choice.microBatch,
            temperature: choice.temperature,
            rhythm: pass === 'rhythm' ? run.rhythm : null,
          }),
        )
  const reference = run.reference
  const referenceScores =
    reference &&
    (await run.stop.finishing(() =>
      scoreResponses(reference, sequences, {
        batch: choice.microBatch,
        temperature: choice.temperature,
        rhythm: null,
      }),
    ))
  times.end('old_log_prob')
  const credit =
    pass === 'rhythm' && scored && kept.length > 0 ? creditOfBatch(run, choice, kept, scored, metrics) : null
  times.end('credit')
  const learned = sequences.map(
    (sequence, i): Learned => ({
      ...sequence,
      advantages: credit
        ? shapeAdvantages(credit[i]!.gammas, kept[i]!.advantage, run.rhythm.credit.sign)
        : new Array<number>(sequence.ids.length - sequence.promptLength).fill(kept[i]!.advantage),
      oldLogprob: scored === null ? null : scored[i]!.logprob,
      referenceLogprob: referenceScores === null ? null : referenceScores[i]!.logprob,
    }),
  )
  const tokensOf = (of: readonly Rollout[]) => of.reduce((sum, { generation }) => sum + generation.ids.length, 0)
  const share =
    choice.droppedGroups === 'left-out' || kept.length === 0
      ? { tokens: 1, responses: 1 }
      : { tokens: tokensOf(counted) / tokensOf(kept), responses: counted.length / kept.length }
  Object.assign(metrics, await makeUpdates(run, choice, learned, share))
  times.end('update_actor')
  return {
    metrics: { ...metrics, ...times.seconds },
    tokens: rollouts.reduce((sum, { generation: g }) => sum + g.promptIds.length + g.ids.length, 0),
    rollouts: record ? recordRollouts(run, rollouts, kept, scored, credit) : [],
  }
}

/** `rhythm`: log-probabilities with observers; `logprob`: without; `none`: the updates' own pass has all that is needed. */
function passNeeded({ credit }: TrainingRun, choice: GrpoChoice): 'rhythm' | 'logprob' | 'none' {
  if (!choice.credit.skipUnneededPass || credit.name !== 'uniform') return 'rhythm'
  return choice.updates === 1 ? 'none' : 'logprob'
}

/** Calibrates where it is due, and gives each kept response its gammas. */
function creditOfBatch(
  run: TrainingRun,
  choice: GrpoChoice,
  kept: readonly Rollout[],
  scored: readonly ScoredResponse[],
  metrics: Record<string, number>,
) {
  const { state, config, credit, rhythm } = run
  const { heads, refreshEvery } = choice.credit
  const seeds = kept.map((_, i) => runSeed(config.seed, 'credit', state.phaseStep, i))
  const series = scored.map((s) => s.series!)
  if (heads === 'calibrated') {
    const before = state.heads
    const due = !before || (refreshEvery > 0 && state.phaseStep - before.step >= refreshEvery)
    if (due) {
      state.heads = { groups: calibrate(series, rhythm), step: state.phaseStep }
      if (before) metrics['rhythm/head_turnover_at_refresh'] = groupTurnover(before.groups, state.heads.groups)
    }
  }
  const assigned = assignCredit(
    scored,
    credit.strategy,
    rhythm,
    heads === 'calibrated' ? state.heads!.groups : null,
    seeds,
  )
  metrics['rhythm/gamma_mean'] = assigned.meanGamma
  metrics['rhythm/dominated_share'] = assigned.dominatedShare
  if (heads === 'calibrated') metrics['rhythm/head_turnover'] = groupTurnover(state.heads!.groups, assigned.groups)
  return assigned.responses
}

/** The updates of a batch: its responses in random order, cut into equal parts. */
async function makeUpdates(
  run: TrainingRun,
  choice: GrpoChoice,
  learned: readonly Learned[],
  share: { tokens: number; responses: number },
): Promise<Record<string, number>> {
  const { config, state } = run
  const order = runStream(config.seed, 'updates', state.phaseStep).permutation(learned.length)
  const size = Math.ceil(learned.length / choice.updates)
  const all = noSums()
  const results = []
  let loss = 0
  for (let u = 0; u * size < learned.length; u++) {
    const part = order.slice(u * size, (u + 1) * size).map((i) => learned[i]!)
    const { loss: partLoss, sums } = await run.stop.finishing(() => accumulate(run, choice, part, share))
    const index = state.phaseStep * choice.updates + u
    results.push(update(run, choice.optimizer, partLoss, index, choice.steps * choice.updates))
    loss += partLoss
    addSums(all, sums)
    if (state.nonFiniteUpdates >= config.maxNonFiniteUpdates) break
  }
  const made = results.filter(({ skipped }) => !skipped)
  const mean = (values: number[]) => values.reduce((sum, v) => sum + v, 0) / values.length
  if (results.length === 0) return { updates: 0, updates_skipped: 0 }
  return {
    loss: loss / results.length,
    grad_norm: mean(results.map(({ gradientNorm }) => gradientNorm)),
    learning_rate: results.at(-1)!.learningRate,
    updates: made.length,
    updates_skipped: results.length - made.length,
    entropy: all.entropy / all.tokens,
    'clip_ratio/low_mean': all.clippedLow / all.tokens,
    'clip_ratio/high_mean': all.clippedHigh / all.tokens,
    'clip_ratio/region_mean': (all.clippedLow + all.clippedHigh) / all.tokens,
    'actor/ppo_kl': all.oldKl / all.tokens,
    ...(run.reference ? { kl: all.referenceKl / all.tokens } : {}),
  }
}

/** Fills the gradients with those of one update's responses, micro-batch by micro-batch. */
async function accumulate(
  run: TrainingRun,
  choice: GrpoChoice,
  part: readonly Learned[],
  share: { tokens: number; responses: number },
): Promise<{ loss: number; sums: GrpoSums }> {
  const lengths = part.map(({ ids, promptLength }) => ids.length - promptLength)
  const own = lossNormalizer(lengths, choice.maxNewTokens)
  const normalizer = { ...own, tokens: own.tokens * share.tokens, responses: own.responses * share.responses }
  const sums = noSums()
  let loss = 0
  run.gradients.zero()
  for (const piece of byLength(
    part.map(({ ids }) => ids.length),
    choice.microBatch,
  )) {
    const responses = piece.map((i) => part[i]!)
    await accumulateGradients(
      run.model,
      { sequences: responses.map(({ ids }) => ids), promptLengths: responses.map(({ promptLength }) => promptLength) },
      (statistics) => {
        const result = grpoLoss(
          statistics,
          {
            oldLogprob: responses.map(({ oldLogprob }, i) => oldLogprob ?? statistics.logprob[i]!),
            advantages: responses.map(({ advantages }) => advantages),
            ...(run.reference ? { referenceLogprob: responses.map(({ referenceLogprob }) => referenceLogprob!) } : {}),
          },
          normalizer,
          choice,
        )
        loss += result.loss
        addSums(sums, result.sums)
        return result.gradient
      },
      run.gradients,
      { temperature: choice.temperature, recompute: run.config.recompute },
    )
  }
  return { loss, sums }
}
