import type { Precision } from '../../engine/precision'
import { deviceReport, tf } from '../../engine/tensorflow'
import { KeyValueCache } from '../../model/cache'
import type { ModelConfig } from '../../model/config'
import { type Decoder, decodeStep, logits } from '../../model/decoder'
import type { LanguageModel } from '../../model/languageModel'
import { refreshProducts } from '../../model/layerProducts'
import { sampleTokens } from '../../model/sampling'
import { StreamDecoder } from '../../model/streamDecoder'
import type { TextTokenizer } from '../../model/tokenizer'
import { randomStream } from '../../random/randomStream'
import { AdamW } from '../adamw'
import { accumulateGradients } from '../gradients/accumulateGradients'
import { Gradients } from '../gradients/gradients'
import { scoreResponses } from '../scoreResponses'
import type { OptimizerChoice } from '../trainingConfig'
import { type ProbeDecoder, probeDecoder } from './probeDecoder'

/** Seconds of small pieces of a run's work, measured on this machine with the layers of its model. */
export interface MeasuredSpeed {
  /** A token, padding included, through all layers and the head, there and back. */
  gradientToken: number
  /** A token through all layers and the head. */
  scoreToken: number
  /** A token through all layers. */
  readToken: number
  /** What observers add for a token in one layer. */
  observeToken: number
  /** One token for each of so many responses being written. */
  decodeStep: (responses: number) => number
  /** The text of one token of one response. */
  writeToken: number
  /** Leaving finished responses out of the cache, for each that stays. */
  selectResponse: number
  /** An update, for each number that is trained. */
  updateNumber: number
}

export interface ProbedShape {
  /** Tokens of a sequence of training, and the share of them that is predicted. */
  length: number
  predictedShare: number
  /** Sequences that are computed together at most. */
  sequences: number
  groupTokens: number
  /** Responses that are written at the same time, 0 if none, and tokens that each has in the cache meanwhile. */
  responses: number
  cached: number
  optimizer: OptimizerChoice['state']
  precision?: Precision
}

/** How much is measured: a second or two in all on a CPU; on a GPU, which is no faster with less, as much as the run does at a time. */
const AMOUNTS = {
  CPU: {
    /** Multiplications and additions of a gradient through one layer. */
    layerWork: 2e10,
    /** The same through several, if that is less. */
    measuredWork: 1.5e10,
    /** Of a layer's cache. */
    cachedNumbers: 2 ** 24,
    /** Tokens of the vocabulary; work that grows with them is scaled beyond. */
    vocabulary: 16384,
  },
  GPU: { layerWork: 5e13, measuredWork: 0, cachedNumbers: 2 ** 29, vocabulary: Number.POSITIVE_INFINITY },
}

