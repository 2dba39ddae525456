import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { before } from 'node:test'
import { type AnalysisTables, analyzeTraces, PERMUTED } from '../../lib/analysis/analyzeTraces'
import { scorePerturbation } from '../../lib/analysis/perturbation'
import { perturbationTable } from '../../lib/analysis/perturbationTable'
import {
  analysisFigures,
  anchorAverages,
  entropyBeat,
  type Figure,
  laggedCorrelations,
  layerThirdLifts,
  liftControls,
  perturbationScatter,
  prominenceLifts,
  robustnessLifts,
  saveHtml,
  staticSvg,
} from '../../lib/plots'
import { randomTraces } from '../analysis/syntheticTraces'
import { temporaryFolder } from '../support/temporaryFolder'

const folder = temporaryFolder()
// biome-ignore lint/suspicious/noExplicitAny: Plotly's traces have no types
type Drawn = Record<string, any>
let tables: AnalysisTables

before(async () => {
  tables = await analyzeTraces(() => randomTraces(1, 6, 0.5), {
    name: 'mine',
    permuted: () => randomTraces(2, 6, 0),
    bootstrap: { replicates: 50 },
    shuffles: 5,
  })
})

const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) <= 1e-3 * Math.abs(expected) + 1e-9, `${actual} is not ${expected}`)
const subtitle = ({ layout }: Figure) => (layout.title as Drawn).subtitle.text as string

test('Table 2 with its controls: five lines in four panels, each value and interval that of its row, in percent', () => {
  const { data, layout } = liftControls(tables.controls)
  assert.equal(data.length, 4 * 5)
  const labels = [...new Set((data as Drawn[]).map(({ y }) => y[0]))]
  assert.deepEqual(labels, [
    "the paper's model",
    '<b>mine</b>',
    'against the same class',
    'against the same place',
    PERMUTED,
  ])
  const at = (axis: string, label: string) =>
    (data as Drawn[]).find(({ xaxis, y }) => xaxis === axis && y[0] === label)!
  // Printed in the paper.
  for (const [axis, lift] of [
    ['x', 51.97],
    ['x2', 51.97],
    ['x3', 171.49],
    ['x4', 42.47],
  ] as const)
    near(at(axis, "the paper's model").x[0], lift)
  const row = tables.controls.find((r) => r.row === 3 && r.set === PERMUTED && r.control === 'paper')!
  const mark = at('x4', PERMUTED)
  near(mark.x[0], 100 * row.lift!)
  near(mark.x[0] + mark.error_x.array[0], 100 * row.liftHigh!)
  near(mark.x[0] - mark.error_x.arrayminus[0], 100 * row.liftLow!)
  // The planted effect: +50 % entropy at WAAD peaks, which are 12 of 80 tokens: 1.5 / (1 + 0.5 * 12 / 80) - 1.
  assert.ok(Math.abs(at('x', '<b>mine</b>').x[0] - 39.5) < 6)
  assert.match(subtitle({ data, layout }), /95 % intervals over 6 traces \(480 tokens\); peaks: prominence 0\.25/)
})

test('another peak mode is drawn by name, an unknown one and an empty table refused', () => {
  assert.match(subtitle(liftControls(tables.controls, { peakMode: 'share WAAD 0.184 FAI 0.224' })), /share WAAD 0\.184/)
  assert.throws(
    () => liftControls(tables.controls, { peakMode: 'all' }),
    /'all'; the table has prominence 0\.25, share/,
  )
  assert.throws(() => liftControls([]), /no rows to draw/)
  for (const build of [
    prominenceLifts,
    entropyBeat,
    anchorAverages,
    laggedCorrelations,
    layerThirdLifts,
    robustnessLifts,
  ])
    assert.throws(() => (build as (rows: []) => Figure)([]), /no rows to draw|no settings to compare/)
})

