import assert from 'node:assert/strict'
import test from 'node:test'
import { alignToPredictor, distanceDrop, faiValidity, tokenStatistics } from '../../lib/rhythm/tokenSeries'
import { assertClose } from '../oracle/close'
import { ALL_TRACES, readReference, seriesError } from '../oracle/reference'

for (const name of ALL_TRACES)
  test(`${name}: distance drop and FAI's validity follow from the reference`, () => {
    const { analysis, rl } = readReference(name)
    for (const { waad, delta, faiValid, horizon } of [analysis, rl]) {
      assert.ok(seriesError(distanceDrop(waad), delta) < 1e-6)
      assert.deepEqual(faiValidity(waad.length, horizon), faiValid)
    }
  })

test('entropy and log-probability by hand: token t is produced by the logits at t - 1', () => {
  const logits = [
    [0, 0],
    [0, Math.log(3)],
    [0, 100],
  ]
  const { entropy, logprob } = tokenStatistics(logits, [0, 1, 0], 1)
  assertClose(entropy, [Math.log(2), -(0.25 * Math.log(0.25) + 0.75 * Math.log(0.75))])
  assertClose(logprob, [Math.log(0.5), Math.log(0.25)])
})

test('masked and huge logits stay finite', () => {
  const { entropy, logprob } = tokenStatistics([[1e4, 1e4, Number.NEGATIVE_INFINITY]], [0, 1], 1)
  assertClose(entropy, [Math.log(2)])
  assertClose(logprob, [-Math.log(2)])
})

test('aligned to the predictor, value t belongs to token t + 1', () => {
  assert.deepEqual(alignToPredictor([1, 2, 3]), [2, 3, null])
  assert.deepEqual(alignToPredictor([1]), [null])
})

test('what does not fit is refused', () => {
  assert.throws(() => tokenStatistics([[0]], [0, 0], 0), /invalid prompt length 0/)
  assert.throws(() => tokenStatistics([[0, 0]], [0, 2], 1), /token id 2 at position 1 is outside the vocabulary of 2/)
  assert.throws(() => tokenStatistics([[0]], [0, 0, 0], 1), /1 rows of logits for 3 tokens/)
})
