import assert from 'node:assert/strict'
import test from 'node:test'
import { SWEEP_FORMAT, type SweepRecord } from '../../lib/analysis/sweepRow'
import { type Figure, staticSvg, sweepCurves, sweepDifferences, sweepFinals } from '../../lib/plots'

// biome-ignore lint/suspicious/noExplicitAny: Plotly's traces have no types
type Drawn = Record<string, any>
const drawn = ({ data }: Figure) => data as Drawn[]
const texts = ({ layout }: Figure) => (layout.annotations as Drawn[]).map(({ text }) => text as string)

const FINALS = { uniform: [0.4, 0.42], coupled: [0.44, 0.44], 'global-anchor': [0.39, 0.43] }
const record: SweepRecord = {
  ...{ format: SWEEP_FORMAT, name: 'main', baseline: 'uniform', paper: 'strategies', machine: null },
  rows: Object.entries(FINALS).flatMap(([arm, finals]) =>
    finals.map((final, seed) => ({
      ...{ sweep: 'main', cell: `${arm} ${seed}`, arm, labels: {}, seed, warmup: 0, state: 'finished' as const },
      ...{ steps: 50, seconds: 60, meanCredit: 1, reward: { step: [25, 50], value: [0.3, 0.2] } },
      evaluations: [
        { step: 0, sampled: 0.2, greedy: 0.2 },
        { step: 25, sampled: 0.5, greedy: 0.2 },
        { step: 50, sampled: final, greedy: 0.3 },
      ],
    })),
  ),
}

test('learning curves: a panel an arm, its mean over seeds and the baseline behind it', () => {
  const figure = sweepCurves(record)
  assert.deepEqual(texts(figure), ['<b>coupled</b>', '<b>global-anchor</b>'])
  const lines = drawn(figure).filter(({ name }) => name)
  assert.deepEqual(
    lines.map(({ name, xaxis, x, y }) => [name, xaxis, x, y]),
    [
      ['uniform', 'x', [0, 25, 50], [20, 50, 41]],
      ['coupled', 'x', [0, 25, 50], [20, 50, 44]],
      ['uniform', 'x2', [0, 25, 50], [20, 50, 41]],
      ['global-anchor', 'x2', [0, 25, 50], [20, 50, 41]],
    ],
  )
  // max(44, 35) · 0.5 + 35 · 0.5, where 35 is the mean of 20 and 50.
  const smooth = drawn(sweepCurves(record, { smoothing: 0.5 })).find(({ name }) => name === 'coupled')
  assert.deepEqual(smooth!.y, [20, 35, 39.5])
  const reward = drawn(sweepCurves(record, { of: 'reward' })).find(({ name }) => name === 'coupled')
  assert.deepEqual(
    [reward!.x, reward!.y],
    [
      [25, 50],
      [30, 20],
    ],
  )
})

test("final accuracies: seeds, means and intervals here, the paper's in a panel of their own", () => {
  const figure = sweepFinals(record)
  const here = drawn(figure).filter(({ xaxis }) => xaxis === undefined)
  assert.deepEqual(
    here.map(({ x, y }) => [x, [...new Set(y)]]),
    [
      [[40, 42], ['uniform']],
      [[41], ['uniform']],
      [[44, 44], ['coupled']],
      [[44], ['coupled']],
      [[39, 43], ['global-anchor']],
      [[41], ['global-anchor']],
    ],
  )
  const paper = drawn(figure).find(({ xaxis }) => xaxis === 'x2')!
  assert.deepEqual(
    [paper.x, paper.y],
    [
      [52.6, 60.4, 63.1],
      ['uniform', 'global-anchor', 'coupled'],
    ],
  )
  assert.match(texts(figure).join(), /paper.*Countdown, Qwen3-4B-Base/)
  assert.deepEqual((figure.layout.yaxis as Drawn).categoryarray, ['global-anchor', 'coupled', 'uniform'])
  assert.equal(drawn(sweepFinals({ ...record, paper: null })).length, 6)
})