/** Runs gradients, a scoring pass, decoding steps and an update of a decoder of two layers or, if that is little work, of all. */
export async function measureSpeed(
  { config: model, tokenizer }: Pick<LanguageModel, 'config' | 'tokenizer'>,
  shape: ProbedShape,
): Promise<MeasuredSpeed> {
  const { hiddenSize, intermediateSize, numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = model
  const { layerWork, measuredWork, vocabulary } = AMOUNTS[deviceReport().device]
  const layerNumbers = hiddenSize * ((2 * H + 2 * K) * D + 3 * intermediateSize)
  const most = Math.max(64, Math.min(shape.groupTokens, Math.floor(layerWork / (6 * layerNumbers))))
  const length = Math.min(shape.length, most)
  const count = Math.max(1, Math.min(shape.sequences, Math.floor(most / length)))
  const perLayer = 6 * layerNumbers * count * length
  const layers = Math.min(model.numHiddenLayers, Math.max(2, Math.floor(measuredWork / perLayer)))
  const probe = probeDecoder(model, layers, vocabulary, shape.precision)
  const scale = model.vocabSize / probe.config.vocabSize
  const L = model.numHiddenLayers
  const tokens = count * length
  // One token more than is read: the last predicts nothing.
  const sequences = Array.from({ length: count }, (_, b) =>
    Array.from({ length: length + 1 }, (_, i) => (7 * i + b) % probe.config.vocabSize),
  )
  const promptLength = Math.max(1, Math.min(length, Math.round((1 - shape.predictedShare) * length)))
  try {
    const gradients = await layered(probe, (decoder) => gradientOnce(decoder, sequences, promptLength))
    const score = (decoder: Decoder, observe: boolean) => scoreOnce(decoder, sequences, promptLength, observe)
    const scored = await layered(probe, (decoder) => score(decoder, false))
    const observed = await best(() => score(probe.first, true))
    const decoding = shape.responses > 0 ? await measureDecoding(model, probe, shape, scale) : null
    return {
      gradientToken: (L * gradients.layer + scale * gradients.rest) / tokens,
      scoreToken: (L * scored.layer + scale * scored.rest) / tokens,
      readToken: (L * scored.layer) / tokens,
      observeToken: Math.max(0, observed - scored.first) / tokens,
      decodeStep: decoding?.step ?? (() => 0),
      writeToken: shape.responses > 0 && tokenizer ? await textOnce(tokenizer) : 0,
      selectResponse: decoding?.select ?? 0,
      updateNumber: await updateOnce(probe, shape.optimizer),
    }
  } finally {
    probe.dispose()
  }
}

/** Seconds of the first layer and the rest around it, and of each layer, of work on a decoder of `probe`'s layers. */
async function layered(probe: ProbeDecoder, work: (decoder: Decoder) => Promise<unknown>) {
  const whole = await best(() => work(probe))
  const first = probe.config.numHiddenLayers === 1 ? whole : await best(() => work(probe.first))
  const others = probe.config.numHiddenLayers - 1
  const layer = others === 0 ? first : Math.max(0, whole - first) / others
  return { first, layer, rest: Math.max(0, first - layer) }
}

/** The shorter of two times, after one that is not counted. */
async function best(work: () => Promise<unknown>): Promise<number> {
  let shortest = Number.POSITIVE_INFINITY
  for (let i = 0; i < 3; i++) {
    const started = performance.now()
    await work()
    if (i > 0) shortest = Math.min(shortest, (performance.now() - started) / 1000)
  }
  return shortest
}

async function gradientOnce(decoder: Decoder, sequences: number[][], promptLength: number): Promise<void> {
  const gradients = new Gradients(decoder.weights)
  const slopes = (values: Float32Array[]) => values.map((v) => new Float32Array(v.length).fill(1e-3))
  await accumulateGradients(
    decoder,
    { sequences, promptLengths: sequences.map(() => promptLength) },
    ({ logprob }) => ({ logprob: slopes(logprob) }),
    gradients,
  )
  // Waits for a device that is still at work.
  gradients.globalNorm()
  gradients.dispose()
}

function scoreOnce(decoder: Decoder, sequences: number[][], promptLength: number, observe: boolean): Promise<unknown> {
  const written = sequences.map((ids) => ({ ids, promptLength }))
  const rl = { layers: [0], headShare: 1, headChoice: 'all' as const, window: 10, horizon: [10, 100] as const }
  return scoreResponses(decoder, written, {
    batch: written.length,
    rhythm: observe ? { rl, excludeSink: false } : null,
  })
}

async function updateOnce({ weights }: ProbeDecoder, state: OptimizerChoice['state']): Promise<number> {
  const gradients = new Gradients(weights)
  const optimizer = new AdamW({ state })
  const entries = gradients.entries()
  const seconds = await best(async () => {
    optimizer.step(entries, 1e-9)
    refreshProducts(weights)
    gradients.globalNorm()
  })
  optimizer.dispose()
  gradients.dispose()
  return seconds / entries.reduce((sum, { weight }) => sum + weight.size, 0)
}

async function textOnce(tokenizer: TextTokenizer): Promise<number> {
  const tokens = 200
  const seconds = await best(async () => {
    const decoder = new StreamDecoder(tokenizer)
    for (let i = 0; i < tokens; i++) decoder.push((7 * i) % tokenizer.vocabSize)
    decoder.end()
  })
  return seconds / tokens
}

/** Decoding steps of many responses and of few, from caches that hold constants. */
async function measureDecoding(model: ModelConfig, probe: ProbeDecoder, shape: ProbedShape, scale: number) {
  const { cachedNumbers } = AMOUNTS[deviceReport().device]
  const perResponse = 2 * model.numKeyValueHeads * model.headDim * (shape.cached + 1)
  const many = Math.max(1, Math.min(shape.responses, Math.floor(cachedNumbers / perResponse)))
  const few = Math.max(1, Math.floor(many / 8))
  const step = async (responses: number) => {
    const caches = new Map<Decoder, KeyValueCache>()
    const decode = async (decoder: Decoder) => {
      const cache = caches.get(decoder) ?? filledCache(decoder, responses, shape.cached)
      caches.set(decoder, cache)
      cache.lengths.fill(shape.cached)
      decodeTokens(decoder, responses, cache)
    }
    try {
      const { layer, rest } = await layered(probe, decode)
      return (model.numHiddenLayers * layer + scale * rest) / DECODED
    } finally {
      for (const cache of caches.values()) cache.dispose()
    }
  }
  const [slow, fast] = [await step(many), many > few ? await step(few) : 0]
  const perMore = many > few ? Math.max(0, slow - fast) / (many - few) : slow / many
  const cache = filledCache(probe.first, many, shape.cached)
  const everyone = Array.from({ length: many }, (_, i) => i)
  const select = await best(async () => cache.select(everyone))
  cache.dispose()
  return {
    step: (responses: number) => Math.max(0, slow + (responses - many) * perMore),
    select: (model.numHiddenLayers * select) / many,
  }
}

/** Steps of one measurement. */
const DECODED = 12

function filledCache({ config }: Decoder, responses: number, cached: number): KeyValueCache {
  const cache = new KeyValueCache(config, new Array<number>(responses).fill(cached))
  tf.tidy(() => {
    const held = tf.fill([responses, config.numKeyValueHeads, cached, config.headDim], 0.02)
    for (let i = 0; i < config.numHiddenLayers; i++) cache.store(held, held)
  })
  return cache
}

function decodeTokens(decoder: Decoder, responses: number, cache: KeyValueCache): void {
  const streams = Array.from({ length: responses }, (_, i) => randomStream(0, i))
  const tokens = new Int32Array(responses).fill(1)
  for (let i = 0; i < DECODED; i++)
    tf.tidy(() => sampleTokens(logits(decoder, decodeStep(decoder, tokens, cache)), streams, {}))
}
