import { rhythmOptions } from '../credit/rhythmOptions'
import { strategyNamed } from '../credit/strategies'
import type { Precision } from '../engine/precision'
import { currentValues, tf } from '../engine/tensorflow'
import { KeyValueCache } from '../model/cache'
import type { ModelConfig } from '../model/config'
import { decodeStep, forward, logits } from '../model/decoder'
import type { LanguageModel } from '../model/languageModel'
import { addProducts } from '../model/layerProducts'
import { randomModel } from '../model/loadModel'
import { randomStream } from '../random/randomStream'
import type { HeadGroups } from '../rhythm/headGroups'
import { traceResponse } from '../traces/traceResponse'
import { AdamW } from '../training/adamw'
import { assignCredit, calibrate } from '../training/assignCredit'
import { accumulateGradients } from '../training/gradients/accumulateGradients'
import { Gradients } from '../training/gradients/gradients'
import { grpoLoss, lossNormalizer } from '../training/grpoLoss'
import { scoreResponses } from '../training/scoreResponses'

/** Arrays by name, `section/quantity`, and why a section has none. */
export interface ComparedQuantities {
  values: Record<string, Float32Array>
  errors: Record<string, string>
}

export interface ComparedWork {
  model: ModelConfig
  responses: number
  responseTokens: number
}

const PROMPT_TOKENS = 8
const DECODED = 12
/** At the bound a gradient jumps, on one device and not on the other. */
const NEVER_CLIPPED = { clipLow: 1, clipHigh: 1e9 }

/**
 * What two devices must agree on, of a small random decoder and given responses: states of tokens, decoding through the cache, the rhythm and its
 * heads, and the passes, credit, gradients and update of one GRPO step. The responses are given, not sampled: after the first token that
 * rounding turns, two devices write different texts.
 * @param seed of the weights
 */
export async function comparedQuantities(
  work: ComparedWork,
  precision: Precision = 'float32',
  seed = 1,
): Promise<ComparedQuantities> {
  const model = await randomModel(work.model, { seed, initializerRange: 0.08 })
  if (precision === 'bf16') addProducts(model.weights)
  const stream = randomStream(2)
  const length = PROMPT_TOKENS + work.responseTokens
  const sequences = Array.from({ length: work.responses }, () => ({
    ids: Array.from({ length }, () => stream.below(work.model.vocabSize)),
    promptLength: PROMPT_TOKENS,
  }))
  const values: ComparedQuantities['values'] = {}
  const errors: ComparedQuantities['errors'] = {}
  const section = async (name: string, compute: () => Promise<Record<string, ArrayLike<number>>>) => {
    try {
      for (const [quantity, found] of Object.entries(await compute()))
        values[`${name}/${quantity}`] = Float32Array.from(found)
    } catch (error) {
      errors[name] = (error as Error).message
    }
  }
  await section('forward', () => forwardQuantities(model, sequences))
  await section('decoding', () => decodingQuantities(model, sequences))
  await section('rhythm', () => rhythmQuantities(model, sequences[0]!))
  await section('GRPO step', () => stepQuantities(model, sequences))
  model.dispose()
  return { values, errors }
}

type Sequences = readonly { ids: number[]; promptLength: number }[]

async function forwardQuantities(model: LanguageModel, sequences: Sequences) {
  const scored = await scoreResponses(model, sequences, { batch: sequences.length, rhythm: null })
  return { entropy: joined(scored.map((s) => s.entropy)), 'log-probability': joined(scored.map((s) => s.logprob)) }
}

/** Logits of the last tokens, read one by one into a cache that holds the tokens before. */
async function decodingQuantities(model: LanguageModel, sequences: Sequences) {
  // Different lengths: rows of the cache are written at different places.
  const prefixes = sequences.map(({ ids }, i) => ids.slice(0, ids.length - DECODED - i))
  const cache = new KeyValueCache(
    model.config,
    prefixes.map((prefix) => prefix.length),
  )
  try {
    const states = await forward(model, prefixes, { cache })
    states.dispose()
    const found = Array.from({ length: DECODED }, (_, k) =>
      tf.tidy(() => {
        const tokens = sequences.map(({ ids }, i) => ids[prefixes[i]!.length + k]!)
        return logits(model, decodeStep(model, tokens, cache)).dataSync()
      }),
    )
    return { logits: joined(found) }
  } finally {
    cache.dispose()
  }
}

