import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { tf } from '../../lib/engine/tensorflow'
import type { LanguageModel } from '../../lib/model/languageModel'
import { saveModel } from '../../lib/model/loadModel'
import { LORA_TARGETS, type LoraOptions } from '../../lib/model/lora'
import { LoraAdapters } from '../../lib/model/loraAdapters'
import { storedWeights } from '../../lib/model/weights'
import { randomStream } from '../../lib/random/randomStream'
import { AdamW } from '../../lib/training/adamw'
import { accumulateGradients, type GradientOptions } from '../../lib/training/gradients/accumulateGradients'
import type { GradientStore } from '../../lib/training/gradients/gradientStore'
import { Gradients } from '../../lib/training/gradients/gradients'
import { LoraGradients } from '../../lib/training/gradients/loraGradients'
import { assertClose } from '../oracle/close'
import { readTinyModel } from '../oracle/tinyDecoder'
import { temporaryFolder } from '../support/temporaryFolder'
import { dot, exactLoss, lively, type Problem, problem, QWEN3 } from './gradientProblem'

const OPTIONS: LoraOptions = { rank: 3, alpha: 6, targets: LORA_TARGETS }

/** `a [n, m] · b [m, k]` in 64 bits, either of them transposed. */
function times(a: number[][], b: number[][]): number[][] {
  return a.map((row) => b[0]!.map((_, j) => row.reduce((sum, v, i) => sum + v * b[i]![j]!, 0)))
}
const transposed = (a: number[][]) => a[0]!.map((_, j) => a.map((row) => row[j]!))
const scaled = (a: number[][], factor: number) => a.map((row) => row.map((v) => v * factor))
const matrix = (values: ArrayLike<number>, columns: number) =>
  Array.from({ length: values.length / columns }, (_, i) =>
    Array.from({ length: columns }, (_, j) => values[i * columns + j]!),
  )
const numbers = (tensor: tf.Tensor) => tensor.arraySync() as number[][]

/** Adapters away from their beginning, so that neither factor is zero. */
async function livelyAdapters(model: LanguageModel, options: LoraOptions): Promise<LoraAdapters> {
  const random = randomStream(11)
  const normal = (count: number) => Float32Array.from({ length: count }, () => 0.3 * random.normal())
  return LoraAdapters.restore(model, options, async ({ rows, columns }) => ({
    a: normal(options.rank * columns),
    b: normal(rows * options.rank),
  }))
}

const accumulate = (
  model: LanguageModel,
  { batch, logprob, entropy }: Problem,
  into: GradientStore,
  options?: GradientOptions,
) => accumulateGradients(model, batch, () => ({ logprob, entropy }), into, options)

const stored = (model: LanguageModel, weights = model.weights) =>
  new Map(
    storedWeights(model.config, weights).map(({ name, shape, load }) => [name, { shape, values: load().slice() }]),
  )

for (const [name, change] of Object.entries({
  'Llama, biases': { qkvBias: true, outputBias: true },
  'Qwen3, head norms, tied embeddings': QWEN3,
}))
  test(`${name}: gradients of adapters are the full gradient restricted to the factors`, async () => {
    const model = await lively(change)
    const before = stored(model)
    const adapters = await livelyAdapters(model, OPTIONS)
    const full = new Gradients(model.weights)
    const own = new LoraGradients(adapters)
    for (const recompute of [false, true]) await accumulate(model, problem(), full, { recompute })
    for (const recompute of [false, true]) await accumulate(model, problem(), own, { recompute })
    const dW = stored(model, full.asWeights())
    const entries = new Map(own.entries().map(({ name, gradient }) => [name, numbers(gradient)]))
    assert.equal(entries.size, 2 * LORA_TARGETS.length * model.config.numHiddenLayers)
    const scale = OPTIONS.alpha / OPTIONS.rank
    let squares = 0
    const weights = stored(model)
    for (const { name, a, b, columns } of adapters.adapters) {
      const [A, B] = [numbers(a), numbers(b)]
      const D = matrix(dW.get(`${name}.weight`)!.values, columns)
      const expected = {
        A: scaled(times(transposed(B), D), scale),
        B: scaled(times(D, transposed(A)), scale),
      }
      for (const [factor, wanted] of Object.entries(expected)) {
        const actual = entries.get(`${name}.lora_${factor}`)!
        assertClose(actual.flat(), wanted.flat(), 2e-5 * Math.max(...wanted.flat().map(Math.abs)), `${name} ${factor}`)
        squares += wanted.flat().reduce((sum, v) => sum + v * v, 0)
      }
      // What the decoder computes with is W + s B A.
      const sum = scaled(times(B, A), scale).flat()
      const frozen = before.get(`${name}.weight`)!.values
      assertClose(
        [...weights.get(`${name}.weight`)!.values],
        sum.map((v, i) => v + frozen[i]!),
        1e-5,
        name,
      )
    }
    assertClose([own.globalNorm() / Math.sqrt(squares)], [1], 1e-5)
    for (const [name, { values }] of before)
      if (!entries.has(`${name.replace(/\.weight$/, '')}.lora_A`))
        assert.deepEqual(weights.get(name)!.values, values, name)
    for (const store of [full, own, adapters, model]) store.dispose()
  })

