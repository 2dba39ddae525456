/** One measured piece of work in a process of its own: `workloads.ts NAME`. Prints one JSON line with seconds and peak memory. */
import { HeadStatistics } from '../../lib/attention/headStatistics'
import { tf } from '../../lib/engine/tensorflow'
import { KeyValueCache } from '../../lib/model/cache'
import { forward, logits } from '../../lib/model/decoder'
import { generate } from '../../lib/model/generate'
import type { LanguageModel } from '../../lib/model/languageModel'
import { loadModel } from '../../lib/model/loadModel'
import { SMOLLM2 } from './benchModels'
import {
  GRPO_WORK,
  type GrpoVariant,
  grpoSteps,
  mixedSampling,
  PHASES,
  type PhaseSeconds,
  sampling,
  trainingStep,
} from './trainingWork'
import { NARROW } from './work'

const LOGIT_ROWS = 128
const DECODED = { prompt: 64, tokens: 128 }

/** Ids as arbitrary as random ones, the same in every run. */
const someIds = (n: number, vocabulary: number) =>
  Array.from({ length: n }, (_, i) => 5 + ((i * 7919) % (vocabulary - 5)))

/** Logits of every position, in chunks, as a forward pass has to give them; with the head statistics of all layers if asked for. */
async function pass(model: LanguageModel, tokens: number, statistics: boolean): Promise<void> {
  const ids = someIds(tokens, model.config.vocabSize)
  const observers = statistics ? [new HeadStatistics({ promptLengths: [tokens / 4] })] : []
  const states = await forward(model, [ids], { observers })
  for (let row = 0; row < tokens; row += LOGIT_ROWS) {
    tf.tidy(() => {
      const rows = tf.slice(tf.reshape(states, [tokens, -1]), [row, 0], [Math.min(LOGIT_ROWS, tokens - row), -1])
      return logits(model, rows as tf.Tensor2D)
    }).dispose()
  }
  states.dispose()
  for (const observer of observers) observer.results()
}

async function decode(model: LanguageModel, batch: number): Promise<void> {
  const prompts = Array.from({ length: batch }, () => someIds(DECODED.prompt, model.config.vocabSize))
  const written = await generate(model, prompts, { temperature: 0, maxNewTokens: DECODED.tokens, stopTokens: [] })
  if (written.some(({ ids }) => ids.length !== DECODED.tokens)) throw new Error('a response ended early')
}

/** Seconds of a decoding step as the cache grows: medians of 48 steps before so many tokens. */
async function growth(model: LanguageModel, batch: number): Promise<Timing> {
  const prompts = Array.from({ length: batch }, () => someIds(DECODED.prompt, model.config.vocabSize))
  const run = async (maxNewTokens: number) => {
    const times: number[] = []
    const onProgress = () => times.push(performance.now() / 1000)
    await generate(model, prompts, { temperature: 0, maxNewTokens, stopTokens: [], onProgress })
    return times
  }
  await run(32)
  const start = performance.now() / 1000
  const times = await run(1000)
  const at = [128, 256, 512, 1024].map((tokens) => {
    const end = tokens - DECODED.prompt
    const steps = times.slice(end - 48, end).map((time, i) => time - times[end - 49 + i]!)
    const megabytes = KeyValueCache.bytes(model.config, batch, tokens) / 2 ** 20
    return `${(1000 * median(steps)).toFixed(1)} ms with ${tokens} tokens in the cache (${megabytes.toFixed(0)} MB)`
  })
  return { seconds: times.at(-1)! - start, notes: [`a step takes ${at.join(', ')}`] }
}

