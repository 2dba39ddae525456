import assert from 'node:assert/strict'
import test from 'node:test'
import { CHECKED_MODELS } from '../../lib/gpuCheck/checkShapes'
import { forwardFlops, gradientFlops } from '../../lib/gpuCheck/modelFlops'
import { parameterCounts } from '../../lib/training/plan/parameterCounts'

test('the shapes are those of the published models', () => {
  const billions = (n: number) => Number((n / 1e9).toPrecision(2))
  // Parameters and those beside the embedding, by the models' cards.
  for (const [name, all, inner] of [
    ['qwen3-0.6b', 0.6, 0.44],
    ['qwen3-4b', 4, 3.6],
  ] as const) {
    const model = CHECKED_MODELS[name]!
    const counted = parameterCounts(model, null).all
    assert.deepEqual([billions(counted), billions(counted - model.vocabSize * model.hiddenSize)], [all, inner])
  }
})

test('operations of a small decoder, counted by hand', () => {
  const model = {
    ...CHECKED_MODELS.tiny!,
    hiddenSize: 4,
    intermediateSize: 6,
    numHiddenLayers: 3,
    numAttentionHeads: 2,
    numKeyValueHeads: 1,
    headDim: 2,
    vocabSize: 10,
  }
  // A layer: q, k, v 4 · (4 + 2 + 2), o 4 · 4, gate, up and down 3 · 24; the head 40.
  const layer = 32 + 16 + 72
  // One token that sees itself alone: scores and values, 2 · 2 operations for each of 2 heads of 2, in 3 layers.
  assert.equal(forwardFlops(model, 0, 1, 1), 2 * 3 * layer + 2 * 40 + 3 * 2 * 2 * 4)
  // Three tokens after five: they see 6, 7 and 8.
  assert.equal(forwardFlops(model, 5, 3, 2), 3 * 2 * 3 * layer + 2 * 2 * 40 + 3 * 2 * 2 * 4 * (6 + 7 + 8))
  assert.equal(gradientFlops(7, false), 21)
  assert.equal(gradientFlops(7, true), 14)
})
