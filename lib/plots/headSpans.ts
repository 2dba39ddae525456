import { type Figure, significant } from './figure'
import type { HeadIndex, PlottedTrace } from './plottedTrace'
import { axis, baseLayout, COLOURS, CONFIG, evenScale, FONT_SIZES, LEGEND_ABOVE } from './theme'

export interface HeadSpansOptions {
  title?: string
}

/**
 * Map of head spans (Eq. 7): one cell for each layer and head, coloured by how many tokens the head looks back on average,
 * with the local, global and receiver heads marked.
 */
export function headSpans(trace: PlottedTrace, options: HeadSpansOptions = {}): Figure {
  const { spans, analysis, receiver } = trace.rhythm
  const layers = spans.length
  const heads = spans[0].length
  const span = ([layer, head]: HeadIndex) => spans[layer][head] ?? Number.NaN

  const roles = new Map<string, string[]>()
  const groups = [
    { name: 'local', heads: analysis.localHeads, symbol: 'circle', colour: COLOURS.waad },
    { name: 'global', heads: analysis.globalHeads, symbol: 'triangle-up', colour: COLOURS.fai },
    { name: 'receiver', heads: receiver.heads, symbol: 'diamond', colour: COLOURS.receiver },
  ]
  for (const group of groups) {
    for (const head of group.heads) roles.set(`${head}`, [...(roles.get(`${head}`) ?? []), group.name])
  }
  const hover = Array.from({ length: heads }, (_, head) =>
    Array.from({ length: layers }, (_, layer) => {
      const names = roles.get(`${[layer, head]}`)
      return `layer ${layer}, head ${head}<br>looks back ${significant(span([layer, head]), 3)} tokens${names ? `<br>${names.join(' and ')} head` : ''}`
    }),
  )

  const cell = Math.max(13, Math.min(24, 400 / heads))
  const size = Math.min(9, cell * 0.42)
  const marks = groups.map((group) => {
    const both = (head: HeadIndex) => (roles.get(`${head}`)?.length ?? 0) > 1
    // A head of two groups has its two marks side by side.
    const x = (head: HeadIndex) => head[0] + (both(head) ? (group.name === 'receiver' ? 0.22 : -0.22) : 0)
    return {
      type: 'scatter',
      mode: 'markers',
      name: `${group.heads.length} ${group.name} heads`,
      x: group.heads.map(x),
      y: group.heads.map((head) => head[1]),
      marker: { symbol: group.symbol, size, color: group.colour, line: { color: '#ffffff', width: 1 } },
      hoverinfo: 'skip',
    }
  })

  const mean = (list: HeadIndex[]) => list.reduce((sum, head) => sum + span(head), 0) / list.length
  const tokens = (value: number) => (value < 10 ? value.toFixed(1) : value.toFixed(0))
  const title =
    options.title ??
    `Local heads look back ${tokens(mean(analysis.localHeads))} tokens on average, global heads ${tokens(mean(analysis.globalHeads))}`

  return {
    data: [
      {
        type: 'heatmap',
        z: Array.from({ length: heads }, (_, head) =>
          Array.from({ length: layers }, (_, layer) => {
            const value = span([layer, head])
            return Number.isFinite(value) ? significant(value, 4) : null
          }),
        ),
        hovertext: hover,
        hovertemplate: '%{hovertext}<extra></extra>',
        zmin: 0,
        colorscale: evenScale(),
        xgap: 1,
        ygap: 1,
        colorbar: {
          title: { text: 'span (tokens)', side: 'right', font: { size: FONT_SIZES.axisTitle } },
          tickfont: { size: FONT_SIZES.tick },
          outlinewidth: 0,
          thickness: 12,
          len: 1,
          ticks: 'outside',
          ticklen: 3,
          x: 1.01,
        },
      },
      ...marks,
    ],
    layout: baseLayout(title, Math.round(126 + heads * cell), {
      xaxis: axis('layer', { range: [-0.5, layers - 0.5], dtick: layers > 20 ? 5 : 1, tick0: 0 }),
      yaxis: axis('head', { range: [heads - 0.5, -0.5], dtick: heads > 16 ? 4 : 1, tick0: 0 }),
      legend: LEGEND_ABOVE,
      hovermode: 'closest',
    }),
    config: CONFIG,
  }
}
