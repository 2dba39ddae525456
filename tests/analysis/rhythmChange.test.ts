import assert from 'node:assert/strict'
import test from 'node:test'
import { changeTables } from '../../lib/analysis/changeTables'
import { type CheckpointMeasures, checkpointMeasures, settingName } from '../../lib/analysis/checkpointMeasures'
import { headGroupChange, headJaccard } from '../../lib/analysis/headGroupChange'
import { ALL_RUNS, type ChangeRow, rhythmChange } from '../../lib/analysis/rhythmChange'
import { symbolClass } from '../../lib/analysis/tokenClass'
import { randomStream } from '../../lib/random/randomStream'
import type { Head } from '../../lib/rhythm/headSeries'
import { near, plantedTrace, spikes } from './syntheticTraces'

const setting = settingName({ window: 10, horizon: [0, null] })
const measured = (traces: ReturnType<typeof plantedTrace>[], options = {}) => checkpointMeasures(() => traces, options)

const PEAKS = [3, 6, 9, 12]
/** A response of 20 tokens whose entropy at its four WAAD peaks is `ratio`, elsewhere 1. */
const withRatio = (problem: string, ratio: number, more: Partial<Parameters<typeof plantedTrace>[0]> = {}) =>
  plantedTrace({
    ...{ id: problem, problem, waad: spikes(20, PEAKS), fai: spikes(20, [5]), receiver: spikes(20, [5]) },
    entropy: Array.from({ length: 20 }, (_, t) => (PEAKS.includes(t) ? ratio : 1)),
    ...more,
  })
const lift = (ratio: number) => ratio / ((4 * ratio + 16) / 20) - 1

const rowOf = (rows: readonly ChangeRow[], quantity: string, more: Partial<ChangeRow> = {}) => {
  const wanted = Object.entries({ quantity, run: ALL_RUNS, ...more })
  const found = rows.filter((row) => wanted.every(([name, value]) => row[name as keyof ChangeRow] === value))
  assert.ok(found.length > 0, quantity)
  return found[0]!
}

test('by hand: lifts, entropy, spans and verdicts of two runs before and after, and their means', async () => {
  const verdicts = [true, true, false]
  const side = (ratio: number, right: number) =>
    measured(
      ['p1', 'p2', 'p3'].map((problem, i) =>
        withRatio(problem, ratio, { correct: verdicts[(i + right) % 3]!, truncated: i < right }),
      ),
    )
  const runs = [
    { run: 'a', before: await side(2, 0), after: await side(3, 1) },
    { run: 'b', before: await side(4, 0), after: await side(3.5, 2) },
  ]
  const rows = await rhythmChange(runs, { setting })
  const own = { heads: 'trace', baseline: 'paper', setting } as const
  const first = rowOf(rows, 'entropy at WAAD peaks', { ...own, run: 'a' })
  near(first.before, lift(2))
  near(first.after, lift(3))
  near(first.difference, lift(3) - lift(2))
  // All items of a set are alike: drawing others changes nothing.
  near(first.differenceLow, lift(3) - lift(2))
  const mean = rowOf(rows, 'entropy at WAAD peaks', own)
  near(mean.before, (lift(2) + lift(4)) / 2)
  near(mean.difference, (lift(3) - lift(2) + lift(3.5) - lift(4)) / 2)
  assert.deepEqual([mean.items, mean.sameSign, mean.runs, first.sameSign], [3, 1, 2, null])
  near(rowOf(rows, 'mean entropy', { run: 'b' }).before, (4 * 4 + 16) / 20)
  for (const heads of ['trace', 'calibrated'] as const) {
    near(rowOf(rows, 'mean span of local heads', { heads }).after, 1)
    near(rowOf(rows, 'mean span of global heads', { heads }).after, 50)
    near(rowOf(rows, 'tokens that are WAAD peaks', { heads }).before, 4 / 20)
  }
  near(rowOf(rows, 'responses that are right').before, 2 / 3)
  near(rowOf(rows, 'responses cut short').difference, (1 / 3 + 2 / 3) / 2)
  near(rowOf(rows, 'response length').after, 20)
})

test('differences are paired by item: what items vary by does not widen them', async () => {
  const random = randomStream(2)
  const ratios = Array.from({ length: 12 }, () => 2 + random.uniform())
  const side = (more: number) => measured(ratios.map((ratio, i) => withRatio(`p${i}`, ratio + more)))
  const rows = await rhythmChange([{ run: 'a', before: await side(0), after: await side(0.1) }], { setting })
  const row = rowOf(rows, 'mean entropy')
  near(row.differenceLow, (4 * 0.1) / 20)
  near(row.differenceHigh, (4 * 0.1) / 20)
  assert.ok(row.beforeHigh! - row.beforeLow! > 0.02)
})