test('gradients of adapters by finite differences of a plain 64-bit decoder', async () => {
  const folder = join(temporaryFolder(), 'model')
  const model = await lively({ numHiddenLayers: 1 })
  await saveModel(model, folder)
  const exact = readTinyModel(folder)
  const options: LoraOptions = { rank: 2, alpha: 1, targets: ['k_proj', 'v_proj', 'down_proj'] }
  const adapters = await livelyAdapters(model, options)
  const own = new LoraGradients(adapters)
  await accumulate(model, problem(), own)
  const factors = adapters.adapters.map(({ a, b }) => ({ a: [...a.dataSync()], b: [...b.dataSync()] }))
  const random = randomStream(4)
  const gradients = own.entries()
  for (const [i, { name, columns }] of adapters.adapters.entries())
    for (const factor of ['a', 'b'] as const) {
      const gradient = gradients[2 * i + (factor === 'a' ? 0 : 1)]!.gradient.dataSync()
      const direction = Array.from(gradient, () => (random.uniform() < 0.5 ? -1 : 1))
      const loss = (step: number) => {
        const tensors = new Map(exact.tensors)
        for (const [j, adapter] of adapters.adapters.entries()) {
          const moved = { ...factors[j]! }
          if (j === i) moved[factor] = moved[factor].map((v, k) => v + step * direction[k]!)
          const held = tensors.get(`${adapter.name}.weight`)!
          const delta = times(matrix(moved.b, options.rank), matrix(moved.a, adapter.columns)).flat()
          const values = Float64Array.from(held.values, (v, k) => v + (options.alpha / options.rank) * delta[k]!)
          tensors.set(`${adapter.name}.weight`, { ...held, values })
        }
        return exactLoss({ ...exact, tensors }, problem(), 1)
      }
      const expected = (loss(1e-5) - loss(-1e-5)) / 2e-5
      const norm = Math.sqrt(dot(gradient, gradient))
      assert.ok(norm > 1e-3, `${name} ${factor} has a gradient (${columns} columns)`)
      const actual = dot(gradient, direction)
      assert.ok(Math.abs(actual - expected) < 2e-4 * norm, `${name} ${factor}: ${actual}, expected ${expected}`)
    }
  for (const store of [own, adapters, model]) store.dispose()
})

test('a step moves the factors as AdamW moves any weight, and nothing else; many steps let no rounding gather', async () => {
  const model = await lively(QWEN3)
  const before = stored(model)
  const adapters = LoraAdapters.begin(model, { ...OPTIONS, targets: ['q_proj', 'v_proj', 'gate_proj'] }, 5)
  assert.deepEqual(stored(model), before, 'new adapters change nothing')
  const own = new LoraGradients(adapters)
  const optimizer = new AdamW()
  const rate = 1e-2
  for (let step = 0; step < 5; step++) {
    own.zero()
    await accumulate(model, problem(), own)
    const entries = own.entries()
    const held = entries.map(({ weight, gradient }) => [weight.dataSync().slice(), gradient.dataSync().slice()])
    optimizer.step(entries, rate)
    // The first update of Adam is the sign of the gradient.
    if (step === 0)
      for (const [i, { name, weight }] of entries.entries()) {
        const [w, g] = held[i]!
        const expected = Array.from(w!, (v, k) => v - (g![k] === 0 ? 0 : (rate * g![k]!) / (Math.abs(g![k]!) + 1e-8)))
        assertClose([...weight.dataSync()], expected, 1e-6, name)
      }
    adapters.apply()
  }
  const after = stored(model)
  const moved = new Set<string>()
  for (const { name, a, b } of adapters.adapters) {
    const sum = scaled(times(numbers(b), numbers(a)), adapters.scale).flat()
    const frozen = before.get(`${name}.weight`)!.values
    // One rounding of the sum and one of the product.
    assertClose(
      [...after.get(`${name}.weight`)!.values],
      sum.map((v, i) => v + frozen[i]!),
      3e-7,
      name,
    )
    assert.notDeepEqual(after.get(`${name}.weight`)!.values, frozen)
    moved.add(`${name}.weight`)
  }
  for (const [name, { values }] of before) if (!moved.has(name)) assert.deepEqual(after.get(name)!.values, values, name)
  for (const store of [own, optimizer, adapters, model]) store.dispose()
})

test('nothing is left behind; the same seed gives the same adapters; ranks that no matrix could use are refused', async () => {
  const model = await lively({})
  const options = { ...OPTIONS, rank: 2 }
  // Constants of the first use stay.
  for (const round of [0, 1, 2]) {
    const before = tf.memory().numTensors
    const adapters = LoraAdapters.begin(model, options, 1)
    const own = new LoraGradients(adapters)
    await accumulate(model, problem(), own)
    adapters.apply()
    const again = LoraAdapters.begin(model, options, 1)
    const other = LoraAdapters.begin(model, options, 2)
    const first = (of: LoraAdapters) => of.adapters[0]!.a.dataSync()
    assert.deepEqual(first(again), first(adapters))
    assert.notDeepEqual(first(other), first(adapters))
    assert.notDeepEqual(adapters.adapters[1]!.a.dataSync(), first(adapters))
    const bound = 1 / Math.sqrt(24)
    assert.ok(first(adapters).every((v) => Math.abs(v) <= bound))
    for (const store of [own, adapters, again, other]) store.dispose()
    if (round === 2) assert.equal(tf.memory().numTensors, before)
  }
  assert.throws(
    () => LoraAdapters.begin(model, { ...OPTIONS, rank: 13 }, 0),
    /lora\.rank is 13; expected a whole number from 1 to 12, the smaller side of k_proj \(\[12, 24\]\)/,
  )
  model.dispose()
})
