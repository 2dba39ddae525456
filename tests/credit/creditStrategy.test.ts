import assert from 'node:assert/strict'
import test from 'node:test'
import { creditOptions } from '../../lib/credit/creditOptions'
import { type CreditStrategy, creditOf, type ResponseRhythm } from '../../lib/credit/creditStrategy'
import { STRATEGIES } from '../../lib/credit/strategies'
import { topShare } from '../../lib/credit/topShare'

const rhythm: ResponseRhythm = {
  length: 4,
  waad: [1, 2, 3, 4],
  fai: [4, 3, 2, 0],
  faiValid: [true, true, true, false],
  delta: [1, 1, 1, null],
  entropy: [0, 1, 0, 2],
}

test('a strategy written by a user goes the way of the built-in ones', () => {
  const sparse: CreditStrategy = ({ length, fai, faiValid }, { amplification }) => {
    const anchors = new Set(topShare(fai, 0.1, { valid: faiValid }))
    return Float32Array.from({ length }, (_, t) => (anchors.has(t) ? amplification : 1))
  }
  assert.deepEqual(creditOf(sparse, rhythm, { amplification: 2 }), [2, 1, 1, 1])
})

test('what a strategy throws is passed on: gamma never silently stays 1', () => {
  const broken: CreditStrategy = () => {
    throw new Error('no heads today')
  }
  assert.throws(() => creditOf(broken, rhythm), /no heads today/)
})

test('a result that is not one finite, nonnegative gamma for each token is refused', () => {
  const returning = (value: unknown) => {
    const mine = () => value as number[]
    return () => creditOf(mine, rhythm)
  }
  assert.throws(returning([1, 1, 1]), /'mine' returned 3 gammas for 4 response tokens/)
  assert.throws(returning([1, Number.NaN, 1, 1]), /'mine' returned NaN at token 1/)
  assert.throws(returning([1, 1, -0.5, 1]), /returned -0.5 at token 2: expected a finite number of at least 0/)
  assert.throws(returning([1, 1, 1, Number.POSITIVE_INFINITY]), /Infinity at token 3/)
  assert.throws(returning([1, 1, 1, '1']), /returned 1 at token 3/)
  assert.throws(returning(undefined), /returned undefined: expected an array of 4 gammas/)
  assert.throws(returning(Promise.resolve([1, 1, 1, 1])), /expected an array of 4 gammas/)
  assert.throws(returning(new Array(4)), /undefined at token 0/)
})

test("normalize 'mean' divides by the mean over the response", () => {
  const gammas = creditOf(STRATEGIES['global-anchor'], rhythm, { normalize: 'mean', topShare: 0.3, amplification: 2 })
  assert.deepEqual(gammas, [1.6, 0.8, 0.8, 0.8])
  assert.throws(() => creditOf(() => [0, 0, 0, 0], rhythm, { normalize: 'mean' }), /only zeros/)
})

test('a rhythm with padding left in is refused', () => {
  assert.throws(
    () => creditOf(STRATEGIES.uniform, { ...rhythm, waad: [1, 2, 3, 4, 0] }),
    /4 response tokens has 5 values of waad/,
  )
  assert.throws(() => creditOf(STRATEGIES.uniform, { ...rhythm, entropy: [] }), /0 values of entropy/)
})

test('options out of range and unknown names are refused', () => {
  assert.throws(() => creditOptions({ topShare: 1.5 }), /topShare = 1.5: expected a share in \[0, 1\]/)
  assert.throws(() => creditOptions({ lookback: 0 }), /lookback = 0/)
  assert.throws(() => creditOptions({ alpha: Number.NaN }), /alpha = null/)
  assert.throws(() => creditOptions({ waadThreshold: { quantile: 2 } }), /waadThreshold/)
  assert.throws(() => creditOptions({ gamma: 2 } as object), /unknown credit option 'gamma': expected one of topShare/)
  assert.throws(() => creditOf(STRATEGIES.random, rhythm, {}, -1), /invalid seed -1/)
  assert.equal(creditOptions({ alpha: undefined }).alpha, 0.5)
})
