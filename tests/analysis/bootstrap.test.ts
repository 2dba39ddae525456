import assert from 'node:assert/strict'
import test from 'node:test'
import { bootstrapSums, liftOf, ratio } from '../../lib/analysis/bootstrap'
import { randomStream } from '../../lib/random/randomStream'
import { near } from './syntheticTraces'

const mean = (sums: Float64Array) => [ratio(sums[1]!, sums[0]!)]

test('by hand: of two traces with 0 and 1 the mean is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4', () => {
  const vectors = [
    [1, 0],
    [1, 1],
  ]
  const [wide] = bootstrapSums([vectors], mean, { level: 0.95 })
  assert.deepEqual(wide, { value: 0.5, low: 0, high: 1 })
  // A quarter of the replicates lies on either side: the middle 40 % is at 1/2.
  const [narrow] = bootstrapSums([vectors], mean, { level: 0.4 })
  assert.deepEqual(narrow, { value: 0.5, low: 0.5, high: 0.5 })
})

test('the interval of a mean of 40 normal numbers covers the truth in about 95 % of 300 sets', () => {
  let covered = 0
  for (let set = 0; set < 300; set++) {
    const random = randomStream(11, set)
    const vectors = Array.from({ length: 40 }, () => [1, random.normal()])
    const { low, high } = bootstrapSums([vectors], mean, { replicates: 400, seed: set })[0]!
    if (low! <= 0 && high! >= 0) covered++
  }
  // Binomial(300, 0.95) has a standard deviation of 3.8; the percentile interval of 40 values is about 1.5 points too narrow.
  assert.ok(covered >= 300 * 0.935 - 3 * 3.8 && covered <= 299, `${covered} of 300`)
})

test('the same seed gives the same interval, another seed another', () => {
  const vectors = Array.from({ length: 20 }, (_, i) => [1, Math.sin(i)])
  const run = (seed: number) => bootstrapSums([vectors], mean, { seed })
  assert.deepEqual(run(3), run(3))
  assert.notDeepEqual(run(3), run(4))
})

test('groups are drawn independently, each to its own size', () => {
  // Ten traces of [1, 0, 0] and five of [0, 1, 2]: every replicate has ten of the one and five of the other.
  const groups = [Array.from({ length: 10 }, () => [1, 0, 0]), Array.from({ length: 5 }, () => [0, 1, 2])]
  const [first, second, sum] = bootstrapSums(groups, (sums) => [...sums])
  assert.deepEqual(first, { value: 10, low: 10, high: 10 })
  assert.deepEqual(second, { value: 5, low: 5, high: 5 })
  assert.deepEqual(sum, { value: 10, low: 10, high: 10 })
})

test('one trace, no trace, an undefined statistic: no interval, never NaN', () => {
  assert.deepEqual(bootstrapSums([[[1, 2]]], mean), [{ value: 2, low: null, high: null }])
  assert.deepEqual(bootstrapSums([[]], mean), [{ value: null, low: null, high: null }])
  // Two of three traces lack the value: (2/3)³ = 30 % of the replicates are undefined.
  const rare = [
    [0, 0],
    [0, 0],
    [1, 4],
  ]
  assert.deepEqual(bootstrapSums([rare], mean), [{ value: 4, low: null, high: null }])
})

test('ratios and lifts', () => {
  near(liftOf(0.6084, 0.2241), 1.7149, 1e-4)
  near(liftOf(0.3608, 0.2386), 0.512, 2e-4)
  assert.equal(liftOf(1, 0), null)
  assert.equal(liftOf(null, 1), null)
  assert.equal(ratio(1, 0), null)
})

test('options out of range are refused', () => {
  assert.throws(() => bootstrapSums([[[1, 1]]], mean, { replicates: 0 }), /replicates 0/)
  assert.throws(() => bootstrapSums([[[1, 1]]], mean, { level: 1 }), /level 1/)
  assert.throws(() => bootstrapSums([[[1, 1]]], mean, { draws: 3 } as never), /unknown bootstrap option 'draws'/)
})
