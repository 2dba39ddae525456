import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { groupAdvantages, shapeAdvantages } from '../../lib/credit/advantages'
import { rhythmOptions } from '../../lib/credit/rhythmOptions'
import { strategyNamed } from '../../lib/credit/strategies'
import { openWeights } from '../../lib/model/openWeights'
import { readWeights, storedWeights } from '../../lib/model/weights'
import { AdamW } from '../../lib/training/adamw'
import { assignCredit, calibrate } from '../../lib/training/assignCredit'
import { accumulateGradients } from '../../lib/training/gradients/accumulateGradients'
import { Gradients } from '../../lib/training/gradients/gradients'
import { grpoLoss, lossNormalizer } from '../../lib/training/grpoLoss'
import { scoredTogether, scoreResponses } from '../../lib/training/scoreResponses'
import { assertClose } from '../oracle/close'
import { REFERENCE } from '../oracle/reference'
import { asOnGpu } from '../support/asOnGpu'

interface Response {
  prompt: number
  ids: number[]
  promptLength: number
  reward: number
  advantage: number
  waad: number[]
  fai: number[]
  faiValid: boolean[]
  coupledCredit: number[]
  entropy: number[]
  logprob: number[]
  staleLogprob: number[]
}
interface Case {
  credit: 'uniform' | 'coupled'
  oldLogprob: 'logprob' | 'staleLogprob'
  aggregate: 'token' | 'sequence'
  loss: number
  gradientNorm: number
  gradientNorms: Record<string, number>
  parameterNormsAfterAdamW: Record<string, number>
  updateNorms: Record<string, number>
}
const FOLDER = join(REFERENCE, 'tiny-llama')
const reference = JSON.parse(readFileSync(join(FOLDER, 'grpo.json'), 'utf8')) as {
  clip: number
  rewards: number[][]
  advantages: number[]
  advantagesSampleStd: number[]
  layers: number[]
  localHeads: [number, number][]
  globalHeads: [number, number][]
  responses: Response[]
  cases: Case[]
}
const { responses } = reference

async function tinyDecoder() {
  const source = await openWeights(FOLDER)
  try {
    return { config: source.config, weights: await readWeights(source) }
  } finally {
    await source.close()
  }
}
const normsOf = (stored: ReturnType<typeof storedWeights>, minus?: Map<string, Float32Array>) =>
  Object.fromEntries(
    stored.map(({ name, load }) => {
      const before = minus?.get(name)
      return [name, Math.sqrt(load().reduce((sum, v, i) => sum + (v - (before?.[i] ?? 0)) ** 2, 0))]
    }),
  )
/** Within a ten-thousandth of the reference. */
function near(actual: number, expected: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= 1e-4 * Math.abs(expected), `${what}: ${actual}, expected ${expected}`)
}

test('group advantages, population and sample', () => {
  for (const [std, expected] of [
    ['population', reference.advantages],
    ['sample', reference.advantagesSampleStd],
  ] as const)
    assertClose(
      reference.rewards.flatMap((rewards) => groupAdvantages(rewards, std).advantages),
      expected,
      1e-9,
    )
})

test('the old policy’s pass: log-probabilities, entropy, calibrated head groups, rhythm and coupled credit', async () => {
  const decoder = await tinyDecoder()
  const options = rhythmOptions()
  const scored = await scoreResponses(decoder, responses, { batch: 3, rhythm: options })
  const groups = calibrate(
    scored.map((s) => s.series!),
    options,
  )
  assert.deepEqual(groups, { local: reference.localHeads, global: reference.globalHeads })
  const assigned = assignCredit(
    scored,
    strategyNamed('coupled'),
    options,
    groups,
    responses.map((_, i) => i),
  )
  for (const [i, expected] of responses.entries()) {
    assertClose(scored[i]!.logprob, expected.logprob, 1e-4, `logprob ${i}`)
    assertClose(scored[i]!.entropy, expected.entropy, 1e-4, `entropy ${i}`)
    const { rhythm, gammas } = assigned.responses[i]!
    assertClose(rhythm.waad, expected.waad, 1e-4, `WAAD ${i}`)
    assertClose(rhythm.fai, expected.fai, 1e-5, `FAI ${i}`)
    assert.deepEqual(rhythm.faiValid, expected.faiValid)
    assertClose(gammas, expected.coupledCredit, 1e-12, `gamma ${i}`)
  }
})

