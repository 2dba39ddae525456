import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { Interrupted } from '../../lib/engine/cooperate'
import { opByOp } from '../../lib/engine/oneCall'
import { tf } from '../../lib/engine/tensorflow'
import { KeyValueCache } from '../../lib/model/cache'
import { decodeStep, forward, logits } from '../../lib/model/decoder'
import { type GeneratedToken, generate } from '../../lib/model/generate'
import type { LanguageModel } from '../../lib/model/languageModel'
import { loadModel } from '../../lib/model/loadModel'
import { rotationMatrices, rotationsOnDevice } from '../../lib/model/rotary'
import { drawHere, drawOnDevice, sampleTokens } from '../../lib/model/sampling'
import { randomStream } from '../../lib/random/randomStream'
import { REFERENCE, readReference, TINY_MODELS } from '../oracle/reference'
import { asOnGpu } from '../support/asOnGpu'
import { narrowModel } from '../support/narrowModel'

const PROMPTS = [[5, 9, 100], [7], [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]]

/** Logits of the next token after each prefix, from full forward passes without a cache. */
async function fullLogits(model: LanguageModel, ids: number[]): Promise<number[]> {
  const states = await forward(model, [ids])
  const last = tf.tidy(() => {
    const all = logits(model, tf.reshape(states, [ids.length, -1]))
    return Array.from(tf.slice(all, [ids.length - 1, 0], [1, -1]).dataSync())
  })
  states.dispose()
  return last
}

for (const name of TINY_MODELS) {
  test(`${name}: decoding with a cache, prompts of different lengths together, gives each the logits it has alone`, async () => {
    const model = await loadModel(join(REFERENCE, name))
    const sequences = PROMPTS.map((p) => [...p])
    const cache = new KeyValueCache(
      model.config,
      sequences.map((s) => s.length),
    )
    ;(await forward(model, sequences, { cache })).dispose()
    // Beyond the cache's first 128 places, so that it grows.
    for (let step = 0; step < 135; step++) {
      const tokens = sequences.map((s, i) => (s.at(-1)! * 31 + step + i) % 128)
      for (const [i, token] of tokens.entries()) sequences[i]!.push(token)
      const states = decodeStep(model, tokens, cache)
      const rows = tf.tidy(() => logits(model, states).arraySync())
      states.dispose()
      if (step % 45 !== 0 && step !== 134) continue
      for (const [i, sequence] of sequences.entries()) {
        const expected = await fullLogits(model, sequence)
        const worst = Math.max(...expected.map((x, v) => Math.abs(x - rows[i]![v]!)))
        assert.ok(worst < 1e-4, `step ${step}, sequence ${i}: off by ${worst}`)
      }
    }
    cache.select([2, 0, 2])
    const states = decodeStep(model, [1, 2, 3], cache)
    const rows = tf.tidy(() => logits(model, states).arraySync())
    states.dispose()
    for (const [i, [sequence, token]] of (
      [
        [2, 1],
        [0, 2],
        [2, 3],
      ] as const
    ).entries()) {
      const expected = await fullLogits(model, [...sequences[sequence]!, token])
      assert.ok(Math.max(...expected.map((x, v) => Math.abs(x - rows[i]![v]!))) < 1e-4, `selected ${i}`)
    }
    cache.dispose()
  })
}

for (const [name, precision] of [...TINY_MODELS.map((name) => [name, 'float32']), ['tiny-llama', 'bf16']] as const) {
  test(`${name}, ${precision}: a step is the same in one call as op by op, whatever number of sequences it was first made for`, async () => {
    const folder = join(REFERENCE, name)
    const model = await (precision === 'bf16' ? narrowModel(folder) : loadModel(folder))
    const step = async (B: number, inOneCall: boolean) => {
      const cache = new KeyValueCache(model.config, Array(B).fill(3))
      const prompts = Array.from({ length: B }, (_, b) => [b % 50, 7, 9])
      ;(await forward(model, prompts, { cache })).dispose()
      // The second at positions that differ.
      const both = [undefined, [0]].map((going) => {
        const decode = () =>
          decodeStep(
            model,
            prompts.map((_, b) => (b * 3) % 60),
            cache,
            going,
          )
        const states = inOneCall ? decode() : opByOp(decode)
        const values = states.dataSync() as Float32Array
        states.dispose()
        return values
      })
      cache.dispose()
      return both
    }
    // Classes of rows begin at 1, 2, 32 and 64.
    for (const B of [5, 2, 31, 1, 40, 32, 63, 80, 64, 97]) {
      const [one, expected] = [await step(B, true), await step(B, false)]
      const largest = expected[0]!.reduce((most, v) => Math.max(most, Math.abs(v)), 0)
      for (const [k, values] of one.entries()) {
        assert.equal(values.length, expected[k]!.length)
        const error = values.reduce((most, v, i) => Math.max(most, Math.abs(v - expected[k]![i]!)), 0) / largest
        assert.ok(error < (precision === 'bf16' ? 0.05 : 1e-5), `${B} sequences, step ${k}: off by ${error}`)
      }
    }
    // The others of this file use the same one.
    if (precision === 'bf16') model.dispose()
  })
}

