import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { usablePrecision } from '../../lib/engine/precision'
import { isBfloat16, nativeTensors, tf } from '../../lib/engine/tensorflow'
import { forward, logits } from '../../lib/model/decoder'
import { generate } from '../../lib/model/generate'
import type { LanguageModel } from '../../lib/model/languageModel'
import { addProducts, NARROW_MATRICES, refreshProducts } from '../../lib/model/layerProducts'
import { saveModel } from '../../lib/model/loadModel'
import { LORA_TARGETS } from '../../lib/model/lora'
import { LoraAdapters } from '../../lib/model/loraAdapters'
import { storedWeights } from '../../lib/model/weights'
import { randomStream } from '../../lib/random/randomStream'
import { AdamW } from '../../lib/training/adamw'
import { accumulateGradients } from '../../lib/training/gradients/accumulateGradients'
import type { GradientStore } from '../../lib/training/gradients/gradientStore'
import { Gradients } from '../../lib/training/gradients/gradients'
import { LoraGradients } from '../../lib/training/gradients/loraGradients'
import { supervisedLoss } from '../../lib/training/grpoLoss'
import { parseConfig } from '../../lib/training/readConfig'
import { readMetrics } from '../../lib/training/runFolder'
import { type TrainOptions, train } from '../../lib/training/train'
import { initialModel } from '../../lib/training/trainedModel'
import type { FreshModel } from '../../lib/training/trainingConfig'
import { narrowModel } from '../support/narrowModel'
import { temporaryFolder } from '../support/temporaryFolder'
import { lively, problem, QWEN3 } from './gradientProblem'
import { resultOf, tinyConfig, withoutTimings } from './tinyRun'

// Each operand and result is rounded by at most 2⁻⁹ of itself. Through two layers, there and back, a number passes about ten such products, whose roundings
// are independent: √10 · 2⁻⁹ · √3 (two operands and the result) is about 1 %; the bound is three times that.
const TOLERANCE = 0.03

/** Loss, and gradients by name, of the next-token loss of a batch. */
async function lossAndGradients(model: LanguageModel, into: GradientStore, recompute = false) {
  const { batch } = problem([30, 40, 25])
  const tokens = batch.sequences.reduce((sum, ids, b) => sum + ids.length - batch.promptLengths[b]!, 0)
  let loss = 0
  await accumulateGradients(
    model,
    batch,
    (statistics) => {
      const result = supervisedLoss(statistics, { tokens })
      loss = result.loss
      return result.gradient
    },
    into,
    { recompute },
  )
  return { loss, gradients: new Map(into.entries().map(({ name, gradient }) => [name, gradient.dataSync().slice()])) }
}

const norm = (x: ArrayLike<number>) => Math.sqrt(Array.from(x).reduce((sum, v) => sum + v * v, 0))
const distance = (x: ArrayLike<number>, y: ArrayLike<number>) => norm(Array.from(x, (v, i) => v - y[i]!)) / norm(y)

function assertNear(actual: Awaited<ReturnType<typeof lossAndGradients>>, expected: typeof actual): void {
  assert.ok(Math.abs(actual.loss / expected.loss - 1) < TOLERANCE, `loss ${actual.loss}, float32 ${expected.loss}`)
  assert.deepEqual([...actual.gradients.keys()], [...expected.gradients.keys()])
  let rounded = 0
  for (const [name, gradient] of expected.gradients) {
    const own = actual.gradients.get(name)!
    const error = distance(own, gradient)
    assert.ok(error < TOLERANCE, `${name}: off by ${error} of its norm`)
    assert.ok(Math.abs(norm(own) / norm(gradient) - 1) < TOLERANCE, `${name}: norm ${norm(own)} and ${norm(gradient)}`)
    if (error > 2 ** -12) rounded++
  }
  assert.ok(rounded > 5, 'nothing was rounded')
}

for (const [name, change] of Object.entries({
  'Llama, biases': { qkvBias: true, outputBias: true },
  'Qwen3, tied': QWEN3,
})) {
  test(`${name}: loss and gradients in bf16 are float32's within its accuracy; the same with recomputation`, async () => {
    const model = await lively(change)
    const exact = new Gradients(model.weights)
    const expected = await lossAndGradients(model, exact)
    exact.dispose()
    addProducts(model.weights)
    const own = new Gradients(model.weights)
    const actual = await lossAndGradients(model, own)
    assertNear(actual, expected)
    own.zero()
    const again = await lossAndGradients(model, own, true)
    assert.deepEqual(again, actual)
    own.dispose()
    model.dispose()
  })

  test(`${name}: adapters on matrices in bf16 have float32's gradients within its accuracy, and change what is written`, async () => {
    const folder = join(temporaryFolder(), 'model')
    const wide = await lively(change)
    await saveModel(wide, folder)
    const narrow = await narrowModel(folder)
    const random = randomStream(4)
    const factors: Float32Array[] = []
    const normal = (count: number) => Float32Array.from({ length: count }, () => 0.2 * random.normal())
    const options = { rank: 2, alpha: 4, targets: LORA_TARGETS }
    const before = await logitsOf(narrow)
    const exact = await LoraAdapters.restore(wide, options, async ({ rows, columns }) => {
      const numbers = { a: normal(2 * columns), b: normal(2 * rows) }
      factors.push(numbers.a, numbers.b)
      return numbers
    })
    const adapters = await LoraAdapters.restore(narrow, options, async () => ({
      a: factors.shift()!,
      b: factors.shift()!,
    }))
    const [wideStore, narrowStore] = [new LoraGradients(exact), new LoraGradients(adapters)]
    assertNear(await lossAndGradients(narrow, narrowStore), await lossAndGradients(wide, wideStore))
    const [expected, actual] = [await logitsOf(wide), await logitsOf(narrow)]
    assert.ok(distance(actual, expected) < TOLERANCE, `logits are off by ${distance(actual, expected)}`)
    assert.ok(distance(before, expected) > 3 * TOLERANCE, 'the adapters change nothing')
    // What a checkpoint would hold is the sum, each rounded base weight with its adapter.
    const stored = new Map(storedWeights(wide.config, wide.weights).map(({ name, load }) => [name, load().slice()]))
    for (const { name, load } of storedWeights(narrow.config, narrow.weights))
      assert.ok(distance(load(), stored.get(name)!) < 2 ** -8, name)
    const [prompt] = problem().batch.sequences
    const written = await generate(narrow, [prompt!], { temperature: 0, maxNewTokens: 3, stopTokens: [] })
    assert.equal(written[0]!.ids.length, 3)
    for (const store of [wideStore, narrowStore]) store.dispose()
    adapters.dispose()
    for (const { products } of narrow.weights.layers)
      for (const name of NARROW_MATRICES) assert.equal(products![name].adapter, null)
    exact.dispose()
    for (const model of [wide, narrow]) model.dispose()
  })
}

