import assert from 'node:assert/strict'
import test from 'node:test'
import { measureTraces } from '../../lib/analysis/measureTraces'
import { FIXED_PROMINENCE, PAPER_SHARES } from '../../lib/analysis/peakMode'
import { prominenceSweep } from '../../lib/analysis/prominenceSweep'
import { type Table2Row, table2 } from '../../lib/analysis/table2'
import { near, plantedTrace, randomTraces, spikes } from './syntheticTraces'

const measured = async (traces: ReturnType<typeof plantedTrace>[]) =>
  (await measureTraces(() => traces, { base: {} })).base!

const rowOf = (rows: readonly Table2Row[], row: number, alignment: string | null = row === 1 ? 'own token' : null) =>
  rows.find((r) => r.row === row && r.alignment === alignment)!

// 100 tokens, nine WAAD peaks, six FAI peaks (11, 21, 31 lie one after a WAAD peak), four receiver peaks (three at FAI peaks).
const WAAD = [10, 20, 30, 40, 50, 60, 70, 80, 90]
const FAI = [11, 21, 31, 45, 55, 65]
const RECEIVER = [11, 21, 45, 75]
const handTrace = plantedTrace({
  id: 'hand',
  waad: spikes(100, WAAD),
  fai: spikes(100, FAI),
  receiver: spikes(100, RECEIVER),
  entropy: Array.from({ length: 100 }, (_, t) => (WAAD.includes(t) ? 3 : WAAD.includes(t - 1) ? 2 : 1)),
})
// 20 tokens, one peak of each kind; the FAI peak is at the WAAD peak.
const shortTrace = plantedTrace({
  id: 'short',
  waad: spikes(20, [5]),
  fai: spikes(20, [5]),
  receiver: spikes(20, [7]),
  entropy: new Array(20).fill(0.5),
})

test('by hand: the three rows of one trace, row 1 in both alignments', async () => {
  const rows = table2(await measured([handTrace]), 'hand', { peakModes: [FIXED_PROMINENCE], shuffles: 10 })
  const own = rowOf(rows, 1)
  // Entropies: nine 3s, nine 2s, 82 ones: 127 / 100.
  near(own.observed, 3)
  near(own.baseline, 1.27)
  near(own.lift, 3 / 1.27 - 1)
  // Aligned with the predicted token: every WAAD peak is followed by a 2; the first token, a 1, predicts nothing.
  const next = rowOf(rows, 1, 'next token')
  near(next.observed, 2)
  near(next.baseline, 126 / 99)
  near(rowOf(rows, 2).observed, 3 / 4)
  near(rowOf(rows, 2).baseline, 6 / 100)
  near(rowOf(rows, 3).observed, 3 / 6)
  near(rowOf(rows, 3).baseline, 18 / 100)
  near(rowOf(rows, 3).lift, 0.5 / 0.18 - 1)
  for (const row of rows) {
    assert.equal(row.peakMode, 'prominence 0.25')
    assert.deepEqual([row.traces, row.tokens, row.liftLow, row.liftHigh], [1, 100, null, null])
  }
  assert.deepEqual(
    rows.map((row) => row.peaks),
    [9, 9, 4, 6],
  )
})

test('by hand: pooled over tokens, per trace, and shuffled within traces', async () => {
  const rows = table2(await measured([handTrace, shortTrace]), 'two', { peakModes: [FIXED_PROMINENCE], shuffles: 4000 })
  const first = rowOf(rows, 1)
  near(first.observed, (9 * 3 + 0.5) / 10)
  near(first.baseline, (127 + 10) / 120)
  near(first.traceObserved, (3 + 0.5) / 2)
  near(first.traceBaseline, (1.27 + 0.5) / 2)
  near(first.traceLift, 3.5 / 1.77 - 1)
  // Shuffled within their traces, nine peaks expect 1.27 and one 0.5.
  near(first.shuffled, (9 * 1.27 + 0.5) / 10)
  near(rowOf(rows, 2).observed, 3 / 5)
  near(rowOf(rows, 2).baseline, 7 / 120)
  near(rowOf(rows, 2).shuffled, (4 * 0.06 + 1 * 0.05) / 5)
  near(rowOf(rows, 3).observed, 4 / 7)
  near(rowOf(rows, 3).baseline, (6 * 0.18 + 1 * 0.1) / 7)
  for (const row of rows) {
    // Both kinds of shuffles expect the closed form: every token is as likely to be hit. Means of 4,000 draws of values
    // whose deviation is below 1 nat and 1 share over five peaks or more: 4 standard errors are below 0.03.
    near(row.permutation, row.shuffled!, 0.03)
    near(row.shift, row.shuffled!, 0.03)
    assert.ok(row.liftLow !== null && row.liftLow <= row.lift! && row.lift! <= row.liftHigh!)
  }
  assert.ok(first.permutationP! < 0.001)
  assert.ok(rowOf(rows, 2).permutationP! < 0.01)
  assert.equal(rowOf(rows, 3).paperLift, 0.4247)
  assert.match(first.paperNote!, /\+51\.2 %/)
})