async function rhythmQuantities(model: LanguageModel, sequence: Sequences[number]) {
  const { rhythm } = await traceResponse(model, sequence)
  const { analysis, rl, receiver, spans } = rhythm
  return {
    spans: spans.flat(),
    'WAAD, analysis': analysis.waad,
    'WAAD, training': rl.waad,
    'FAI, analysis': analysis.fai,
    'FAI, training': rl.fai,
    ...headQuantities('analysis', analysis.localHeads, analysis.globalHeads),
    'heads receiver': receiver.heads.flatMap(([layer, head]) => [layer * 1000 + head]),
  }
}

const headQuantities = (of: string, local: HeadGroups['local'], global: HeadGroups['global']) => {
  const numbers = (heads: HeadGroups['local']) => heads.map(([layer, head]) => layer * 1000 + head)
  return { [`heads local, ${of}`]: numbers(local), [`heads global, ${of}`]: numbers(global) }
}

/**
 * Credit by the device's own rhythm; loss, gradients and update with given advantages, since a token that rounding moves in or out of the
 * credited share would move the gradient far more than rounding itself.
 */
async function stepQuantities(model: LanguageModel, sequences: Sequences) {
  const options = rhythmOptions()
  const scored = await scoreResponses(model, sequences, { batch: sequences.length, rhythm: options })
  const groups = calibrate(
    scored.map(({ series }) => series!),
    options,
  )
  const seeds = sequences.map((_, i) => i)
  const { responses } = assignCredit(scored, strategyNamed('coupled'), options, groups, seeds)
  // Of a policy that chose all tokens alike: ratios far from 1, so that the loss depends on the weights.
  const chance = -Math.log(model.config.vocabSize)
  const oldLogprob = scored.map(({ logprob }) => new Float32Array(logprob.length).fill(chance))
  const stream = randomStream(3)
  const advantages = oldLogprob.map((own, i) =>
    Array.from(own, () => (i % 2 === 0 ? 1 : -0.25) * (stream.below(2) === 0 ? 1 : 1.5)),
  )
  const lengths = oldLogprob.map((own) => own.length)
  const normalizer = lossNormalizer(lengths, Math.max(...lengths))
  const gradients = new Gradients(model.weights)
  // As large as a gradient: an update then follows it, where otherwise its sign alone would count.
  const optimizer = new AdamW({ epsilon: 1e-3 })
  let loss = 0
  try {
    await accumulateGradients(
      model,
      { sequences: sequences.map(({ ids }) => ids), promptLengths: sequences.map(({ promptLength }) => promptLength) },
      (statistics) => {
        const result = grpoLoss(statistics, { oldLogprob, advantages }, normalizer, NEVER_CLIPPED)
        loss = result.loss
        return result.gradient
      },
      gradients,
    )
    const entries = gradients.entries()
    const gradient = joined(entries.map((entry) => entry.gradient.dataSync()))
    const norm = gradients.globalNorm()
    // A copy: the update changes weights in place.
    const before = joined(entries.map(({ weight }) => currentValues(weight)))
    optimizer.step(entries, 1e-2)
    const after = joined(entries.map(({ weight }) => currentValues(weight)))
    return {
      gamma: joined(responses.map(({ gammas }) => gammas)),
      ...headQuantities('training', groups.local, groups.global),
      loss: [loss],
      'gradient norm': [norm],
      gradient,
      update: after.map((value, i) => value - before[i]!),
    }
  } finally {
    optimizer.dispose()
    gradients.dispose()
  }
}

function joined(parts: readonly ArrayLike<number>[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
