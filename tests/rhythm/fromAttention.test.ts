import assert from 'node:assert/strict'
import test from 'node:test'
import {
  futureInfluence,
  lookbackDistance,
  rhythmFromAttention,
  sentenceAttention,
  windowedDistance,
  withoutSink,
} from '../../lib/rhythm/fromAttention'
import { groupMean } from '../../lib/rhythm/headGroups'
import { faiSeries, type Head, waadSeries } from '../../lib/rhythm/headSeries'
import { distanceDrop, faiValidity } from '../../lib/rhythm/tokenSeries'
import { assertClose } from '../oracle/close'
import { randomAttention, randomPatterns } from '../oracle/randomAttention'

/** Six tokens, the first two of them the prompt. */
const A = [
  [1],
  [0.5, 0.5],
  [0.6, 0.2, 0.2],
  [0.1, 0.2, 0.3, 0.4],
  [0.2, 0.2, 0.2, 0.2, 0.2],
  [0.5, 0, 0.1, 0.1, 0.1, 0.2],
]

test('Eq. 7 by hand: look-back distances, and the span over response rows only', () => {
  assertClose(lookbackDistance(A, 2), [1.4, 1.0, 2.0, 3.1])
  assertClose(rhythmFromAttention([[A]], 2).span, [7.5 / 4])
})

test('Eq. 9 by hand: WAAD with W = 2, and its distance drop', () => {
  const waad = windowedDistance(A, 2, 2)
  assertClose(waad, [1.4, 0.9, 1.4, 1.5])
  assertClose(distanceDrop(waad), [0.5, 0.5, 0.1, null])
})

test('Eq. 10 by hand: FAI over the whole rest, a closed horizon, and one that runs out of rows', () => {
  assertClose(futureInfluence(A, 2, [0, null]), [0.2, 0.7 / 3, 0.15, 0.2])
  assertClose(futureInfluence(A, 2, [1, 2]), [0.25, 0.15, 0.1, 0])
  assertClose(futureInfluence(A, 2, [2, null]), [0.15, 0.1, 0, 0])
  assert.deepEqual(faiValidity(4, [2, null]), [true, true, false, false])
  assert.deepEqual(faiValidity(4, [0, 50]), [true, true, true, true])
  assert.deepEqual(faiValidity(4, [10, 100]), [false, false, false, false])
})

test('inbound attention by hand: strictly later rows, 0 at the last token', () => {
  assertClose(rhythmFromAttention([[A]], 2).inbound, [0.2, 0.15, 0.1, 0])
})

test('attention between sentences by hand, over prompt and response', () => {
  const means = sentenceAttention(A, [0, 2, 4])
  assertClose(means.flat(), [0.5, 0, 0, 0.275, 0.225, 0, 0.225, 0.15, 0.125])
  const series = rhythmFromAttention([[A]], 2, { sentenceStarts: [0, 2, 4] })
  assertClose(series.sentences!.values, means.flat())
  assert.throws(() => rhythmFromAttention([[A]], 2, { sentenceStarts: [1, 2] }), /invalid sentence starts/)
  assert.throws(() => rhythmFromAttention([[A]], 2, { sentenceStarts: [0, 6] }), /invalid sentence starts/)
})

test('the sink by hand: position 0 left out, rows renormalised', () => {
  const rest = withoutSink(A)
  assertClose(rest[2]!, [0, 0.5, 0.5])
  assertClose(rest[3]!, [0, 2 / 9, 3 / 9, 4 / 9])
  assertClose(rest[5]!, [0, 0, 0.2, 0.2, 0.2, 0.4])
  assertClose(rest[0]!, [0])
  const series = rhythmFromAttention([[A]], 2, { excludeSink: true, windows: [2] })
  assert.equal(series.sinkExcluded, true)
  // Row 2: 0.5 * 1; row 3: 2/9 * 2 + 3/9 * 1; row 4: (3 + 2 + 1) / 4; row 5: 0.2 * (3 + 2 + 1).
  assertClose(series.lookback, [0.5, 7 / 9, 1.5, 1.2])
  assertClose(waadSeries(series, 2) as Float64Array, [0.5, 7 / 9, 1.25, 1.0])
})

test('property: series of the mean pattern are the mean of the series (Eq. 8 is linear)', () => {
  const patterns = randomPatterns(2, 3, 40, 11)
  const series = rhythmFromAttention(patterns, 9, { windows: [10], horizons: [[3, 12]] })
  const heads: Head[] = [
    [0, 0],
    [0, 2],
    [1, 1],
  ]
  const mean = patterns[0]![0]!.map((row, t) =>
    row.map((_, s) => heads.reduce((sum, [l, h]) => sum + patterns[l]![h]![t]![s]!, 0) / 3),
  )
  assertClose(groupMean(series, waadSeries(series, 10), heads), windowedDistance(mean, 9, 10))
  assertClose(groupMean(series, faiSeries(series, [3, 12]), heads), futureInfluence(mean, 9, [3, 12]))
  assertClose(groupMean(series, series.lookback, heads), lookbackDistance(mean, 9))
})

test('property: WAAD needs only the last W diagonals, and without a window it is the look-back distance', () => {
  for (let seed = 0; seed < 20; seed++) {
    const attention = randomAttention(30, seed)
    const waad = windowedDistance(attention, 5, 7)
    const diagonals = waad.map((_, i) => {
      const row = attention[i + 5]!
      let value = 7
      for (let d = 0; d < 7; d++) value -= (7 - d) * (row[i + 5 - d] ?? 0)
      return value
    })
    assertClose(waad, diagonals)
    assertClose(windowedDistance(attention, 5, 1000), lookbackDistance(attention, 5))
    assert.ok(waad.every((value) => value >= 0 && value <= 7))
  }
})

test('property: FAI of all rows, weighted by their number, adds up to the attention that stays in the response', () => {
  const attention = randomAttention(25, 3)
  const fai = futureInfluence(attention, 5, [0, null])
  const weighted = fai.reduce((sum, value, i) => sum + value * (20 - i), 0)
  const inside = attention.slice(5).reduce((sum, row) => sum + row.slice(5).reduce((a, b) => a + b, 0), 0)
  assertClose([weighted], [inside])
})

test('left padding shifts rows and columns and changes nothing', () => {
  const padding = 3
  const padded = [
    ...Array.from({ length: padding }, (_, t) => new Array<number>(t + 1).fill(9)),
    ...A.map((row) => [...new Array<number>(padding).fill(9), ...row]),
  ]
  const options = { windows: [2, 10], horizons: [[1, 2]] as [number, number][], sentenceStarts: [0, 2] }
  assert.deepEqual(rhythmFromAttention([[padded]], 2, { ...options, padding }), rhythmFromAttention([[A]], 2, options))
})

test('what does not fit is refused', () => {
  assert.throws(() => rhythmFromAttention([[A]], 0), /invalid prompt length 0 for 6 tokens/)
  assert.throws(() => rhythmFromAttention([[A]], 6), /invalid prompt length 6/)
  assert.throws(() => rhythmFromAttention([], 1), /no heads/)
  assert.throws(() => rhythmFromAttention([[A], [A, A]], 2), /same number of heads/)
  assert.throws(() => rhythmFromAttention([[A, A.slice(1)]], 2), /one sequence/)
  const series = rhythmFromAttention([[A]], 2, { windows: [5], horizons: [[0, 50]] })
  assert.throws(() => waadSeries(series, 10), /no WAAD series for window 10: these head series have 5/)
  assert.throws(() => faiSeries(series, [0, null]), /no FAI series for horizon 0-end: these head series have 0-50/)
})