let model: LanguageModel
before(async () => {
  model = await loadModel(join(REFERENCE, 'tiny-llama'))
})
after(async () => {
  for (const name of TINY_MODELS) (await loadModel(join(REFERENCE, name))).dispose()
})

test('greedy decoding follows the largest logit at every step', async () => {
  const [written] = await generate(model, [PROMPTS[0]!], { temperature: 0, maxNewTokens: 12, stopTokens: [] })
  const ids = [...PROMPTS[0]!]
  for (const id of written!.ids) {
    const expected = await fullLogits(model, ids)
    assert.equal(expected.indexOf(Math.max(...expected)), id)
    ids.push(id)
  }
})

test('a response does not depend on what else is in the batch; equal prompts are sampled independently', async () => {
  const options = { temperature: 1, maxNewTokens: 20, seed: 3, stopTokens: [4] }
  const prompts = [...PROMPTS, PROMPTS[0]!, PROMPTS[0]!]
  const together = await generate(model, prompts, options)
  for (const [i, prompt] of prompts.entries()) {
    const [alone] = await generate(model, [prompt], { ...options, streams: [i] })
    assert.deepEqual(alone, together[i])
  }
  assert.notDeepEqual(together[0]!.ids, together[3]!.ids)
  assert.deepEqual(await generate(model, prompts, options), together)
  assert.notDeepEqual(await generate(model, prompts, { ...options, seed: 4 }), together)
})

test('responses end at a stop token, at the most tokens, or at the context, and say which', async () => {
  const [greedy] = await generate(model, [[5]], { temperature: 0, maxNewTokens: 6, stopTokens: [] })
  assert.equal(greedy!.stopReason, 'length')
  const stop = greedy!.ids[2]!
  const [stopped] = await generate(model, [[5]], { temperature: 0, maxNewTokens: 6, stopTokens: [stop] })
  assert.deepEqual(
    [stopped!.stopReason, stopped!.ids],
    ['stop-token', greedy!.ids.slice(0, greedy!.ids.indexOf(stop) + 1)],
  )
  const long = Array.from({ length: 250 }, (_, i) => i % 128)
  const [full] = await generate(model, [long], { temperature: 0, maxNewTokens: 50, stopTokens: [] })
  assert.deepEqual([full!.stopReason, full!.ids.length], ['context', 6])
})

test('those that wait begin in the places of complete ones, and are written as without waiting', async () => {
  // Equal prompts, long ones after short ones, and one that fills its context.
  const long = Array.from({ length: 250 }, (_, i) => i % 128)
  const prompts = [
    [5, 9],
    [5, 9],
    [7],
    [3, 4, 8],
    [5, 9],
    long,
    ...Array.from({ length: 14 }, (_, i) => [20 + i, 6, i]),
    [7],
    [7],
  ]
  const options = { maxNewTokens: 60, seed: 8, stopTokens: [4, 5, 6, 7] }
  const together = await generate(model, prompts, options)
  assert.ok(new Set(together.map(({ ids }) => ids.length)).size > 5, 'they end at different places')
  for (const batch of [1, 2, 4, 7, 22]) {
    const seen: number[] = []
    const beingWritten: number[] = []
    const onProgress = (done: number, total: number, note?: string) => {
      seen.push(done)
      assert.equal(total, batch < prompts.length ? prompts.length : 60)
      if (note !== 'written') beingWritten.push(Number.parseInt(note!, 10))
    }
    const waited = await generate(model, prompts, { ...options, batch, onProgress })
    assert.deepEqual(waited, together, `${batch} at a time`)
    assert.deepEqual(
      seen,
      [...seen].sort((a, b) => a - b),
    )
    assert.equal(Math.max(...beingWritten), batch)
    // Without anyone taking a place, seven at a time would need the sum of the longest of each seven.
    const chunks = Array.from({ length: Math.ceil(prompts.length / batch) }, (_, k) =>
      Math.max(...together.slice(k * batch, (k + 1) * batch).map(({ ids }) => ids.length)),
    )
    if (batch === 4 || batch === 7) assert.ok(beingWritten.length < chunks.reduce((a, b) => a + b))
  }
  const held = tf.memory().numTensors
  await generate(model, prompts, { ...options, batch: 7 })
  assert.equal(tf.memory().numTensors, held)
  // Stopped at the first token of one that has taken a place.
  const controller = new AbortController()
  const stop = ({ sequence }: GeneratedToken) => sequence >= 7 && controller.abort('enough')
  const asked = { ...options, batch: 7, onToken: stop, signal: controller.signal }
  await assert.rejects(generate(model, prompts, asked), Interrupted)
  assert.equal(tf.memory().numTensors, held)
  await assert.rejects(generate(model, prompts, { batch: 0 }), /batch 0; expected a whole number above 0/)
})