test('lines go through the values, bands through both ends of the intervals', () => {
  const [band, line] = entropyBeat(tables.entropyAroundPeaks).data as Drawn[]
  const rows = tables.entropyAroundPeaks.filter((row) => row.peakMode === 'prominence 0.25')
  assert.deepEqual(line!.x, [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5])
  rows.forEach((row, i) => {
    near(line!.y[i], row.mean!)
    near(band!.y[i], row.high!)
    near(band!.y[band!.y.length - 1 - i], row.low!)
  })
  const lags = laggedCorrelations(tables.crossCorrelation).data as Drawn[]
  const named = lags.filter(({ name }) => name)
  assert.deepEqual(
    named.map(({ name, x }) => [name, x[0], x.at(-1)]),
    [
      ['WAAD and FAI', -10, 10],
      ['WAAD and entropy', -10, 10],
    ],
  )
  const sweep = prominenceLifts(tables.prominenceSweep).data.filter(({ mode }) => mode === 'lines+markers') as Drawn[]
  assert.equal(sweep.length, 4)
  assert.deepEqual(sweep[0]!.x, [0, 0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2])
})

test('robustness: a group of marks for each claim and each factor with a choice, the default filled', () => {
  const { data } = robustnessLifts(tables.robustness) as { data: Drawn[] }
  const factors = new Map<string, Set<string>>()
  for (const { factor, setting } of tables.robustness)
    factors.set(factor, (factors.get(factor) ?? new Set()).add(setting))
  const varied = [...factors.values()].filter((settings) => settings.size > 1)
  assert.equal(data.length, 4 * varied.length)
  for (const { marker } of data) assert.equal(marker.symbol.filter((symbol: string) => symbol === 'circle').length, 1)
})

test('Table 1: a dot for each problem with both kinds, and the means beside the paper', () => {
  const text = (text: string) => ({ tokenText: ' a', text })
  const position = (kind: 'top' | 'bottom', other: string) => ({
    ...{ kind, entropy: 1, reference: text(' red blue'), alternatives: [text(other)] },
  })
  const score = scorePerturbation([
    { id: 'one', problem: 'one', positions: [position('top', ' green'), position('bottom', ' red blue')] },
    { id: 'two', problem: 'two', positions: [position('top', ' red'), position('bottom', ' red')] },
    { id: 'three', problem: 'three', positions: [position('top', ' red')] },
  ])
  const table = perturbationTable(score)
  const figure = perturbationScatter(table, score.perProblem)
  const [dots, means, paper] = figure.data as Drawn[]
  assert.deepEqual(
    [dots!.x, dots!.y],
    [
      [0, 0.5],
      [1, 0.5],
    ],
  )
  assert.deepEqual(means!.y, [0.25, 0.75])
  assert.deepEqual(paper!.y, [0.534, 0.631])
  // One wins, one ties.
  assert.match(subtitle(figure), /^Pr\(top < bottom\) 75 % .* over 2 problems; paper: 87 %$/)
  assert.equal(table.at(-1)!.leftOut, 1)
})

test('every table has a figure that draws without a browser and as a page that needs no network', async () => {
  const figures = analysisFigures(tables)
  assert.deepEqual(Object.keys(figures), [
    'lifts',
    'prominence',
    'beat',
    'anchors',
    'correlations',
    'layers',
    'robustness',
  ])
  for (const [name, figure] of Object.entries(figures)) {
    const svg = await staticSvg(figure)
    assert.match(svg, /^<svg/)
    assert.doesNotMatch(svg, /NaN|undefined/, name)
    assert.ok(svg.length < 250_000, `${name}: ${svg.length} bytes`)
  }
  const page = readFileSync(await saveHtml(figures.lifts!, join(folder, 'figures', 'lifts.html')), 'utf8')
  assert.doesNotMatch(page, /https?:/)
  assert.match(page, /<script src="plotly\.js">/)
  assert.ok(existsSync(join(folder, 'figures', 'plotly.js')))
  assert.deepEqual(analysisFigures({ ...tables, controls: [] }).lifts, undefined)
})
