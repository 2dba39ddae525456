import assert from 'node:assert/strict'
import test from 'node:test'
import { measureTraces } from '../../lib/analysis/measureTraces'
import { FIXED_PROMINENCE } from '../../lib/analysis/peakMode'
import { peakOverlap, peakOverlapByTrace } from '../../lib/analysis/peakOverlap'
import { near, plantedTrace, spikes } from './syntheticTraces'

const options = { peakModes: [FIXED_PROMINENCE] }
const trace = (id: string, waad: number[], fai: number[], receiver: number[], entropy: number[], length = 50) =>
  plantedTrace({
    id,
    waad: spikes(length, waad),
    fai: spikes(length, fai),
    receiver: spikes(length, receiver),
    entropy: spikes(length, entropy),
  })
const traces = [
  trace('a', [10, 20, 30, 40], [10, 21, 29], [10], [31, 41]),
  trace('b', [5], [6], [6, 12], [4], 20),
  trace('c', [], [8], [8], [8], 20),
]
const measured = async () => (await measureTraces(() => traces, { base: {} })).base!

test('by hand: peak overlap of each example: exact, previous, next', async () => {
  const rows = peakOverlapByTrace(await measured(), 'set', options)
  const of = (id: string, first: string, second: string) => {
    const { exact, previous, next, expected } = rows.find(
      (row) => row.trace === id && row.first === first && row.second === second,
    )!
    return { exact, previous, next, expected }
  }
  assert.equal(rows.length, 3 * 12)
  // FAI peak 10 is at a WAAD peak, 21 one after, 29 one before.
  assert.deepEqual(of('a', 'FAI', 'WAAD'), { exact: 1 / 3, previous: 1 / 3, next: 1 / 3, expected: 4 / 50 })
  assert.deepEqual(of('a', 'WAAD', 'FAI'), { exact: 1 / 4, previous: 1 / 4, next: 1 / 4, expected: 3 / 50 })
  assert.deepEqual(of('a', 'entropy', 'WAAD'), { exact: 0, previous: 1, next: 0, expected: 4 / 50 })
  assert.deepEqual(of('a', 'receiver FAI', 'FAI'), { exact: 1, previous: 0, next: 0, expected: 3 / 50 })
  assert.deepEqual(of('b', 'entropy', 'WAAD'), { exact: 0, previous: 0, next: 1, expected: 1 / 20 })
  assert.deepEqual(of('c', 'WAAD', 'FAI'), { exact: null, previous: null, next: null, expected: null })
  assert.deepEqual(of('c', 'FAI', 'WAAD'), { exact: 0, previous: 0, next: 0, expected: 0 })
})

test('by hand: pooled over traces, with intervals', async () => {
  const rows = peakOverlap(await measured(), 'set', options)
  assert.equal(rows.length, 12)
  const row = rows.find(({ first, second }) => first === 'FAI' && second === 'WAAD')!
  assert.deepEqual([row.firstPeaks, row.secondPeaks, row.traces, row.tokens], [5, 5, 3, 90])
  near(row.exact, 1 / 5)
  near(row.previous, 2 / 5)
  near(row.next, 1 / 5)
  near(row.expected, (3 * (4 / 50) + 1 / 20) / 5)
  near(row.lift, 0.2 / ((3 * (4 / 50) + 1 / 20) / 5) - 1)
  assert.ok(row.exactLow! <= 0.2 && row.exactHigh! >= 0.2 && row.previousLow! <= 0.4 && row.nextHigh! >= 0.2)
})
