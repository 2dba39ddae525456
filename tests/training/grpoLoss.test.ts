import assert from 'node:assert/strict'
import test from 'node:test'
import {
  addSums,
  type GrpoLossOptions,
  type GrpoResponses,
  grpoLoss,
  lossNormalizer,
  noSums,
  type ResponseStatistics,
  supervisedLoss,
} from '../../lib/training/grpoLoss'
import { assertClose } from '../oracle/close'

const f32 = (...rows: number[][]) => rows.map((row) => Float32Array.from(row))
const log = Math.log

test('the clipped objective, by hand: each bound holds on its own side only', () => {
  // Ratios 1.5, 0.5, 1.5, 0.5 with advantages 1, 1, -1, -1; clip 0.2 below, 0.3 above.
  const statistics = { logprob: f32([log(1.5), log(0.5), log(1.5), log(0.5)]), entropy: f32([1, 1, 1, 1]) }
  const responses = { oldLogprob: [[0, 0, 0, 0]], advantages: [[1, 1, -1, -1]] }
  const { loss, gradient, sums } = grpoLoss(statistics, responses, lossNormalizer([4], 10), {
    clipLow: 0.2,
    clipHigh: 0.3,
  })
  // -min(1.5, 1.3), -min(0.5, 0.8), -min(-1.5, -1.3), -min(-0.5, -0.8)
  assertClose([loss], [(-1.3 - 0.5 + 1.5 + 0.8) / 4], 1e-6)
  assertClose(Array.from(gradient.logprob[0]!), [0, -0.5 / 4, 1.5 / 4, 0], 1e-6)
  assert.deepEqual([sums.clippedLow, sums.clippedHigh, sums.tokens, sums.responses], [1, 1, 4, 1])
  assertClose([sums.oldKl], [-2 * log(1.5) - 2 * log(0.5)], 1e-6)
})

test('aggregation by token, by sequence and as Dr. GRPO, by hand', () => {
  // Ratio 1 everywhere: the loss of a token is -A.
  const statistics = { logprob: f32([0], [0, 0, 0]), entropy: f32([0], [0, 0, 0]) }
  const responses = { oldLogprob: [[0], [0, 0, 0]], advantages: [[1], [-2, -2, -2]] }
  const normalizer = lossNormalizer([1, 3], 8)
  const of = (aggregate: GrpoLossOptions['aggregate']) => grpoLoss(statistics, responses, normalizer, { aggregate })
  assertClose([of('token').loss], [(-1 + 6) / 4], 1e-9)
  assertClose([of('sequence').loss], [(-1 + 2) / 2], 1e-9)
  assertClose([of('dr-grpo').loss], [(-1 + 6) / (2 * 8)], 1e-9)
  assertClose(Array.from(of('sequence').gradient.logprob[1]!), [1 / 3, 1 / 3, 1 / 3], 1e-6)
})

test('KL to a reference is the k3 estimate, the entropy bonus lowers the loss, by hand', () => {
  const statistics = { logprob: f32([-1, -2]), entropy: f32([0.5, 0.7]) }
  const responses = { oldLogprob: [[-1, -2]], advantages: [[0, 0]], referenceLogprob: [[-1.5, -1]] }
  const options = { klCoefficient: 0.1, entropyCoefficient: 0.01 }
  const { loss, gradient, sums } = grpoLoss(statistics, responses, lossNormalizer([2], 2), options)
  const kl = [Math.exp(-0.5) + 0.5 - 1, Math.exp(1) - 1 - 1]
  assertClose([loss], [(0.1 * (kl[0]! + kl[1]!) - 0.01 * 1.2) / 2], 1e-6)
  assertClose(Array.from(gradient.logprob[0]!), [0.05 * (1 - Math.exp(-0.5)), 0.05 * (1 - Math.exp(1))], 1e-6)
  assertClose(Array.from(gradient.entropy![0]!), [-0.005, -0.005], 1e-6)
  assertClose([sums.referenceKl], [kl[0]! + kl[1]!], 1e-6)
})

const random = (() => {
  let state = 1
  return () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
})()

function randomBatch(lengths: number[]): { statistics: ResponseStatistics; responses: GrpoResponses } {
  const rows = (low: number, high: number) =>
    lengths.map((n) => Array.from({ length: n }, () => low + (high - low) * random()))
  const logprob = rows(-3, -0.1)
  const near = (spread: number) => logprob.map((row) => row.map((v) => v + spread * (random() - 0.5)))
  return {
    statistics: { logprob: f32(...logprob), entropy: f32(...rows(0, 2)) },
    responses: { oldLogprob: near(1.2), advantages: rows(-2, 2), referenceLogprob: near(1) },
  }
}

