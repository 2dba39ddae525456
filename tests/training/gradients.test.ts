import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { Interrupted } from '../../lib/engine/cooperate'
import { tf } from '../../lib/engine/tensorflow'
import type { ModelConfig } from '../../lib/model/config'
import type { LanguageModel } from '../../lib/model/languageModel'
import { saveModel } from '../../lib/model/loadModel'
import { storedWeights } from '../../lib/model/weights'
import { randomStream } from '../../lib/random/randomStream'
import { accumulateGradients, type GradientOptions } from '../../lib/training/gradients/accumulateGradients'
import { Gradients } from '../../lib/training/gradients/gradients'
import { readTinyModel } from '../oracle/tinyDecoder'
import { asOnGpu } from '../support/asOnGpu'
import { temporaryFolder } from '../support/temporaryFolder'
import { dot, exactLoss, lively, type Problem, problem, QWEN3 } from './gradientProblem'

interface Variant extends Partial<ModelConfig> {
  /** Tokens of each sequence. */
  lengths?: number[]
  temperature?: number
}

const VARIANTS: Record<string, Variant> = {
  'Llama 2: a key-value head for each head': { numKeyValueHeads: 4 },
  'Llama 3: llama3 rope scaling, temperature': {
    temperature: 0.7,
    ropeScaling: {
      ropeType: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositionEmbeddings: 64,
    },
  },
  'Qwen2: biases on queries, keys and values; linear rope scaling': {
    modelType: 'qwen2',
    qkvBias: true,
    ropeScaling: { ropeType: 'linear', factor: 2 },
  },
  'a bias on the output projection too': { qkvBias: true, outputBias: true },
  'Qwen3: norms of queries and keys, wide heads, tied embeddings': QWEN3,
  'SmolLM2: tied embeddings, one key-value head': { tieWordEmbeddings: true, numKeyValueHeads: 1 },
  'several blocks of query rows, patterns computed again': { lengths: [150, 140] },
  'several blocks of query rows, patterns kept': { lengths: [150, 140], intermediateSize: 120, numHiddenLayers: 1 },
}

async function gradientsOf(model: LanguageModel, { batch, logprob, entropy }: Problem, options: GradientOptions = {}) {
  const gradients = new Gradients(model.weights)
  await accumulateGradients(model, batch, () => ({ logprob, entropy }), gradients, options)
  return gradients
}

for (const [name, { lengths, temperature = 1, ...change }] of Object.entries(VARIANTS)) {
  test(`${name}: finite differences of a plain 64-bit decoder, every weight`, async () => {
    const folder = join(temporaryFolder(), 'model')
    const model = await lively(change)
    await saveModel(model, folder)
    const exact = readTinyModel(folder)
    const given = problem(lengths)
    const gradients = await gradientsOf(model, given, { temperature })
    const random = randomStream(5)
    const stored = storedWeights(model.config, gradients.asWeights())
    assert.equal(stored.length, exact.tensors.size)
    for (const { name, load } of stored) {
      const gradient = load()
      const norm = Math.sqrt(dot(gradient, gradient))
      const held = exact.tensors.get(name)!
      // Along the gradient, and along a direction that meets every number of it.
      const directions = [
        Array.from(gradient, (v) => v / norm),
        ...(lengths ? [] : [Array.from(gradient, () => (random.uniform() < 0.5 ? -1 : 1))]),
      ]
      for (const direction of directions) {
        const step = 1e-5
        const moved = (sign: number) => {
          const values = Float64Array.from(held.values, (v, i) => v + sign * step * direction[i]!)
          return exactLoss(
            { ...exact, tensors: new Map(exact.tensors).set(name, { ...held, values }) },
            given,
            temperature,
          )
        }
        const expected = (moved(1) - moved(-1)) / (2 * step)
        const actual = dot(gradient, direction)
        assert.ok(Math.abs(actual - expected) < 1e-4 * norm, `${name}: ${actual}, expected ${expected} (norm ${norm})`)
      }
    }
    gradients.dispose()
    model.dispose()
  })
}

const values = (gradients: Gradients) => gradients.entries().map(({ gradient }) => gradient.dataSync() as Float32Array)

function assertNear(actual: Gradients, expected: Gradients, tolerance: number) {
  const scale = expected.globalNorm()
  const wanted = values(expected)
  for (const [i, part] of values(actual).entries()) {
    const worst = part.reduce((most, v, j) => Math.max(most, Math.abs(v - wanted[i]![j]!)), 0)
    assert.ok(worst <= tolerance * scale, `${actual.entries()[i]!.name}: off by ${worst}, norm ${scale}`)
  }
}