test('a response that is complete changes nothing of those that go on beside it, nor the context it has filled', async () => {
  // The first fills its context after 6 tokens; the seven others end at random places, some while it waits to leave the batch.
  const long = Array.from({ length: 250 }, (_, i) => i % 128)
  const prompts = [long, ...Array.from({ length: 7 }, (_, i) => [5 + i, 9])]
  const options = { maxNewTokens: 60, seed: 8, stopTokens: [4, 5] }
  const together = await generate(model, prompts, options)
  assert.ok(new Set(together.map(({ ids }) => ids.length)).size > 3, 'they end at different places')
  assert.equal(together[0]!.stopReason, 'context')
  for (const [i, prompt] of prompts.entries()) {
    assert.deepEqual(await generate(model, [prompt], { ...options, streams: [i] }), [together[i]])
  }
})

test('tokens are drawn with their probabilities: within top-k, within the nucleus, at the temperature', () => {
  const probabilities = [0.5, 0.25, 0.15, 0.1]
  const share = (options: object, n = 4000) => {
    const counts = [0, 0, 0, 0]
    const stream = randomStream(11)
    const row = tf.log(tf.tensor2d([probabilities])) as tf.Tensor2D
    for (let i = 0; i < n; i++) counts[sampleTokens(row, [stream], options)[0]!]!++
    row.dispose()
    return counts.map((count) => count / n)
  }
  // Four standard errors of a share of one half over 4,000 draws are 0.032.
  const close = (actual: number[], expected: number[]) =>
    assert.ok(
      actual.every((x, i) => (expected[i] === 0 ? x === 0 : Math.abs(x - expected[i]!) < 0.032)),
      `${actual}, expected ${expected}`,
    )
  close(share({ temperature: 1 }), probabilities)
  close(share({ topK: 2 }), [2 / 3, 1 / 3, 0, 0])
  close(share({ topP: 0.76 }), [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0])
  close(share({ topP: 0.5 }), [1, 0, 0, 0])
  close(share({ topK: 3, topP: 0.8 }), [2 / 3, 1 / 3, 0, 0])
  const sharpened = probabilities.map((p) => p ** 2)
  const total = sharpened.reduce((a, b) => a + b)
  close(
    share({ temperature: 0.5 }),
    sharpened.map((p) => p / total),
  )
  assert.equal(share({ temperature: 0 }, 5)[0], 1)
})

test('drawn where the probabilities are, as on a GPU: by hand, and the same as here', () => {
  const drawn = (row: number[], chance: number) => {
    const probabilities = tf.tensor2d([row])
    const columns = [drawOnDevice(probabilities, [chance])[0], drawHere(probabilities, [chance])[0]]
    probabilities.dispose()
    return columns
  }
  for (const [row, chance, column] of [
    [[0.25, 0.25, 0.5], 0, 0],
    [[0.25, 0.25, 0.5], 0.24, 0],
    [[0.25, 0.25, 0.5], 0.26, 1],
    [[0.25, 0.25, 0.5], 0.999, 2],
    // Columns without a probability are never drawn, at neither end.
    [[0, 0.5, 0, 0.5, 0], 0, 1],
    [[0, 0.5, 0, 0.5, 0], 0.6, 3],
    [[0, 0.5, 0, 0.5, 0], 1 - 2 ** -53, 3],
  ] as const)
    assert.deepEqual(drawn([...row], chance), [column, column], `${chance} of ${row}`)
  assert.throws(() => drawn([Number.NaN, 1], 0.5), /not finite/)
  const stream = randomStream(3)
  const [rows, vocabulary] = [200, 500]
  const probabilities = tf.softmax(tf.randomNormal([rows, vocabulary], 0, 3, 'float32', 1)) as tf.Tensor2D
  const chances = Array.from({ length: rows }, () => stream.uniform())
  // A border lies within rounding (1e-7 · 500 of the chances) of about one chance in 10,000.
  assert.deepEqual(drawOnDevice(probabilities, chances), drawHere(probabilities, chances))
  probabilities.dispose()
})