test('the gradient is that of the loss (central differences), for every aggregation with all terms', () => {
  const { statistics, responses } = randomBatch([3, 5, 1])
  const normalizer = lossNormalizer([3, 5, 1], 7)
  for (const aggregate of ['token', 'sequence', 'dr-grpo'] as const) {
    const options = { aggregate, clipLow: 0.15, clipHigh: 0.3, klCoefficient: 0.2, entropyCoefficient: 0.05 }
    const { gradient } = grpoLoss(statistics, responses, normalizer, options)
    for (const kind of ['logprob', 'entropy'] as const)
      for (const [i, row] of statistics[kind].entries())
        for (let t = 0; t < row.length; t++) {
          const at = (offset: number) => {
            // Doubles, so that small differences are not lost; the function takes any array of numbers.
            const moved = statistics[kind].map((r) => Float64Array.from(r)) as unknown as Float32Array[]
            moved[i]![t]! += offset
            return grpoLoss({ ...statistics, [kind]: moved }, responses, normalizer, options).loss
          }
          assertClose([gradient[kind]![i]![t]!], [(at(1e-5) - at(-1e-5)) / 2e-5], 1e-5)
        }
  }
})

test('parts with the batch’s normaliser add up to the batch', () => {
  const lengths = [4, 2, 6, 3]
  const { statistics, responses } = randomBatch(lengths)
  const normalizer = lossNormalizer(lengths, 9)
  for (const aggregate of ['token', 'sequence', 'dr-grpo'] as const) {
    const options = { aggregate, klCoefficient: 0.1 }
    const whole = grpoLoss(statistics, responses, normalizer, options)
    const sums = noSums()
    let loss = 0
    const rows: number[][] = []
    for (const [from, to] of [
      [0, 1],
      [1, 4],
    ] as const) {
      const cut = <T>(of: readonly T[]) => of.slice(from, to)
      const part = grpoLoss(
        { logprob: cut(statistics.logprob), entropy: cut(statistics.entropy) },
        {
          oldLogprob: cut(responses.oldLogprob),
          advantages: cut(responses.advantages),
          referenceLogprob: cut(responses.referenceLogprob!),
        },
        normalizer,
        options,
      )
      loss += part.loss
      addSums(sums, part.sums)
      rows.push(...part.gradient.logprob.map((row) => Array.from(row)))
    }
    assertClose([loss], [whole.loss], 1e-9)
    assert.deepEqual(
      rows,
      whole.gradient.logprob.map((row) => Array.from(row)),
    )
    assertClose(Object.values(sums), Object.values(whole.sums), 1e-9)
  }
})

test('a response that is left out counts in no mean and has no gradient', () => {
  const { statistics, responses } = randomBatch([2, 5])
  const included = [true, false]
  const masked = grpoLoss(statistics, { ...responses, included }, lossNormalizer([2, 5], 9, included))
  const alone = grpoLoss(
    { logprob: statistics.logprob.slice(0, 1), entropy: statistics.entropy.slice(0, 1) },
    { oldLogprob: responses.oldLogprob.slice(0, 1), advantages: responses.advantages.slice(0, 1) },
    lossNormalizer([2], 9),
  )
  assertClose([masked.loss], [alone.loss], 1e-12)
  assert.deepEqual(masked.sums, alone.sums)
  assert.ok(masked.gradient.logprob[1]!.every((value) => value === 0))
})

test('supervised loss: minus the mean log-probability of response tokens, over the whole batch’s tokens', () => {
  const { loss, gradient } = supervisedLoss({ logprob: f32([-1, -2], [-3]), entropy: [] }, { tokens: 4 })
  assertClose([loss], [6 / 4], 1e-9)
  assert.deepEqual(
    gradient.logprob.map((row) => Array.from(row)),
    [[-0.25, -0.25], [-0.25]],
  )
})

test('arrays that do not belong together, and options out of range, are refused by name', () => {
  const statistics = { logprob: f32([0, 0]), entropy: f32([0, 0]) }
  const normalizer = lossNormalizer([2], 2)
  assert.throws(
    () => grpoLoss(statistics, { oldLogprob: [[0]], advantages: [[1, 1]] }, normalizer),
    /response 0 has 2 tokens and 1 old/,
  )
  const fine = { oldLogprob: [[0, 0]], advantages: [[1, 1]] }
  assert.throws(() => grpoLoss(statistics, fine, normalizer, { klCoefficient: 1 }), /no reference log-probabilities/)
  assert.throws(() => grpoLoss(statistics, fine, normalizer, { clipLow: -1 }), /invalid clipLow -1/)
  assert.throws(() => grpoLoss(statistics, fine, normalizer, { clipLow: 1.5 }), /at most 1/)
})
