import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { usablePrecision } from '../../lib/engine/precision'
import { isBfloat16, nativeTensors, tf } from '../../lib/engine/tensorflow'
import { KeyValueCache } from '../../lib/model/cache'
import { decodeStep, forward, logits } from '../../lib/model/decoder'
import { generate } from '../../lib/model/generate'
import type { LanguageModel } from '../../lib/model/languageModel'
import { loadModel } from '../../lib/model/loadModel'
import { storedWeights } from '../../lib/model/weights'
import { REFERENCE, TINY_MODELS } from '../oracle/reference'
import { narrowModel } from '../support/narrowModel'

const folder = (name: string) => join(REFERENCE, name)
const SEQUENCES = [
  [5, 9, 100, 3, 77, 31, 8],
  Array.from({ length: 40 }, (_, i) => (i * 37) % 128),
  [20, 21, 22, 23, 24, 25, 26, 27],
]

/** Logits of all positions of each sequence. */
async function logitsOf(model: LanguageModel, sequences: number[][]): Promise<number[][][]> {
  const states = await forward(model, sequences)
  const [, N, hidden] = states.shape
  const rows = tf.tidy(() => logits(model, tf.reshape(states, [-1, hidden])).arraySync())
  states.dispose()
  return sequences.map((ids, b) => rows.slice(b * N, b * N + ids.length))
}

const difference = (a: number[][], b: number[][]) =>
  Math.max(...a.flatMap((row, i) => row.map((x, j) => Math.abs(x - b[i]![j]!))))
const largest = (a: number[][]) => Math.max(...a.flat().map(Math.abs))

const narrow = new Map<string, LanguageModel>()
before(async () => {
  for (const name of TINY_MODELS) narrow.set(name, await narrowModel(folder(name)))
})
after(() => {
  for (const model of narrow.values()) model.dispose()
})

for (const name of TINY_MODELS) {
  test(`${name}: logits in bf16 are those of float32 within a few of its roundings`, async () => {
    const wide = await loadModel(folder(name))
    const [exact, rounded] = [await logitsOf(wide, SEQUENCES), await logitsOf(narrow.get(name)!, SEQUENCES)]
    for (const [b, expected] of exact.entries()) {
      const error = difference(rounded[b]!, expected) / largest(expected)
      // Weights, operands and results are rounded to 8 bits (2⁻⁹ of each at most) in the three products of each layer.
      assert.ok(error < wide.config.numHiddenLayers * 9 * 2 ** -9, `sequence ${b}: off by ${error} of the largest`)
      assert.ok(error > 1e-5, 'nothing was rounded')
    }
    wide.dispose()
  })

  test(`${name}: decoding in bf16 gives what a whole forward pass in bf16 gives, alone and in a batch`, async () => {
    const model = narrow.get(name)!
    for (const batch of [SEQUENCES.slice(0, 1), SEQUENCES]) {
      const sequences = batch.map((ids) => [...ids])
      const cache = new KeyValueCache(
        model.config,
        sequences.map((ids) => ids.length),
      )
      ;(await forward(model, sequences, { cache })).dispose()
      // Beyond the cache's first 128 places, so that it grows.
      for (let step = 0; step < 125; step++) {
        const tokens = sequences.map((ids, i) => (ids.at(-1)! * 31 + step + i) % 128)
        for (const [i, token] of tokens.entries()) sequences[i]!.push(token)
        const states = decodeStep(model, tokens, cache)
        const rows = tf.tidy(() => logits(model, states).arraySync())
        states.dispose()
        if (step !== 0 && step !== 60 && step !== 124) continue
        const whole = await logitsOf(model, sequences)
        for (const [i, all] of whole.entries()) {
          // Sums in another order, and then roundings that fall to the other side.
          const error = difference([rows[i]!], [all.at(-1)!]) / largest(all)
          assert.ok(error < model.config.numHiddenLayers * 9 * 2 ** -9, `step ${step}, sequence ${i}: off by ${error}`)
        }
      }
      cache.dispose()
    }
  })
}

test('what is written is rounded once and nothing more; the rest is float32', async () => {
  const [wide, model] = [await loadModel(folder('tiny-qwen3')), narrow.get('tiny-qwen3')!]
  assert.equal(wide.precision, 'float32')
  assert.equal(model.precision, 'bf16')
  assert.equal(model.parameterCount, wide.parameterCount)
  const exact = storedWeights(wide.config, wide.weights)
  for (const [i, { name, shape, load }] of storedWeights(model.config, model.weights).entries()) {
    const [values, expected] = [load(), exact[i]!.load()]
    assert.deepEqual([name, shape], [exact[i]!.name, exact[i]!.shape])
    const held = /o_proj|gate_proj|up_proj|down_proj/.test(name)
    const bits = new Uint32Array(values.slice().buffer)
    if (held) assert.ok(bits.every((word) => (word & 0xffff) === 0))
    else assert.deepEqual(values, expected)
    values.forEach((value, k) => {
      assert.ok(Math.abs(value - expected[k]!) <= 2 ** -8 * Math.abs(expected[k]!), `${name}[${k}]`)
    })
  }
  wide.dispose()
})

test('nothing is left of many passes, of interrupted and failing ones, and of the model itself', async () => {
  const [held, native] = [tf.memory().numTensors, nativeTensors()]
  const model = await narrowModel(folder('tiny-llama'))
  const work = async () => {
    await generate(model, SEQUENCES, { temperature: 0, maxNewTokens: 4, stopTokens: [] })
    const abort = new AbortController()
    abort.abort('enough')
    await assert.rejects(generate(model, SEQUENCES, { signal: abort.signal }), /enough/)
    const observer = {
      observe() {
        throw new Error('an observer failed')
      },
    }
    await assert.rejects(forward(model, SEQUENCES, { observers: [observer] }), /an observer failed/)
  }
  // Axes, shapes and masks that are kept for later passes.
  await work()
  const [after, afterNative] = [tf.memory().numTensors, nativeTensors()]
  for (let i = 0; i < 10; i++) await work()
  assert.equal(tf.memory().numTensors, after)
  assert.equal(nativeTensors(), afterNative)
  const matrices = model.weights.layers.flatMap(({ output, gate, up, down }) => [output, gate, up, down])
  assert.ok(matrices.every(isBfloat16))
  const kept = tf.memory().numTensors - matrices.length - 1
  model.dispose()
  assert.ok(model.isDisposed && matrices.every((matrix) => matrix.isDisposed))
  assert.ok(tf.memory().numTensors < kept)
  // What is left are the constants of the passes above.
  assert.equal(tf.memory().numTensors - held, nativeTensors() - native)
})

test('loadModel holds a model once in each precision', async () => {
  const name = folder('tiny-llama')
  const [wide, first, second] = [
    await loadModel(name),
    await loadModel(name, { precision: 'bf16' }),
    await loadModel(name, { precision: 'bf16' }),
  ]
  assert.equal(first, second)
  const usable = usablePrecision('bf16', undefined, () => {})
  assert.equal(first.precision, usable)
  assert.equal(wide === first, usable === 'float32')
  for (const model of [wide, first]) model.dispose()
})
