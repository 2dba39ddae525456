import assert from 'node:assert/strict'
import test from 'node:test'
import { entropyAroundPeaks, rhythmAroundAnchors } from '../../lib/analysis/eventAverages'
import { measureTraces } from '../../lib/analysis/measureTraces'
import { FIXED_PROMINENCE } from '../../lib/analysis/peakMode'
import { near, plantedTrace, spikes } from './syntheticTraces'

const measured = async (traces: ReturnType<typeof plantedTrace>[]) =>
  (await measureTraces(() => traces, { base: {} })).base!
const beat = (id: string, length: number, waad: number[], entropy: (t: number) => number) =>
  plantedTrace({
    id,
    waad: spikes(length, waad),
    fai: spikes(length, [3]),
    receiver: spikes(length, [3]),
    entropy: Array.from({ length }, (_, t) => entropy(t)),
  })

test('by hand: entropy around WAAD peaks; offsets beyond the response do not count', async () => {
  const a = beat('a', 30, [10, 20], (t) => t)
  const b = beat('b', 10, [2], () => 4)
  const rows = entropyAroundPeaks(await measured([a, b]), 'set', { peakModes: [FIXED_PROMINENCE] })
  assert.deepEqual(
    rows.map((row) => row.offset),
    [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5],
  )
  for (const { offset, mean, events, baseline, low, high, peakMode } of rows) {
    const inB = offset >= -2 ? 1 : 0
    near(mean, (30 + 2 * offset + 4 * inB) / (2 + inB))
    assert.equal(events, 2 + inB)
    near(baseline, ((29 * 30) / 2 + 40) / 40)
    // A quarter of the replicates draw trace b twice: where b has no value they are undefined, and so is the interval.
    if (inB) assert.ok(low! <= mean! && mean! <= high!)
    else assert.deepEqual([low, high], [null, null])
    assert.equal(peakMode, 'prominence 0.25')
  }
  near(rows[5]!.lift, 34 / 3 / (475 / 40) - 1)
})

test('by hand: averages aligned on anchors and on the tokens that introduce them', async () => {
  // 10 tokens, FAI undefined in the rl block for the last 10: of 20 tokens, 10 are valid and four of them anchors.
  const fai = Array.from({ length: 20 }, (_, t) => (t === 4 || t === 7 ? 9 : t === 2 || t === 8 ? 6 : 1))
  // WAAD jumps to 8 at token 3 and falls back at 4, creeps up to token 8, then alternates: its median is 3, that of its drops 1.
  const waad = Array.from({ length: 20 }, (_, t) =>
    t === 3 ? 8 : t <= 4 ? 2 : t <= 8 ? 2 + t / 10 : 3 + ((t + 1) % 2),
  )
  const entropy = Array.from({ length: 20 }, (_, t) => (t === 3 ? 3 : 1))
  const trace = plantedTrace({ id: 'a', waad, fai, receiver: fai, entropy })
  const [measures] = await measured([trace])
  assert.deepEqual(measures!.rl.anchors, [2, 4, 7, 8])
  const rows = rhythmAroundAnchors([measures!], 'set')
  const of = (event: string, series: string, offset: number) =>
    rows.find((row) => row.event === event && row.series === series && row.offset === offset)!
  near(of('anchor', 'FAI', 0).mean, (6 + 9 + 9 + 6) / 4)
  near(of('anchor', 'FAI', 0).baseline, (6 + 9 + 9 + 6 + 6 * 1) / 10)
  // FAI after anchors: tokens 3, 5, 8 and 9; three tokens after them 5, 7 and, undefined, 10 and 11.
  near(of('anchor', 'FAI', 1).mean, (1 + 1 + 6 + 1) / 4)
  assert.equal(of('anchor', 'FAI', 3).events, 2)
  near(of('anchor', 'FAI', 3).mean, (1 + 9) / 2)
  near(of('anchor', 'entropy', -1).mean, (1 + 3 + 1 + 1) / 4)
  // All anchors are low, but only 4 has a drop of at least 1 in the three tokens before it: 6, first at token 2.
  assert.deepEqual(measures!.rl.introducers, [2])
  assert.deepEqual(
    [-2, -1, 0, 1, 2].map((offset) => of('introducer', 'WAAD', offset).mean),
    [2, 2, 2, 8, 2],
  )
  near(of('introducer', 'entropy', 1).lift, 3 / 1.1 - 1)
  for (const row of rows) assert.deepEqual([row.low, row.high, row.peakMode], [null, null, null])
})

test('a trace without events has means of null', async () => {
  const rows = entropyAroundPeaks(await measured([beat('a', 6, [], () => 1)]), 'set', { reach: 2 })
  assert.equal(rows.length, 2 * 5)
  for (const row of rows) assert.deepEqual([row.mean, row.lift, row.events, row.baseline], [null, null, 0, 1])
})