async function logitsOf(model: LanguageModel): Promise<number[]> {
  const [ids] = problem([40]).batch.sequences
  const states = await forward(model, [ids!])
  const values = tf.tidy(() => logits(model, states.reshape([ids!.length, -1]) as tf.Tensor2D).dataSync())
  states.dispose()
  return Array.from(values)
}

test('copies in bf16 follow the weights; steps reduce the loss as in float32, and leave nothing behind', async () => {
  const losses = async (bf16: boolean) => {
    const model = await lively({})
    if (bf16) addProducts(model.weights)
    const gradients = new Gradients(model.weights)
    const optimizer = new AdamW()
    const all: number[] = []
    let native = 0
    for (let step = 0; step < 12; step++) {
      all.push((await lossAndGradients(model, gradients)).loss)
      optimizer.step(gradients.entries(), 1e-2)
      gradients.zero()
      refreshProducts(model.weights)
      if (step === 2) native = nativeTensors()
    }
    assert.equal(nativeTensors(), native)
    if (bf16) {
      const [{ down, products }] = model.weights.layers as [LanguageModel['weights']['layers'][0]]
      assert.ok(!isBfloat16(down) && isBfloat16(products!.down.matrix))
    }
    optimizer.dispose()
    gradients.dispose()
    model.dispose()
    return all
  }
  const [exact, narrow] = [await losses(false), await losses(true)]
  assert.ok(exact.at(-1)! < 0.7 * exact[0]!, `float32: ${exact}`)
  narrow.forEach((loss, step) => {
    // Adam's steps do not shrink with a gradient: where it is near zero, rounding turns them.
    assert.ok(Math.abs(loss / exact[step]! - 1) < 4 * TOLERANCE, `step ${step}: ${loss}, float32 ${exact[step]}`)
  })
})

test('weights in bf16 alone are refused as what is trained', async () => {
  const folder = join(temporaryFolder(), 'model')
  const wide = await lively({})
  await saveModel(wide, folder)
  const narrow = await narrowModel(folder)
  assert.throws(() => new Gradients(narrow.weights), /weights in bfloat16 alone do not move/)
  for (const model of [wide, narrow]) model.dispose()
})

for (const lora of [null, { rank: 2, alpha: 4 }])
  test(`a run in bf16, ${lora ? 'adapters alone' : 'all weights'}, goes on to the same bits after a stop`, async () => {
    const folder = temporaryFolder()
    const { model, ...rest } = tinyConfig({
      supervised: { steps: 3 },
      grpo: { steps: 2, klCoefficient: 0.1 },
      evaluation: null,
    })
    const from = join(folder, 'base')
    const fresh = await initialModel(parseConfig(tinyConfig()).model, 1, join(folder, 'text'))
    await saveModel(fresh, from)
    fresh.dispose()
    const config = {
      ...rest,
      lora,
      model: lora ? { from, precision: 'bf16' } : { ...(model as FreshModel), precision: 'bf16' },
    }
    const run = (name: string, given: object | null, options: Partial<TrainOptions> = {}) =>
      train(given, { run: join(folder, name), ...options })
    await run('whole', config)
    const stop = new AbortController()
    await run('stopped', config, { signal: stop.signal, onStep: ({ step }) => step === 4 && stop.abort('enough') })
    assert.equal((await run('stopped', null)).state, 'finished')
    const metrics = (of: string) => readMetrics(join(folder, of)).map(withoutTimings)
    assert.deepEqual(metrics('stopped'), metrics('whole'))
    if (!lora) assert.deepEqual(resultOf(join(folder, 'stopped')), resultOf(join(folder, 'whole')))
    if (usablePrecision('bf16', undefined, () => {}) === 'float32') return
    await run('float32', { ...config, model: { ...config.model, precision: 'float32' } })
    const losses = (of: string) => readMetrics(join(folder, of)).map((line) => Number(line.loss))
    const [narrow, wide] = [losses('whole'), losses('float32')]
    assert.notDeepEqual(narrow, wide)
    for (let step = 0; step < 3; step++)
      assert.ok(Math.abs(narrow[step]! / wide[step]! - 1) < TOLERANCE, `step ${step}: ${narrow[step]}, ${wide[step]}`)
  })

test('the configuration says what a precision may be', () => {
  assert.equal(parseConfig(tinyConfig({ model: { precision: 'bf16' } })).model.precision, 'bf16')
  assert.throws(
    () => parseConfig(tinyConfig({ model: { precision: 'fp8' } })),
    /model\.precision: .*"float32"\|"bf16".*\(got "fp8"\)/,
  )
})