for (const expected of reference.cases) {
  const { credit, oldLogprob, aggregate } = expected
  test(`${credit} credit, ${oldLogprob} as old, by ${aggregate}: loss, every gradient norm, norms after AdamW`, async () => {
    const decoder = await tinyDecoder()
    const gradients = new Gradients(decoder.weights)
    const lengths = responses.map(({ ids, promptLength }) => ids.length - promptLength)
    const normalizer = lossNormalizer(lengths, 256)
    let loss = 0
    // Two micro-batches: they must add up to the whole.
    for (const part of [responses.slice(0, 3), responses.slice(3)])
      await accumulateGradients(
        decoder,
        { sequences: part.map(({ ids }) => ids), promptLengths: part.map(({ promptLength }) => promptLength) },
        (statistics) => {
          const advantages = part.map(({ coupledCredit, logprob, advantage }) =>
            shapeAdvantages(credit === 'coupled' ? coupledCredit : logprob.map(() => 1), advantage),
          )
          const old = part.map((response) => response[oldLogprob])
          const result = grpoLoss(statistics, { oldLogprob: old, advantages }, normalizer, {
            clipLow: reference.clip,
            clipHigh: reference.clip,
            aggregate,
          })
          loss += result.loss
          return result.gradient
        },
        gradients,
      )
    assertClose([loss], [expected.loss], 1e-6, 'loss')
    near(gradients.globalNorm(), expected.gradientNorm, 'gradient norm')
    const gradientNorms = normsOf(storedWeights(decoder.config, gradients.asWeights()))
    assert.deepEqual(Object.keys(gradientNorms).sort(), Object.keys(expected.gradientNorms).sort())
    for (const [name, norm] of Object.entries(expected.gradientNorms))
      near(gradientNorms[name]!, norm, `gradient of ${name}`)

    const before = new Map(
      storedWeights(decoder.config, decoder.weights).map(({ name, load }) => [name, load().slice()]),
    )
    const optimizer = new AdamW()
    optimizer.step(gradients.entries(), 1e-3)
    const after = storedWeights(decoder.config, decoder.weights)
    for (const [name, norm] of Object.entries(normsOf(after)))
      near(norm, expected.parameterNormsAfterAdamW[name]!, `${name} after AdamW`)
    for (const [name, norm] of Object.entries(normsOf(after, before)))
      near(norm, expected.updateNorms[name]!, `update of ${name}`)
    optimizer.dispose()
    gradients.dispose()
  })
}

test('responses that are scored together: similar lengths, up to so many tokens with padding, at least one', () => {
  const lengths = [900, 500, 400, 400, 100, 2000]
  const together = (scoredTokens: number | null) => scoredTogether([5, 0, 1, 2, 3, 4], lengths, { scoredTokens })
  assert.deepEqual(together(null), [[5, 0, 1, 2, 3, 4]])
  assert.deepEqual(together(1000), [[5], [0], [1, 2], [3, 4]])
  assert.deepEqual(together(4000), [
    [5, 0],
    [1, 2, 3, 4],
  ])
})

test('the code that a GPU takes gives responses the same scores', async () => {
  const decoder = await tinyDecoder()
  const sequences = responses.map(({ ids, promptLength }) => ({ ids, promptLength }))
  const options = { batch: 4, temperature: 0.7, rhythm: rhythmOptions() }
  const here = await scoreResponses(decoder, sequences, options)
  const longest = Math.max(...sequences.map(({ ids }) => ids.length))
  for (const scoredTokens of [undefined, 2 * longest, 1]) {
    const there = await asOnGpu(() => scoreResponses(decoder, sequences, { ...options, sizes: { scoredTokens } }))
    for (const [i, { logprob, entropy, series }] of here.entries()) {
      assertClose(there[i]!.logprob, logprob, 5e-5)
      assertClose(there[i]!.entropy, entropy, 5e-5)
      // Tokens, up to 10.
      assertClose(there[i]!.series!.waad[0]!.values, series!.waad[0]!.values, 1e-4)
      assertClose(there[i]!.series!.fai[0]!.values, series!.fai[0]!.values, 1e-5)
    }
  }
})