test('micro-batches add up to the full batch; groups and padding change nothing; the same inputs give the same bits', async () => {
  const model = await lively(QWEN3)
  const given = problem([9, 14, 6, 14])
  const whole = await gradientsOf(model, given)
  assertNear(await gradientsOf(model, given), whole, 0)
  assertNear(await gradientsOf(model, given, { recompute: true }), whole, 0)
  // As a GPU gets its numbers, in blocks of its sizes.
  assertNear(await asOnGpu(() => gradientsOf(model, given)), whole, 1e-6)
  // Each sequence by itself, without any padding.
  assertNear(await gradientsOf(model, given, { sizes: { groupTokens: 1 } }), whole, 1e-6)
  // Other blocks of attention and logits, and logits computed twice.
  for (const recompute of [false, true]) {
    const sizes = { queryRows: 4, logitNumbers: 3 * model.config.vocabSize, keptLogitNumbers: 0 }
    assertNear(await gradientsOf(model, given, { recompute, sizes }), whole, 1e-6)
  }
  const parts = new Gradients(model.weights)
  for (const half of [
    [0, 1],
    [2, 3],
  ]) {
    const some = <T>(of: readonly T[]) => half.map((b) => of[b]!)
    const batch = { sequences: some(given.batch.sequences), promptLengths: some(given.batch.promptLengths) }
    await accumulateGradients(
      model,
      batch,
      () => ({ logprob: some(given.logprob), entropy: some(given.entropy) }),
      parts,
    )
  }
  assertNear(parts, whole, 1e-6)
  parts.zero()
  assert.equal(parts.globalNorm(), 0)
  assert.ok(values(parts).every((part) => part.every((v) => v === 0)))
  model.dispose()
})

test('the global norm counts a shared norm of heads once', async () => {
  const model = await lively(QWEN3)
  const gradients = await gradientsOf(model, problem())
  const squares = storedWeights(model.config, gradients.asWeights()).reduce(
    (sum, { load }) => sum + dot(load(), load()),
    0,
  )
  assert.ok(Math.abs(gradients.globalNorm() / Math.sqrt(squares) - 1) < 1e-6)
  gradients.dispose()
  model.dispose()
})

test('a sequence whose derivatives are zero changes nothing; statistics are those of the batch in its order', async () => {
  const model = await lively({})
  const given = problem()
  const rest = await gradientsOf(model, {
    batch: { sequences: given.batch.sequences.slice(1), promptLengths: given.batch.promptLengths.slice(1) },
    logprob: given.logprob.slice(1),
    entropy: given.entropy.slice(1),
  })
  const silent = (of: Float32Array[]) => of.map((part, b) => (b === 0 ? new Float32Array(part.length) : part))
  for (const groupTokens of [1, 1024]) {
    const all = { ...given, logprob: silent(given.logprob), entropy: silent(given.entropy) }
    assertNear(await gradientsOf(model, all, { sizes: { groupTokens } }), rest, 1e-6)
  }
  model.dispose()
})

test('no tensor is left after success, an error of the loss, and interrupts; wrong batches are refused', async () => {
  const model = await lively(QWEN3)
  const given = problem()
  const gradients = new Gradients(model.weights)
  const derivatives = { logprob: given.logprob, entropy: given.entropy }
  const run = (loss: () => { logprob: Float32Array[]; entropy?: Float32Array[] }, options?: GradientOptions) =>
    accumulateGradients(model, given.batch, loss, gradients, options)
  await run(() => derivatives)
  gradients.zero()
  const before = tf.memory().numTensors
  const nothingLeft = () => {
    gradients.zero()
    assert.equal(tf.memory().numTensors, before)
  }
  for (const recompute of [false, true]) {
    await run(() => derivatives, { recompute })
    nothingLeft()
    await assert.rejects(
      run(
        () => {
          throw new Error('no loss')
        },
        { recompute },
      ),
      /no loss/,
    )
    nothingLeft()
    const stop = new AbortController()
    await assert.rejects(
      run(
        () => {
          stop.abort('enough')
          return derivatives
        },
        { recompute, signal: stop.signal },
      ),
      Interrupted,
    )
    nothingLeft()
    await assert.rejects(
      run(() => derivatives, { recompute, signal: AbortSignal.abort() }),
      Interrupted,
    )
    nothingLeft()
  }
  await assert.rejects(
    run(() => ({ logprob: given.logprob.slice(1) })),
    /derivatives by logprob for sequence/,
  )
  nothingLeft()
  const refused = (sequences: number[][], promptLengths: number[], message: RegExp) =>
    assert.rejects(
      accumulateGradients(model, { sequences, promptLengths }, () => derivatives, gradients),
      message,
    )
  await refused([], [], /no sequences/)
  await refused([[1, 2]], [2], /prompt of 2/)
  await refused([[1, 2]], [], /0 prompt lengths/)
  await refused([[1, 99]], [1], /id 99 at 1/)
  await refused([Array(300).fill(1)], [1], /context is 256/)
  await assert.rejects(
    run(() => derivatives, { temperature: 0 }),
    /temperature 0/,
  )
  nothingLeft()
  model.dispose()
})
