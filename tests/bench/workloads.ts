/** One measured piece of work in a process of its own: `workloads.ts NAME`. Prints one JSON line with seconds and peak memory. */
import { HeadStatistics } from '../../lib/attention/headStatistics'
import { tf } from '../../lib/engine/tensorflow'
import { forward, logits } from '../../lib/model/decoder'
import { generate } from '../../lib/model/generate'
import type { LanguageModel } from '../../lib/model/languageModel'
import { loadModel } from '../../lib/model/loadModel'

const MODEL = 'smollm2-135m-instruct'
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

async function measure(name: string): Promise<Record<string, number | string>> {
  const [kind, size] = [name.replace(/-\d+$/, ''), Number(/\d+$/.exec(name)?.[0] ?? 0)]
  const begun = performance.now()
  const model = await loadModel(MODEL)
  const load = (performance.now() - begun) / 1000
  if (kind === 'load') return { seconds: load }
  const work = {
    forward: () => pass(model, size, false),
    statistics: () => pass(model, size, true),
    decode: () => decode(model, size),
  }[kind]
  if (!work) throw new Error(`no workload '${name}'`)
  // Each is long enough to be measured once after a warm-up; the bench runs it in several processes.
  const repetitions = size >= 2048 || kind === 'decode' ? 1 : 3
  if (size < 8192) await work()
  const seconds: number[] = []
  for (let i = 0; i < repetitions; i++) {
    const start = performance.now()
    await work()
    seconds.push((performance.now() - start) / 1000)
  }
  seconds.sort((a, b) => a - b)
  return { seconds: seconds[Math.floor(seconds.length / 2)]! }
}

measure(process.argv[2]!).then((result) => {
  const peakMegabytes = process.resourceUsage().maxRSS / 1024
  process.stdout.write(`${JSON.stringify({ name: process.argv[2], ...result, peakMegabytes })}\n`)
})
