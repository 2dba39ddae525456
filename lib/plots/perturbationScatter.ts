import type { PerturbationProblem } from '../analysis/perturbation'
import type { PerturbationRow } from '../analysis/perturbationTable'
import { type Figure, significants } from './figure'
import { axisId, axisKey, errorBars, panelTitle, withSubtitle } from './panels'
import { axis, baseLayout, COLOURS, CONFIG, GRID_ON, LEGEND_ABOVE, NEUTRAL } from './theme'

/**
 * Table 1: how similar a continuation stays when another token is forced where FAI is highest and where it is lowest, each
 * problem as a dot (left; above the diagonal the top positions steer more), and the means beside the paper's (right).
 */
export function perturbationScatter(
  table: readonly PerturbationRow[],
  problems: readonly PerturbationProblem[],
  options: { title?: string } = {},
): Figure {
  const [top, bottom, , probability] = ['top-FAI', 'bottom-FAI', 'less', 'Pr'].map((part) =>
    table.find(({ quantity }) => quantity.includes(part)),
  )
  if (!top || !bottom || !probability)
    throw new Error('no rows to draw; give perturbationTable(score) and score.perProblem of scorePerturbation')
  const scored = problems.filter((problem) => problem.top !== null && problem.bottom !== null)
  const kinds = ['top FAI', 'bottom FAI']
  const rows = [top, bottom]
  const places = [
    { x: [0, 0.56] as [number, number], y: [0, 1] as [number, number] },
    { x: [0.68, 1] as [number, number], y: [0, 1] as [number, number] },
  ]
  const data: Figure['data'] = [
    {
      type: 'scatter',
      mode: 'markers',
      x: significants(
        scored.map((problem) => problem.top),
        4,
      ),
      y: significants(
        scored.map((problem) => problem.bottom),
        4,
      ),
      text: scored.map(({ problem }) => problem),
      marker: { color: COLOURS.fai, size: 7, opacity: 0.75 },
      showlegend: false,
      hovertemplate: '%{text}: top %{x}, bottom %{y}<extra></extra>',
    },
    {
      type: 'scatter',
      mode: 'markers',
      name: 'this model',
      x: kinds,
      y: rows.map(({ value }) => value),
      xaxis: 'x2',
      yaxis: 'y2',
      marker: { color: COLOURS.fai, size: 9 },
      error_y: errorBars(rows, { color: COLOURS.fai }),
      hovertemplate: '%{x}: %{y:.3f}<extra></extra>',
    },
    {
      type: 'scatter',
      mode: 'markers',
      name: 'paper',
      x: kinds,
      y: rows.map(({ paper }) => paper),
      xaxis: 'x2',
      yaxis: 'y2',
      marker: { color: NEUTRAL, size: 9, symbol: 'diamond-open' },
      hovertemplate: 'paper, %{x}: %{y:.3f}<extra></extra>',
    },
  ]
  const layout = baseLayout(options.title ?? 'Do anchors steer what follows?', 400, {
    [axisKey('x', 0)]: axis('similarity after a change at top FAI', {
      ...GRID_ON,
      domain: places[0]!.x,
      anchor: 'y',
      range: [0, 1],
    }),
    [axisKey('y', 0)]: axis('… at bottom FAI', { ...GRID_ON, anchor: 'x', range: [0, 1] }),
    [axisKey('x', 1)]: axis(null, { domain: places[1]!.x, anchor: 'y2', type: 'category', range: [-0.5, 1.5] }),
    [axisKey('y', 1)]: axis('mean similarity (Jaccard)', { ...GRID_ON, anchor: 'x2', range: [0, 1] }),
    shapes: [
      {
        type: 'line',
        xref: axisId('x', 0),
        yref: axisId('y', 0),
        ...{ x0: 0, y0: 0, x1: 1, y1: 1 },
        line: { color: NEUTRAL, width: 1.2, dash: 'dot' },
      },
    ],
    annotations: [panelTitle('each problem', places[0]!), panelTitle('all problems', places[1]!)],
    legend: { ...LEGEND_ABOVE, x: 1, xanchor: 'right', y: 1.06 },
    hovermode: 'closest',
    margin: { l: 62, r: 20, t: 98, b: 52 },
  })
  const share = (value: number | null) => (value === null ? '–' : (100 * value).toFixed(0))
  const { value, low, high, paper } = probability
  const subtitle = `Pr(top < bottom) ${share(value)} % [${share(low)}, ${share(high)}] over ${probability.problems} problems; paper: ${share(paper)} %`
  return { data, layout: withSubtitle(layout, subtitle), config: CONFIG }
}
