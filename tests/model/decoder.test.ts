import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { tf } from '../../lib/engine/tensorflow'
import type { ModelConfig } from '../../lib/model/config'
import { forward, logits } from '../../lib/model/decoder'
import type { LanguageModel } from '../../lib/model/languageModel'
import { loadModel, randomModel, saveModel } from '../../lib/model/loadModel'
import { weightTensors } from '../../lib/model/weights'
import { seriesError } from '../oracle/reference'
import { tinyForward } from '../oracle/tinyDecoder'
import { temporaryFolder } from '../support/temporaryFolder'

const BASE: ModelConfig = {
  modelType: 'llama',
  vocabSize: 50,
  hiddenSize: 24,
  intermediateSize: 40,
  numHiddenLayers: 3,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  headDim: 6,
  maxPositionEmbeddings: 128,
  rmsNormEps: 1e-5,
  ropeTheta: 10000,
  ropeScaling: null,
  qkvBias: false,
  outputBias: false,
  queryKeyNorm: false,
  tieWordEmbeddings: false,
  bosTokenId: 0,
  eosTokenIds: [1],
  padTokenId: 1,
}

const VARIANTS: Record<string, Partial<ModelConfig>> = {
  'Llama 2: a key-value head for each head': { numKeyValueHeads: 4 },
  'Llama 3: llama3 rope scaling, all three ranges of wavelengths': {
    ropeScaling: {
      ropeType: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositionEmbeddings: 64,
    },
  },
  'linear rope scaling': { ropeScaling: { ropeType: 'linear', factor: 2 } },
  'Qwen2: biases on queries, keys and values': { modelType: 'qwen2', qkvBias: true },
  'Qwen3: norms of queries and keys, heads wider than hidden / heads': {
    modelType: 'qwen3',
    queryKeyNorm: true,
    headDim: 10,
  },
  'SmolLM2: tied embeddings, one key-value head': { tieWordEmbeddings: true, numKeyValueHeads: 1 },
}

/** Random norms and biases too, so that leaving one out shows. */
async function lively(config: ModelConfig): Promise<LanguageModel> {
  const model = await randomModel(config, { seed: 7, initializerRange: 0.3 })
  for (const [i, layer] of model.weights.layers.entries()) {
    for (const [name, tensor] of Object.entries(layer) as [keyof typeof layer, tf.Tensor | null][]) {
      if (tensor === null || tensor.rank !== 1) continue
      layer[name] = tf.randomUniform(tensor.shape, 0.5, 1.5, 'float32', i + name.length) as never
      tensor.dispose()
    }
  }
  return model
}

for (const [name, change] of Object.entries(VARIANTS)) {
  test(`${name}: logits of a plain 64-bit decoder; saved and loaded bit for bit`, async () => {
    const folder = join(temporaryFolder(), 'model')
    const model = await lively({ ...BASE, ...change })
    await saveModel(model, folder)
    const ids = Array.from({ length: 90 }, (_, i) => (i * 17 + 3) % 50)
    const expected = tinyForward(folder, ids).logits
    const states = await forward(model, [ids], { sizes: { queryRows: 32 } })
    const actual = tf.tidy(() => logits(model, tf.reshape(states, [90, -1])).arraySync())
    for (const [position, row] of expected.entries())
      assert.ok(seriesError(actual[position]!, row) < 2e-5, `position ${position}`)

    const loaded = await loadModel(folder)
    assert.deepEqual(loaded.config, model.config)
    const [before, after] = [weightTensors(model.weights), weightTensors(loaded.weights)]
    assert.equal(after.length, before.length)
    for (const [i, tensor] of before.entries()) assert.deepEqual(after[i]!.dataSync(), tensor.dataSync())
    states.dispose()
    model.dispose()
    loaded.dispose()
  })
}

test('a model asked for again is the one that is held; dispose frees it; a changed file is read anew', async () => {
  const folder = join(temporaryFolder(), 'model')
  const first = await randomModel(BASE, { seed: 1 })
  await saveModel(first, folder)
  const held = tf.memory().numTensors
  const [a, b] = await Promise.all([loadModel(folder), loadModel(folder)])
  assert.equal(a, b)
  const loaded = tf.memory().numTensors
  assert.equal(loaded - held, weightTensors(a.weights).length)
  assert.equal(await loadModel(folder), a)
  assert.equal(tf.memory().numTensors, loaded)
  a.dispose()
  a.dispose()
  assert.equal(tf.memory().numTensors, held)
  assert.ok(a.isDisposed)
  const again = await loadModel(folder)
  assert.notEqual(again, a)

  rmSync(folder, { recursive: true })
  await new Promise((resolve) => setTimeout(resolve, 20))
  const other = await randomModel(BASE, { seed: 2 })
  await saveModel(other, folder)
  const changed = await loadModel(folder)
  assert.notDeepEqual(changed.weights.embedding.dataSync(), again.weights.embedding.dataSync())
  for (const model of [first, other, again, changed]) model.dispose()
})

test('random initialisation is the same for the same seed, and another for another', async () => {
  const [a, b, c] = await Promise.all([1, 1, 2].map((seed) => randomModel(BASE, { seed })))
  const first = (model: LanguageModel) => model.weights.layers[1]!.gate.dataSync()
  assert.deepEqual(first(a!), first(b!))
  assert.notDeepEqual(first(a!), first(c!))
  const values = Array.from(first(a!))
  const std = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)
  assert.ok(Math.abs(std - 0.02) < 0.002, `standard deviation ${std}`)
  for (const model of [a, b, c]) model!.dispose()
})
