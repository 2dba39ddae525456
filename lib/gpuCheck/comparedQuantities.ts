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
import { LORA_TARGETS, type LoraOptions } from '../model/lora'
import { LoraAdapters } from '../model/loraAdapters'
import { sampleTokens } from '../model/sampling'
import { storedWeights } from '../model/weights'
import { randomStream } from '../random/randomStream'
import type { HeadGroups } from '../rhythm/headGroups'
import { traceResponse } from '../traces/traceResponse'
import { AdamW } from '../training/adamw'
import { assignCredit, calibrate } from '../training/assignCredit'
import { accumulateGradients } from '../training/gradients/accumulateGradients'
import { Gradients } from '../training/gradients/gradients'
import { LoraGradients } from '../training/gradients/loraGradients'
import { grpoLoss, lossNormalizer } from '../training/grpoLoss'
import { scoreResponses } from '../training/scoreResponses'
import { withProducts } from './randomWeights'

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
/** Rows that tokens are drawn from. */
const DRAWN = 64
const LORA: LoraOptions = { rank: 4, alpha: 8, targets: LORA_TARGETS }
/** At the bound a gradient jumps, on one device and not on the other. */
const NEVER_CLIPPED = { clipLow: 1, clipHigh: 1e9 }

/**
 * What two devices must agree on, of a small random decoder and given responses: states of tokens, decoding through the cache of several sequences and of
 * one, drawing tokens, the rhythm and its heads, the passes, credit, gradients and update of one GRPO step, the update as a checkpoint would
 * have it, one with moments in bf16, and one of adapters. The responses are given, not sampled: after the first token that
 * rounding turns, two devices write different texts.
 * @param seed of the weights
 */
export async function comparedQuantities(
  work: ComparedWork,
  precision: Precision = 'float32',
  seed = 1,
): Promise<ComparedQuantities> {
  const newModel = () => randomModel(work.model, { seed, initializerRange: 0.08 })
  const model = await newModel()
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
  await section('decoding', async () => ({
    logits: await decodedLogits(model, sequences),
    'logits of one sequence alone': await decodedLogits(model, sequences.slice(-1)),
    'tokens drawn': drawnTokens(work.model.vocabSize),
  }))
  await section('rhythm', () => rhythmQuantities(model, sequences[0]!))
  await section('GRPO step', () => stepQuantities(model, sequences))
  await section('moments in bf16', async () => narrowMoments())
  model.dispose()
  await section('LoRA step', async () => {
    const fresh = await newModel()
    try {
      if (precision === 'bf16') for (const layer of fresh.weights.layers) withProducts(layer, 'alone')
      return await loraQuantities(fresh, sequences)
    } finally {
      fresh.dispose()
    }
  })
  return { values, errors }
}

type Sequences = readonly { ids: number[]; promptLength: number }[]

async function forwardQuantities(model: LanguageModel, sequences: Sequences) {
  const scored = await scoreResponses(model, sequences, { batch: sequences.length, rhythm: null })
  return { entropy: joined(scored.map((s) => s.entropy)), 'log-probability': joined(scored.map((s) => s.logprob)) }
}

/** Logits of the last tokens, read one by one into a cache that holds the tokens before. */
async function decodedLogits(model: LanguageModel, sequences: Sequences): Promise<Float32Array> {
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
    return joined(found)
  } finally {
    cache.dispose()
  }
}

/** Two draws from each of some distributions, from given chances. */
function drawnTokens(vocabulary: number): number[] {
  const stream = randomStream(4)
  const values = Float32Array.from({ length: DRAWN * vocabulary }, () => 3 * stream.normal())
  const streams = Array.from({ length: DRAWN }, (_, i) => randomStream(5, i))
  return tf.tidy(() => {
    const drawn = () => sampleTokens(tf.tensor2d(values, [DRAWN, vocabulary]), streams, { temperature: 0.9 })
    return [...drawn(), ...drawn()]
  })
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
  const saved = () => joined(storedWeights(model.config, model.weights).map(({ load }) => load()))
  const savedBefore = saved()
  const groups = calibrate(
    scored.map(({ series }) => series!),
    options,
  )
  const seeds = sequences.map((_, i) => i)
  const { responses } = assignCredit(scored, strategyNamed('coupled'), options, groups, seeds)
  const updated = await updateQuantities(model, sequences, new Gradients(model.weights))
  return {
    gamma: joined(responses.map(({ gammas }) => gammas)),
    ...headQuantities('training', groups.local, groups.global),
    ...updated,
    'update as it is saved': difference(saved(), savedBefore),
  }
}

/** The same of adapters, away from their beginning, on frozen weights. */
async function loraQuantities(model: LanguageModel, sequences: Sequences) {
  const stream = randomStream(6)
  const normal = (count: number) => Float32Array.from({ length: count }, () => 0.1 * stream.normal())
  const adapters = await LoraAdapters.restore(model, LORA, async ({ rows, columns }) => ({
    a: normal(LORA.rank * columns),
    b: normal(rows * LORA.rank),
  }))
  try {
    return await updateQuantities(model, sequences, new LoraGradients(adapters))
  } finally {
    adapters.dispose()
  }
}

/** Two updates of a matrix by given gradients whose moments are rounded at random, which is the same bits everywhere. */
function narrowMoments() {
  const stream = randomStream(7)
  const shape: [number, number] = [48, 32]
  const normal = () =>
    tf.tensor2d(
      Float32Array.from({ length: shape[0] * shape[1] }, () => stream.normal()),
      shape,
    )
  const optimizer = new AdamW({ state: 'bf16', epsilon: 1e-3 })
  try {
    return tf.tidy(() => {
      const weight = normal()
      const before = currentValues(weight).slice()
      for (let i = 0; i < 2; i++) optimizer.step([{ name: 'weight', weight, gradient: normal() }], 1e-2)
      return { update: difference(currentValues(weight), before) }
    })
  } finally {
    optimizer.dispose()
  }
}

/** Loss, gradients and update of what `gradients` are of; the loss is of a policy that chose all tokens alike: ratios far from 1, so that it depends on the weights. */
async function updateQuantities(model: LanguageModel, sequences: Sequences, gradients: Gradients | LoraGradients) {
  const lengths = sequences.map(({ ids, promptLength }) => ids.length - promptLength)
  const chance = -Math.log(model.config.vocabSize)
  const oldLogprob = lengths.map((length) => new Float32Array(length).fill(chance))
  const stream = randomStream(3)
  const advantages = oldLogprob.map((own, i) =>
    Array.from(own, () => (i % 2 === 0 ? 1 : -0.25) * (stream.below(2) === 0 ? 1 : 1.5)),
  )
  const normalizer = lossNormalizer(lengths, Math.max(...lengths))
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
    // Adapters' come in the order in which they were computed.
    const entries = [...gradients.entries()].sort((a, b) => (a.name < b.name ? -1 : 1))
    const gradient = joined(entries.map((entry) => entry.gradient.dataSync()))
    const norm = gradients.globalNorm()
    // A copy: the update changes weights in place.
    const before = joined(entries.map(({ weight }) => currentValues(weight)))
    optimizer.step(entries, 1e-2)
    const after = joined(entries.map(({ weight }) => currentValues(weight)))
    return { loss: [loss], 'gradient norm': [norm], gradient, update: difference(after, before) }
  } finally {
    optimizer.dispose()
    gradients.dispose()
  }
}

const difference = (after: Float32Array, before: Float32Array) => after.map((value, i) => value - before[i]!)

function joined(parts: readonly ArrayLike<number>[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
