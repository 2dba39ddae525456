import assert from 'node:assert/strict'
import test from 'node:test'
import { tf } from '../../lib/engine/tensorflow'
import type { ModelConfig } from '../../lib/model/config'
import type { LanguageModel } from '../../lib/model/languageModel'
import { addProducts } from '../../lib/model/layerProducts'
import { randomModel } from '../../lib/model/loadModel'
import { accumulateGradients } from '../../lib/training/gradients/accumulateGradients'
import { type ActivationShape, activationBytes } from '../../lib/training/gradients/activationBytes'
import { type BlockSizes, blockSizes } from '../../lib/training/gradients/blockSizes'
import { Gradients } from '../../lib/training/gradients/gradients'
import { BASE, QWEN3 } from './gradientProblem'

/** Peak memory of this process so far, in bytes. */
const peak = () => process.resourceUsage().maxRSS * 1024

/** A gradient of groups of equal sequences; bytes of tensors held while the loss is computed. */
async function gradient(
  model: LanguageModel,
  groups: ActivationShape[],
  recompute: boolean,
  sizes: Partial<BlockSizes> = {},
): Promise<number> {
  const gradients = new Gradients(model.weights)
  const { vocabSize } = model.config
  const sequences = groups.flatMap(({ sequences, length }) =>
    Array.from({ length: sequences }, () => Array.from({ length: length + 1 }, (_, i) => i % vocabSize)),
  )
  const promptLengths = groups.flatMap(({ sequences, length, predicted }) =>
    Array.from({ length: sequences }, () => length + 1 - predicted / sequences),
  )
  const before = tf.memory().numBytes
  let held = 0
  await accumulateGradients(
    model,
    { sequences, promptLengths },
    ({ logprob }) => {
      held = tf.memory().numBytes - before
      return { logprob: logprob.map((values) => values.map(() => 1e-3)) }
    },
    gradients,
    { recompute, sizes },
  )
  gradients.dispose()
  return held
}

test('what is kept for the way back is what is planned, number by number, with and without recomputation, in float32 and bf16', async () => {
  for (const [change, groups, sizes] of [
    [{}, [{ sequences: 3, length: 20, predicted: 9 }], {}],
    [QWEN3, [{ sequences: 2, length: 30, predicted: 8 }], { queryRows: 8 }],
    // Patterns are too large to be kept; the logits' gradients too.
    [QWEN3, [{ sequences: 1, length: 200, predicted: 50 }], { keptLogitNumbers: 1000, attentionNumbers: 2 ** 14 }],
    // Two groups of one length share their tables, a third has its own.
    [
      {},
      [
        { sequences: 2, length: 20, predicted: 4 },
        { sequences: 2, length: 20, predicted: 4 },
        { sequences: 1, length: 40, predicted: 7 },
      ],
      { groupTokens: 40 },
    ],
  ] as [Partial<ModelConfig>, ActivationShape[], Partial<BlockSizes>][]) {
    const model = await randomModel({ ...BASE, ...change })
    await gradient(model, groups, false, sizes)
    for (const [recompute, precision] of [
      [false, 'float32'],
      [true, 'float32'],
      [false, 'bf16'],
    ] as const) {
      if (precision === 'bf16') addProducts(model.weights)
      const { kept } = activationBytes(model.config, groups, blockSizes(sizes), recompute, precision)
      const { numAttentionHeads: H, numKeyValueHeads: K, headDim, intermediateSize, numHiddenLayers } = model.config
      // tfjs counts the two bytes of bfloat16 as four.
      const tokens = groups.reduce((sum, { sequences, length }) => sum + sequences * length, 0)
      const planned = kept + (precision === 'bf16' ? 2 * 2 * numHiddenLayers * tokens * intermediateSize : 0)
      const lengths = new Set(groups.map(({ length }) => length))
      // tfjs does not count complex numbers: the turns of rotary embedding.
      const turns = [...lengths].reduce((sum, N) => sum + 4 * 2 * N * (H + K) * headDim, 0)
      const held = turns + (await gradient(model, groups, recompute, sizes))
      // The plan leaves out lists of indices, one number for each row of queries, keys and values.
      const slack = 4 * 2 * ((H + 2 * K) * headDim + headDim)
      assert.ok(held >= planned && held <= planned + slack, `${JSON.stringify(groups)}: ${held}, planned ${planned}`)
    }
    model.dispose()
  }
})

// One process, whose peak only grows: what is measured comes in ascending order.
test('recomputation takes less of the process’s memory for each token, by what is planned', async () => {
  const model = await randomModel({
    ...BASE,
    hiddenSize: 128,
    intermediateSize: 256,
    numHiddenLayers: 8,
    numAttentionHeads: 4,
    headDim: 32,
  })
  const sizes = { groupTokens: 1e6 }
  const of = (sequences: number) => [{ sequences, length: 128, predicted: 2 * sequences }]
  const grown = async (recompute: boolean) => {
    await gradient(model, of(16), recompute, sizes)
    const before = peak()
    await gradient(model, of(64), recompute, sizes)
    return peak() - before
  }
  const planned = (recompute: boolean) => {
    const [small, large] = [16, 64].map((n) => activationBytes(model.config, of(n), blockSizes(sizes), recompute))
    return large!.kept + large!.working - small!.kept - small!.working
  }
  const recomputed = await grown(true)
  const whole = await grown(false)
  const text = `${[recomputed, planned(true), whole, planned(false)].map((n) => (n / 1e6).toFixed(0)).join(' ')} MB`
  assert.ok(whole > 2.2 * recomputed, text)
  assert.ok(Math.abs(whole / planned(false) - 1) < 0.25, text)
  assert.ok(recomputed < 1.25 * planned(true), text)
  model.dispose()
})

test('with a vocabulary of 150,000 the logits of a long response do not decide the memory', async () => {
  const vocabSize = 150_000
  const tokens = 1000
  const model = await randomModel({ ...BASE, vocabSize, numHiddenLayers: 1, maxPositionEmbeddings: 2048 })
  const before = process.memoryUsage().rss
  await gradient(model, [{ sequences: 1, length: tokens, predicted: tokens - 1 }], true)
  const text = `${((peak() - before) / 1e6).toFixed(0)} MB; all logits would be ${(tokens * vocabSize * 4e-6).toFixed(0)} MB`
  assert.ok(peak() - before < (tokens * vocabSize * 4) / 2, text)
  model.dispose()
})