test('the planted lift of random traces is found, and none where none is planted', async () => {
  // 40 traces of 80 tokens with 12 WAAD peaks each: lift = (1 + e) / (1 + 12 e / 80) - 1. Entropy has a standard deviation of
  // 1 / sqrt(12) = 0.289, over 480 peaks 0.0132 on the observed mean: four standard errors are 0.053.
  for (const effect of [0, 0.5]) {
    const rows = table2(await measured(randomTraces(5, 40, effect)), 'random', { peakModes: [FIXED_PROMINENCE] })
    const planted = (1 + effect) / (1 + 0.15 * effect) - 1
    const row = rowOf(rows, 1)
    near(row.lift, planted, 0.053)
    assert.ok(row.liftLow! <= planted && planted <= row.liftHigh!, `${planted} in [${row.liftLow}, ${row.liftHigh}]`)
    if (effect > 0) assert.ok(row.permutationP! < 0.002 && row.shiftP! < 0.002)
    // Nothing is planted in rows 2 and 3, nor in the next token: 480 peaks of probability 0.15 have a standard error of
    // 0.0163, which is 0.11 of 0.15; of 0.30 (row 3: at or one after one of twelve) 0.021, which is 0.07.
    near(rowOf(rows, 2).lift, 0, 4 * 0.11)
    near(rowOf(rows, 3).lift, 0, 4 * 0.07)
    near(rowOf(rows, 1, 'next token').lift, 0, 0.053 + 0.15 * effect)
  }
})

test('a response of one token, one without peaks, one without receiver heads: nothing is NaN, nothing counts as 0', async () => {
  const single = plantedTrace({ id: 'one', waad: [1], fai: [1], receiver: [1], entropy: [0.7] })
  const flat = plantedTrace({
    id: 'flat',
    waad: spikes(9, []),
    fai: spikes(9, []),
    receiver: spikes(9, []),
    entropy: new Array(9).fill(0.3),
  })
  for (const mode of [FIXED_PROMINENCE, PAPER_SHARES]) {
    const rows = table2(await measured([single, flat]), 'none', { peakModes: [mode], shuffles: 10 })
    for (const row of rows) {
      for (const value of Object.values(row)) assert.ok(value === null || !Number.isNaN(value))
      assert.deepEqual([row.peaks, row.observed, row.lift, row.liftLow, row.permutationP], [0, null, null, null, null])
    }
    near(rowOf(rows, 1).baseline, (0.7 + 9 * 0.3) / 10)
    // Beside a trace with peaks they add tokens to a pooled baseline, and no peaks.
    const [both] = table2(await measured([single, flat, handTrace]), 'some', { peakModes: [mode], shuffles: 10 })
    near(both!.baseline, (0.7 + 9 * 0.3 + 127) / 110)
    near(both!.observed, 3)
    near(both!.traceObserved, 3)
  }
  // The response of one token has no receiver heads: row 2 cannot be asked of it.
  assert.equal(rowOf(table2(await measured([single, handTrace]), 's', { shuffles: 10 }), 2).traces, 1)
})

test('by hand: the sweep over prominence keeps the peaks that stand out enough', async () => {
  // Peaks of 5 at 10 tokens and of 3 at 10 others over a floor of 1, mean 1.6, population deviation sqrt(2 - 0.36) = 1.281:
  // prominences 4 and 2 are 3.12 and 1.56 deviations.
  const at = (offset: number) => Array.from({ length: 10 }, (_, i) => 5 + 10 * i + offset)
  const waad = spikes(100, at(0)).map((value, t) => (at(3).includes(t) ? 3 : value))
  const trace = plantedTrace({
    id: 'two heights',
    waad,
    fai: waad,
    receiver: waad,
    entropy: waad.map((value) => (value === 5 ? 2 : 1)),
  })
  const rows = prominenceSweep(await measured([trace]), 'sweep', { prominences: [0.25, 1.5, 1.6, 3.1, 3.2] })
  const first = rows.filter((row) => row.row === 1 && row.alignment === 'own token')
  assert.deepEqual(
    first.map((row) => [row.prominence, row.waadShare, row.peaks, row.observed]),
    [
      [0.25, 0.2, 20, 1.5],
      [1.5, 0.2, 20, 1.5],
      [1.6, 0.1, 10, 2],
      [3.1, 0.1, 10, 2],
      [3.2, 0, 0, null],
    ],
  )
})