test('each arm against its own counterpart: the figures of `placement=shuffled`', () => {
  const finals = {
    coupled: { own: [0.44, 0.44], shuffled: [0.4, 0.43] },
    entropy: { own: [0.39, 0.41], shuffled: [0.4, 0.4] },
  }
  const rows = Object.entries(finals).flatMap(([strategy, byPlacement]) =>
    Object.entries(byPlacement).flatMap(([placement, values]) =>
      values.map((sampled, seed) => ({
        ...record.rows[0]!,
        ...{ arm: `strategy ${strategy}, placement ${placement}`, labels: { strategy, placement }, seed },
        evaluations: [
          { step: 0, sampled: 0.2, greedy: 0.2 },
          { step: 50, sampled, greedy: 0.3 },
        ],
      })),
    ),
  )
  const own: SweepRecord = { ...record, baseline: 'placement=shuffled', paper: null, rows }
  const arms = ['strategy coupled, placement own', 'strategy entropy, placement own']
  const figure = sweepDifferences(own)
  const [pairs, mean, second] = drawn(figure)
  assert.deepEqual([pairs!.x, mean!.x, second!.x], [[4, 1], [2.5], [-1, 1]])
  assert.deepEqual((figure.layout.yaxis as Drawn).categoryarray, [...arms].reverse())
  assert.match(JSON.stringify(figure.layout.xaxis), /points above the same with placement=shuffled/)
  const lines = drawn(sweepCurves(own)).filter(({ name }) => name)
  assert.deepEqual(
    lines.map(({ name, xaxis, y }) => [name, xaxis, y]),
    [
      ['strategy coupled, placement shuffled', 'x', [20, 41.5]],
      [arms[0], 'x', [20, 44]],
      ['strategy entropy, placement shuffled', 'x2', [20, 40]],
      [arms[1], 'x2', [20, 40]],
    ],
  )
  assert.deepEqual(sweepFinals(own).layout.shapes, [])
  // In progress: coupled's counterpart has no finished run yet, then none has.
  const begun = (unfinished: (arm: string) => boolean) => ({
    ...own,
    rows: rows.map((row) => (unfinished(row.arm) ? { ...row, state: 'unfinished' as const } : row)),
  })
  const some = begun((arm) => arm === 'strategy coupled, placement shuffled')
  assert.deepEqual((sweepDifferences(some).layout.yaxis as Drawn).categoryarray, [arms[1]])
  const none = begun((arm) => arm.endsWith('shuffled'))
  assert.equal(drawn(sweepFinals(none)).length, 4)
  assert.throws(() => sweepDifferences(none), /no arm beside placement=shuffled: there is no difference to draw/)
})

test('differences: pairs, their means, and what chance gives as often', () => {
  const figure = sweepDifferences(record, { paper: true })
  const [pairs, mean, , , diamonds] = drawn(figure)
  assert.deepEqual([pairs!.x, mean!.x], [[4, 2], [3]])
  assert.deepEqual(
    [diamonds!.y, diamonds!.x],
    [
      ['coupled', 'global-anchor'],
      [10.5, 7.8],
    ],
  )
  // Two pairs: +4 and +2 are as far from 0 as any but themselves turned round, twice for two comparisons.
  assert.deepEqual(texts(figure), ['p = 1.000', 'p = 1.000'])
  assert.throws(
    () => sweepDifferences({ ...record, rows: record.rows.filter(({ arm }) => arm === 'uniform') }),
    /main has no arm beside uniform/,
  )
})

test('figures of sweeps are small, well-formed SVG and need a finished run', async () => {
  for (const figure of [sweepCurves(record), sweepFinals(record), sweepDifferences(record)]) {
    const svg = await staticSvg(figure)
    assert.ok(svg.length < 100_000, `${svg.length} characters`)
    assert.doesNotMatch(svg, /NaN|undefined/)
    assert.match(svg, /2 seeds/)
  }
  const rows = record.rows.map((row) => ({ ...row, state: 'unfinished' as const }))
  assert.throws(() => sweepCurves({ ...record, rows }), /no run of main is finished/)
})
