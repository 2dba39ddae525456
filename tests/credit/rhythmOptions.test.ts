import assert from 'node:assert/strict'
import test from 'node:test'
import { requiredSeries, rhythmOptions } from '../../lib/credit/rhythmOptions'

test("the presets hold the method's numbers", () => {
  const v2 = rhythmOptions()
  assert.deepEqual(
    [v2.analysis.horizon, v2.rl.horizon, v2.rl.window, v2.credit.sign],
    [[0, null], [10, 100], 10, 'both'],
  )
  const v1 = rhythmOptions({}, 'v1')
  assert.deepEqual([v1.analysis.horizon, v1.rl.horizon, v1.credit.sign], [[0, null], [10, 50], 'nonnegative'])
  assert.deepEqual({ ...v1, rl: v2.rl, credit: v2.credit }, v2)
})

test('what is given replaces the preset, the rest stays, and the preset is not touched', () => {
  const options = rhythmOptions({
    rl: { window: 5, layers: [2, 3] },
    credit: { alpha: 0.25 },
    peakShares: { fai: 0.1 },
  })
  assert.equal(options.rl.window, 5)
  assert.equal(options.analysis.window, 10)
  assert.deepEqual(options.rl.horizon, [10, 100])
  assert.equal(options.credit.alpha, 0.25)
  assert.equal(options.credit.lookback, 3)
  assert.deepEqual(options.peakShares, { waad: 0.184, fai: 0.1 })
  assert.equal(rhythmOptions().rl.window, 10)
  assert.deepEqual(rhythmOptions(JSON.parse(JSON.stringify(options))), options)
})

test('the series that a forward pass must keep, each once', () => {
  assert.deepEqual(requiredSeries(rhythmOptions()), {
    windows: [10],
    horizons: [
      [0, null],
      [10, 100],
    ],
    sentences: false,
    excludeSink: false,
  })
  const options = rhythmOptions({
    rl: { window: 5, horizon: [0, null] },
    receiver: { horizon: [3, 9], variant: 'sentence' },
    excludeSink: true,
  })
  assert.deepEqual(requiredSeries(options), {
    windows: [10, 5],
    horizons: [
      [0, null],
      [3, 9],
    ],
    sentences: true,
    excludeSink: true,
  })
})

test('values out of range and unknown names are refused by their path', () => {
  const refuse = (given: object, message: RegExp) => assert.throws(() => rhythmOptions(given), message)
  refuse({ rl: { window: 0 } }, /invalid options\.rl\.window 0: expected a whole number/)
  refuse({ rl: { horizon: [10, 5] } }, /options\.rl\.horizon \[10,5\]/)
  refuse({ rl: { horizon: 10 } }, /options\.rl\.horizon 10/)
  refuse({ analysis: { headShare: 0 } }, /options\.analysis\.headShare 0/)
  refuse({ analysis: { headChoice: 'some' } }, /options\.analysis\.headChoice "some"/)
  refuse({ analysis: { layers: 'upper' } }, /options\.analysis\.layers "upper": expected all, bottom/)
  refuse({ receiver: { count: 0 } }, /options\.receiver\.count 0/)
  refuse({ receiver: { variant: 'word' } }, /options\.receiver\.variant "word"/)
  refuse({ peakShares: { waad: 2 } }, /options\.peakShares\.waad 2/)
  refuse({ prominences: [-1] }, /options\.prominences\[0\] -1/)
  refuse({ strategies: ['couple'] }, /unknown credit strategy 'couple'/)
  refuse({ seed: 0.5 }, /options\.seed 0\.5/)
  refuse({ credit: { topShare: 7 } }, /topShare = 7/)
  refuse({ window: 5 }, /unknown option 'options\.window': expected one of analysis, rl/)
  refuse({ rl: { hhi: 5 } }, /unknown option 'options\.rl\.hhi'/)
  assert.throws(() => rhythmOptions({}, 'v3' as 'v2'), /unknown preset 'v3': expected v2 or v1/)
})
