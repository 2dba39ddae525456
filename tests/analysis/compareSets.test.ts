import assert from 'node:assert/strict'
import test from 'node:test'
import { compareSets, sideBySide } from '../../lib/analysis/compareSets'
import { measureTraces } from '../../lib/analysis/measureTraces'
import { FIXED_PROMINENCE } from '../../lib/analysis/peakMode'
import { randomStream } from '../../lib/random/randomStream'
import { near, plantedTrace, randomTraces, spikes } from './syntheticTraces'

const options = { peakModes: [FIXED_PROMINENCE] }
const measured = async (traces: ReturnType<typeof plantedTrace>[]) =>
  (await measureTraces(() => traces, { base: {} })).base!
const first = <T extends { row: number; alignment: string | null }>(rows: T[]) =>
  rows.find((row) => row.row === 1 && row.alignment === 'own token')!

/** A response whose row 1 has the given ratio of entropy at peaks to entropy elsewhere. */
const withRatio = (id: string, problem: string, ratio: number) => {
  const waad = [3, 6, 9, 12]
  return plantedTrace({
    id,
    problem,
    waad: spikes(20, waad),
    fai: spikes(20, [5]),
    receiver: spikes(20, [5]),
    entropy: Array.from({ length: 20 }, (_, t) => (waad.includes(t) ? ratio : 1)),
  })
}
const lift = (ratio: number) => ratio / ((4 * ratio + 16) / 20) - 1

test('by hand: the difference of two lifts, and which problems are paired', async () => {
  const before = await measured([withRatio('a', 'p1', 2), withRatio('b', 'p2', 2), withRatio('c', 'p3', 2)])
  const after = await measured([withRatio('d', 'p2', 3), withRatio('e', 'p3', 3), withRatio('f', 'p9', 3)])
  const row = first(compareSets({ name: 'after', measures: after }, { name: 'before', measures: before }, options))
  assert.deepEqual([row.set, row.comparedWith, row.pairedProblems], ['after', 'before', 2])
  near(row.lift, lift(3))
  near(row.comparedLift, lift(2))
  near(row.difference, lift(3) - lift(2))
  // Within a set all lifts are the same, so resampling changes nothing.
  near(row.differenceLow, lift(3) - lift(2))
  near(row.differenceHigh, lift(3) - lift(2))
})

test('pairing by problem takes the variation of problems out of the difference', async () => {
  const random = randomStream(4)
  const ratios = Array.from({ length: 30 }, () => 1.5 + 2 * random.uniform())
  const set = (name: string, more: number, problem: (i: number) => string) =>
    measured(ratios.map((ratio, i) => withRatio(`${name}${i}`, problem(i), ratio + more)))
  const a = { name: 'a', measures: await set('a', 0.2, (i) => `p${i}`) }
  const paired = { name: 'b', measures: await set('b', 0, (i) => `p${i}`) }
  const unpaired = { name: 'b', measures: await set('b', 0, (i) => `q${i}`) }
  const [close, wide] = [paired, unpaired].map((other) => first(compareSets(a, other, options)))
  assert.deepEqual([close!.pairedProblems, wide!.pairedProblems], [30, 0])
  near(close!.difference, wide!.difference!)
  const width = (row: typeof close) => row!.differenceHigh! - row!.differenceLow!
  assert.ok(width(close) < width(wide) / 3, `${width(close)} against ${width(wide)}`)
  // A difference that is the same sign in every problem: the paired interval excludes 0, the other does not.
  assert.ok(close!.differenceLow! > 0)
  assert.ok(wide!.differenceLow! < 0)
})

test('traces of one problem stay together: more samples of a problem are not more problems', async () => {
  const once = [withRatio('a', 'p1', 2), withRatio('b', 'p2', 4)]
  const often = once.flatMap((trace) => Array.from({ length: 8 }, (_, i) => ({ ...trace, id: `${trace.id}${i}` })))
  const none = { name: 'none', measures: await measured([withRatio('z', 'q', 1)]) }
  const [few, many] = await Promise.all(
    [once, often].map(async (traces) =>
      first(compareSets({ name: 's', measures: await measured(traces) }, none, options)),
    ),
  )
  near(many!.liftLow, few!.liftLow!)
  near(many!.liftHigh, few!.liftHigh!)
})

test('side by side: every row of each set, together', async () => {
  const [a, b] = await Promise.all([randomTraces(1, 4, 1), randomTraces(2, 4, 0)].map(measured))
  const rows = sideBySide({ a: a!, b: b! }, { ...options, shuffles: 10 })
  assert.deepEqual(
    rows.map(({ set, row }) => `${set}${row}`),
    ['a1', 'b1', 'a1', 'b1', 'a2', 'b2', 'a3', 'b3'],
  )
})
