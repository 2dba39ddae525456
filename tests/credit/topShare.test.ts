import assert from 'node:assert/strict'
import test from 'node:test'
import { topShare } from '../../lib/credit/topShare'
import { randomStream } from '../../lib/random/randomStream'

test('exactly ceil(q n) of the valid tokens, ties to the earlier', () => {
  assert.deepEqual(topShare([3, 1, 3, 2, 3], 0.4), [0, 2])
  assert.deepEqual(topShare([3, 1, 3, 2, 3], 0.5), [0, 2, 4])
  assert.deepEqual(topShare([3, 1, 1, 2, 3], 0.4, { end: 'bottom' }), [1, 2])
  assert.deepEqual(topShare([5], 0.1), [0])
  assert.deepEqual(topShare([5, 6], 0), [])
  assert.deepEqual(topShare([5, 6], 1), [0, 1])
})

test('undefined tokens neither count nor are chosen', () => {
  assert.deepEqual(topShare([1, 2, null, 9], 0.5, { valid: [true, true, true, false] }), [1])
  assert.deepEqual(topShare([null], 0.4), [])
  assert.deepEqual(topShare([0.1, 0.2], 1, { valid: [false, false] }), [])
  assert.throws(() => topShare([1, Number.NaN], 0.4), /value of token 1 is NaN/)
  assert.deepEqual(topShare([1, Number.NaN], 0.4, { valid: [true, false] }), [0])
})

test('a short response or a tail of zeros does not select every token', () => {
  // A threshold at the 60 % quantile, which is 0 here, would take all five.
  assert.deepEqual(topShare([0, 0, 0, 0, 7], 0.4), [0, 4])
  assert.deepEqual(topShare([2, 2, 2], 0.4), [0, 1])
})

test('properties, fuzzed: size, order, nothing left out is larger, top and bottom mirror each other', () => {
  const { below, uniform } = randomStream(1)
  for (let round = 0; round < 300; round++) {
    const values = Array.from({ length: 1 + below(30) }, () => (uniform() < 0.1 ? null : below(8)))
    const percent = below(101)
    const valid = values.flatMap((value, t) => (value === null ? [] : [t]))
    const chosen = topShare(values, percent / 100)
    assert.equal(chosen.length, Math.ceil((percent * valid.length) / 100))
    assert.ok(chosen.every((t, i) => values[t] !== null && (i === 0 || t > chosen[i - 1]!)))
    for (const out of valid.filter((t) => !chosen.includes(t)))
      for (const t of chosen) assert.ok(values[t]! > values[out]! || (values[t] === values[out] && t < out))
    const negated = values.map((value) => (value === null ? null : -value))
    assert.deepEqual(topShare(negated, percent / 100, { end: 'bottom' }), chosen)
  }
})