test('entropy that follows from the symbol alone has a lift over all tokens and none over the same symbols', async () => {
  const texts = Array.from({ length: 20 }, (_, t) => (PEAKS.includes(t) ? '+' : t % 2 === 0 ? '=' : ','))
  const side = await checkpointMeasures(() => ['p1', 'p2'].map((problem) => withRatio(problem, 3, { texts })), {
    tokenClass: symbolClass,
  })
  const rows = await rhythmChange([{ run: 'a', before: side, after: side }], { setting })
  near(rowOf(rows, 'entropy at WAAD peaks', { baseline: 'paper' }).before, lift(3))
  near(rowOf(rows, 'entropy at WAAD peaks', { baseline: 'same class' }).before, 0)
})

test('other windows and horizons have rows of their own', async () => {
  const otherWaad = spikes(20, [4])
  const side = await measured(
    ['p1', 'p2'].map((problem) => withRatio(problem, 3, { otherWaad })),
    { variations: [{ window: 5, horizon: [0, null] }] },
  )
  const rows = await rhythmChange([{ run: 'a', before: side, after: side }], { setting })
  const other = rowOf(rows, 'entropy at WAAD peaks', { setting: 'W 5, horizon 0-end' })
  near(other.before, 1 / ((4 * 3 + 16) / 20) - 1)
})

test('sets that answer other items are refused', async () => {
  const side = (...problems: string[]) => measured(problems.map((problem) => withRatio(problem, 2)))
  const run = { run: 'a', before: await side('p1', 'p2'), after: await side('p1', 'p3') }
  await assert.rejects(rhythmChange([run], { setting }), /the traces of a after training answer other items/)
  await assert.rejects(rhythmChange([], { setting }), /no run to compare/)
})

test('head groups: Jaccard of calibrated and own groups, beside halves and neighbours', () => {
  const heads = (...numbers: number[]) => numbers.map((head): Head => [0, head])
  assert.equal(headJaccard(heads(0, 1, 2), heads(1, 2, 3)), 0.5)
  assert.equal(headJaccard([], []), 1)
  const groups = (local: Head[]) => ({ local, global: heads(7), receiver: heads(5) })
  const side = (whole: Head[], even: Head[], odd: Head[], own: Head[][]) =>
    ({
      heads: { whole: groups(whole), even: groups(even), odd: groups(odd) },
      trace: own.map((local, i) => ({ id: `${i}`, heads: groups(local) })),
      spans: new Map([['0', [[1, 2, 3, 4, 5, 6, 7, 8]]]]),
    }) as unknown as CheckpointMeasures
  const before = side(heads(0, 1), heads(0, 1), heads(1, 2), [heads(0, 1), heads(0, 1), heads(2, 3)])
  const after = side(heads(0, 3), heads(0, 3), heads(0, 3), [heads(0, 1), heads(1, 2), heads(2, 3)])
  const [local, global] = headGroupChange([{ run: 'a', before, after }])
  assert.deepEqual([local!.heads, local!.modelHeads], [2, 8])
  near(local!.calibrated, 1 / 3)
  near(local!.halvesBefore, 1 / 3)
  near(local!.halvesAfter, 1)
  near(local!.own, (1 + 1 / 3 + 1) / 3)
  near(local!.neighboursBefore, 1 / 2)
  near(local!.neighboursAfter, 1 / 3)
  assert.equal(global!.calibrated, 1)
})

test('of the same responses, nothing is said of the text', async () => {
  const side = await measured(['p1', 'p2'].map((problem) => withRatio(problem, 2)))
  const runs = [{ run: 'a', before: side, after: side }]
  const { change, headGroups } = await changeTables({ own: runs, same: runs }, { setting })
  const lengths = change.filter(({ quantity }) => quantity === 'response length')
  assert.deepEqual([...new Set(lengths.map(({ reading }) => reading))], ['own responses'])
  assert.equal(headGroups.length, 6)
})

test('symbols: digits by their place in a number, any other character by itself', () => {
  const tokens = ['1', '7', '+', '3']
  const classes = tokens.map((text, position) => symbolClass({ text, id: 0, position, tokens }))
  assert.deepEqual(classes, ['first digit', 'later digit', '+', 'first digit'])
})