test('the code that a GPU takes writes the same responses', async () => {
  const prompts = [...PROMPTS, ...PROMPTS, [3]]
  const options = { maxNewTokens: 40, seed: 5 }
  assert.deepEqual(await asOnGpu(() => generate(model, prompts, options)), await generate(model, prompts, options))
  const positions = [0, 1, 17, 1000]
  const [here, there] = [rotationMatrices(model.config, positions), rotationsOnDevice(model.config, positions)]
  // Zeros of either sign.
  assert.ok(tf.tidy(() => tf.all(tf.equal(here, there)).dataSync()[0]))
  tf.dispose([here, there])
})

test('a nucleus wider than the first candidates is whole', () => {
  const vocabulary = 2000
  const row = tf.zeros([1, vocabulary]) as tf.Tensor2D
  const stream = randomStream(1)
  const seen = new Set(Array.from({ length: 4000 }, () => sampleTokens(row, [stream], { topP: 0.9 })[0]!))
  row.dispose()
  // 1,800 of 2,000 equally likely tokens; after 4,000 draws all but about a tenth of them have come.
  assert.ok(seen.size > 1500 && seen.size <= 1801, `${seen.size}`)
})

test('nothing is left behind after a response, an interrupt or a refusal; what cannot be is refused by name', async () => {
  await generate(model, PROMPTS, { maxNewTokens: 3 })
  const held = tf.memory().numTensors
  await generate(model, PROMPTS, { maxNewTokens: 3 })
  assert.equal(tf.memory().numTensors, held)
  const controller = new AbortController()
  const stopAfterFive = { onToken: () => ++tokens === 5 && controller.abort('enough'), signal: controller.signal }
  let tokens = 0
  await assert.rejects(
    generate(model, [PROMPTS[0]!], { maxNewTokens: 100, stopTokens: [], ...stopAfterFive }),
    Interrupted,
  )
  assert.ok(tokens < 10)
  assert.equal(tf.memory().numTensors, held)
  const refused: [object, RegExp][] = [
    [{ temperature: -1 }, /temperature -1/],
    [{ topK: 0 }, /topK 0/],
    [{ topP: 1.5 }, /topP 1.5/],
    [{ maxNewTokens: 0 }, /maxNewTokens 0/],
    [{ seed: -1 }, /invalid seed -1/],
    [{ stopStrings: [''] }, /empty string/],
  ]
  for (const [options, message] of refused) await assert.rejects(generate(model, [[5]], options), message)
  await assert.rejects(generate(model, ['text']), /without a tokenizer/)
  await assert.rejects(generate(model, [Array(256).fill(1)]), /256 tokens, the model's context is 256/)
  assert.equal(tf.memory().numTensors, held)
})

test('SmolLM2: text streams as it is written, and stops before a stop string', async () => {
  const smollm = await loadModel('smollm2-135m-instruct')
  const { prompt } = readReference<{ prompt: string }>('smollm2-00.json')
  const seen: GeneratedToken[] = []
  const greedy = { temperature: 0, maxNewTokens: 24 }
  const [plain] = await generate(smollm, [prompt], { ...greedy, onToken: (token) => seen.push(token) })
  assert.deepEqual(
    seen.map(({ id }) => id),
    plain!.ids,
  )
  assert.equal(seen.map(({ text }) => text).join(''), plain!.text)
  assert.equal(smollm.decode(plain!.ids), plain!.text)
  // A stop string that begins inside one token and ends inside another.
  const stop = plain!.text.slice(17, 33)
  const pieces: string[] = []
  const [stopped] = await generate(smollm, [prompt], {
    ...greedy,
    stopStrings: [stop],
    onToken: ({ text }) => pieces.push(text),
  })
  assert.equal(stopped!.stopReason, 'stop-string')
  assert.equal(stopped!.text, plain!.text.slice(0, plain!.text.indexOf(stop)))
  assert.equal(pieces.join(''), stopped!.text)
  smollm.dispose()
})
