import type { EventAverageRow } from '../analysis/eventAverages'
import type { Figure } from './figure'
import { axisId, axisKey, levelLine, lineWithBand, panelGrid, panelTitle, withSubtitle } from './panels'
import { axis, baseLayout, COLOURS, CONFIG, GRID_ON, LEGEND_ABOVE, NEUTRAL } from './theme'

const SERIES = [
  { series: 'FAI', unit: '%', scale: 100 },
  { series: 'WAAD', unit: 'tokens', scale: 1 },
  { series: 'entropy', unit: 'nats', scale: 1 },
] as const
const EVENTS = [
  { event: 'anchor', colour: COLOURS.fai },
  { event: 'introducer', colour: COLOURS.waad },
] as const

/** FAI, WAAD and entropy around anchors and around the tokens that introduce them, with 95 % intervals over traces; dotted: means. */
export function anchorAverages(rows: readonly EventAverageRow[], options: { title?: string } = {}): Figure {
  if (rows.length === 0) throw new Error('no rows to draw; give the table rhythmAroundAnchors of analyzeTraces')
  const places = panelGrid(SERIES.length, SERIES.length, 0.08)
  const axes: Record<string, unknown> = {}
  const shapes: object[] = []
  const data = SERIES.flatMap(({ series, unit, scale }, i) => {
    const scaled = (value: number | null) => (value === null ? null : scale * value)
    axes[axisKey('x', i)] = axis('tokens after the event', { domain: places[i]!.x, anchor: axisId('y', i), dtick: 1 })
    axes[axisKey('y', i)] = axis(`${series} (${unit})`, { ...GRID_ON, anchor: axisId('x', i), nticks: 6 })
    const baseline = scaled(rows.find((row) => row.series === series)?.baseline ?? null)
    if (baseline !== null) shapes.push(levelLine(baseline, i, NEUTRAL))
    return EVENTS.flatMap(({ event, colour }) => {
      const found = rows.filter((row) => row.event === event && row.series === series)
      return lineWithBand(
        found.map(({ offset }) => offset),
        found.map(({ mean, low, high }) => ({ value: scaled(mean), low: scaled(low), high: scaled(high) })),
        colour,
        {
          xaxis: axisId('x', i),
          yaxis: axisId('y', i),
          name: event,
          showlegend: i === 0,
          hovertemplate: `%{x} after the ${event}: %{y:.3g} ${unit}<extra></extra>`,
        },
      )
    })
  })
  const counts = EVENTS.map(({ event }) => {
    const row = rows.find((r) => r.event === event && r.offset === 0)
    return `${row?.events ?? 0} ${event}s`
  })
  const layout = baseLayout(options.title ?? 'What surrounds an anchor?', 360, {
    ...axes,
    shapes,
    annotations: SERIES.map(({ series }, i) => panelTitle(series, places[i]!)),
    legend: { ...LEGEND_ABOVE, x: 1, xanchor: 'right', y: 1.08 },
    hovermode: 'closest',
    margin: { l: 62, r: 20, t: 98, b: 52 },
  })
  const subtitle = `${counts.join(' and ')} in ${rows[0]!.traces} traces; dotted: the mean of all tokens`
  return { data, layout: withSubtitle(layout, subtitle), config: CONFIG }
}
