import assert from 'node:assert/strict'
import test from 'node:test'
import { controls } from '../../lib/analysis/controls'
import { measureTraces } from '../../lib/analysis/measureTraces'
import { FIXED_PROMINENCE } from '../../lib/analysis/peakMode'
import type { TokenClassFunction } from '../../lib/analysis/tokenClass'
import { near, PROMPT, plantedTrace, spikes } from './syntheticTraces'

const options = { peakModes: [FIXED_PROMINENCE] }
const measured = async (traces: ReturnType<typeof plantedTrace>[], tokenClass?: TokenClassFunction) =>
  (await measureTraces(() => traces, { base: {} }, { tokenClass })).base!

// Words at even tokens, digits at odd ones. Word entropy 2, digit entropy 1; WAAD peaks at three words.
const syntax = (id: string, words = 2) =>
  plantedTrace({
    id,
    waad: spikes(40, [4, 10, 20]),
    fai: spikes(40, [6, 11]),
    receiver: spikes(40, [6, 30]),
    entropy: Array.from({ length: 40 }, (_, t) => (t % 2 === 0 ? words : 1)),
    texts: Array.from({ length: 40 }, (_, t) => (t % 2 === 0 ? ' word' : '7')),
  })

test('by hand: a lift that is syntax alone is gone among tokens of the same class', async () => {
  const rows = controls({ model: await measured([syntax('a')]) }, options)
  const of = (row: number, control: string) =>
    rows.find((r) => r.row === row && r.alignment !== 'next token' && r.control === control)!
  near(of(1, 'paper').lift, 2 / 1.5 - 1)
  near(of(1, 'same class').lift, 0)
  // Receiver peaks 6 and 30 are words; one of the 20 words is a FAI peak.
  near(of(2, 'paper').baseline, 2 / 40)
  near(of(2, 'same class').baseline, 1 / 20)
  // FAI peak 6 is a word, 11 a digit. At or after a WAAD peak are words 4, 10, 20 and digits 5, 11, 21.
  near(of(3, 'same class').baseline, (3 / 20 + 3 / 20) / 2)
  near(of(3, 'same class').observed, 1 / 2)
})

test('by hand: classes are pooled over traces, and each weighs as its selected tokens do', async () => {
  const rows = controls({ model: await measured([syntax('a', 2), syntax('b', 6)]) }, options)
  const row = rows.find((r) => r.row === 1 && r.alignment === 'own token' && r.control === 'same class')!
  near(row.observed, 4)
  near(row.baseline, 4)
  assert.deepEqual([row.traces, row.tokens, row.peaks], [2, 80, 6])
})

test("a user's classes; tokens without one do not count, and without any there is no baseline", async () => {
  const byId: TokenClassFunction = ({ id }) => (id - PROMPT < 10 ? 'early' : id - PROMPT < 20 ? 'late' : null)
  const [row] = controls({ model: await measured([syntax('a')], byId) }, options).filter(
    (r) => r.row === 1 && r.control === 'same class',
  )
  // WAAD peak 4 is early, 10 late, 20 without a class; both classes have five words and five digits.
  assert.equal(row!.peaks, 2)
  near(row!.observed, 2)
  near(row!.baseline, 1.5)
  const none = controls({ model: await measured([syntax('a')], () => null) }, options).find(
    (r) => r.control === 'same class',
  )!
  assert.deepEqual([none.observed, none.baseline, none.lift, none.peaks], [null, null, null, 0])
})

test('by hand: a lift that is position alone is gone among tokens of the same position', async () => {
  // Entropy 1, 2, 3, 4 by quarter of the response, all WAAD peaks in the last quarter.
  const trace = plantedTrace({
    id: 'late',
    waad: spikes(40, [32, 35, 38]),
    fai: spikes(40, [5]),
    receiver: spikes(40, [5]),
    entropy: Array.from({ length: 40 }, (_, t) => 1 + Math.floor(t / 10)),
  })
  const rows = controls({ model: await measured([trace]) }, { ...options, positionBins: 4 })
  const of = (control: string) => rows.find((r) => r.alignment === 'own token' && r.control === control)!
  near(of('paper').lift, 4 / 2.5 - 1)
  near(of('same position').lift, 0)
})

test('the permuted weights stand beside the trained ones, every lift with its interval', async () => {
  const trained = await measured([syntax('a'), syntax('b')])
  const rows = controls({ trained, 'permuted weights': trained }, options)
  assert.equal(rows.length, 4 * 2 * 3)
  for (const control of ['paper', 'same class', 'same position'])
    for (const set of ['trained', 'permuted weights'])
      assert.equal(rows.filter((row) => row.control === control && row.set === set).length, 4)
  for (const row of rows) if (row.lift !== null) assert.ok(row.liftLow !== null && row.liftHigh !== null)
})
