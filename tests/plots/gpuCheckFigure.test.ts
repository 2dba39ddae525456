import assert from 'node:assert/strict'
import test from 'node:test'
import { type Figure, gpuCheckFigure, staticSvg } from '../../lib/plots'
import { EXAMPLE_REPORT } from '../device/exampleReport'

// biome-ignore lint/suspicious/noExplicitAny: Plotly's traces have no types
type Drawn = Record<string, any>
const named = ({ data }: Figure, name: string) => (data as Drawn[]).find((trace) => trace.name === name)!

test('rates beside the data sheet, phases of a step on top of each other, memory beside the plan', async () => {
  const figure = gpuCheckFigure(EXAMPLE_REPORT)
  assert.deepEqual(
    [named(figure, 'TF32').x, named(figure, 'TF32').y],
    [
      [2048, 8192],
      [200, 247.35],
    ],
  )
  assert.deepEqual(
    (figure.layout.shapes as Drawn[]).map(({ y0 }) => y0),
    [494.7, 67],
  )
  const bars = ['rollouts', 'log-probs + rhythm', 'credit', 'updates'].map((name) => named(figure, name))
  assert.deepEqual(
    bars.map(({ base, y }) => [base[0], y[0]]),
    [
      [0, 2],
      [2, 0.5],
      [2.5, 0.1],
      [2.6, 1.4],
    ],
  )
  assert.deepEqual([named(figure, 'measured').y, named(figure, 'planned').y], [[22], [23]])
  assert.match(await staticSvg(figure), /NVIDIA H100 80GB HBM3/)
})

test('a report in which parts failed is drawn with what there is', async () => {
  const figure = gpuCheckFigure({ ...EXAMPLE_REPORT, rates: [], speed: [], peak: null })
  assert.match(await staticSvg(figure), /products of matrices/)
})