/** Sampling where rows that are done make room. */
async function mixed(): Promise<Timing> {
  const work = await mixedSampling(512, 64)
  await work()
  const start = performance.now()
  const { mixed, waiting, inBatches, even } = await work()
  const us = (seconds: number) => `${(1e6 * seconds).toFixed(0)} µs`
  const notes = [
    `a token takes ${us(mixed)}; where all sequences go on to the last token, ${us(even)}`,
    `a quarter at a time: ${us(waiting)} where those that wait take the places of complete ones, ${us(inBatches)} in batches`,
  ]
  return { seconds: (performance.now() - start) / 1000, notes }
}

interface Timing {
  seconds: number
  /** Processor time of all threads. */
  cpuSeconds?: number
  /** Of GRPO steps: seconds of each phase. */
  phases?: Record<GrpoVariant, PhaseSeconds>
  /** What else there is to say. */
  notes?: string[]
}

const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!

/** Median seconds after warm-ups. */
async function timed(work: () => Promise<unknown>, repetitions: number, warmUps = 1): Promise<Timing> {
  for (let i = 0; i < warmUps; i++) await work()
  const seconds: number[] = []
  const before = process.cpuUsage()
  for (let i = 0; i < repetitions; i++) {
    const start = performance.now()
    await work()
    seconds.push((performance.now() - start) / 1000)
  }
  const { user, system } = process.cpuUsage(before)
  return { seconds: median(seconds), cpuSeconds: (user + system) / 1e6 / repetitions }
}

/** The variants of a GRPO step in turn, after one that is not counted. */
async function grpo(name: string): Promise<Timing> {
  const work = GRPO_WORK[name]
  if (!work) throw new Error(`no workload '${name}'`)
  const step = await grpoSteps(work)
  const all: Record<GrpoVariant, PhaseSeconds[]> = { rhythm: [], pass: [], fastest: [] }
  await step('rhythm')
  for (let round = 0; round < work.rounds; round++)
    for (const variant of Object.keys(all) as GrpoVariant[]) all[variant].push(await step(variant))
  const medians = (steps: PhaseSeconds[]) =>
    Object.fromEntries(PHASES.map((phase) => [phase, median(steps.map((s) => s[phase]))])) as PhaseSeconds
  const phases = { rhythm: medians(all.rhythm), pass: medians(all.pass), fastest: medians(all.fastest) }
  return { seconds: PHASES.reduce((sum, phase) => sum + phases.rhythm[phase], 0), phases }
}

async function measure(work: string): Promise<Timing> {
  const [name, precision] = work.endsWith(NARROW)
    ? ([work.slice(0, -NARROW.length), 'bf16'] as const)
    : ([work, 'float32'] as const)
  const products = precision === 'bf16' ? 'copies' : 'none'
  const [kind, size] = [name.replace(/-\d+$/, ''), Number(/\d+$/.exec(name)?.[0] ?? 0)]
  // Each is long enough to be measured a few times after a warm-up; the bench runs it in several processes.
  if (name === 'train-small') return timed(await trainingStep('small', 64, 128), 5, 2)
  if (name === 'train-smollm2') return timed(await trainingStep('smollm2', 4, 256, products), 3)
  if (name === 'sample-small') return timed(await sampling(64, 64), 5)
  if (name === 'mixed-small') return mixed()
  if (kind.startsWith('grpo')) return grpo(name)
  const begun = performance.now()
  const model = await loadModel(SMOLLM2, { precision })
  if (kind === 'load') return { seconds: (performance.now() - begun) / 1000 }
  if (kind === 'growth') return growth(model, size)
  const repeat = {
    forward: () => pass(model, size, false),
    statistics: () => pass(model, size, true),
    decode: () => decode(model, size),
  }[kind]
  if (!repeat) throw new Error(`no workload '${name}'`)
  return timed(repeat, size >= 2048 || kind === 'decode' ? 1 : 3, size < 8192 ? 1 : 0)
}

measure(process.argv[2]!).then((result) => {
  const peakMegabytes = process.resourceUsage().maxRSS / 1024
  process.stdout.write(`${JSON.stringify({ name: process.argv[2], ...result, peakMegabytes })}\n`)
})
