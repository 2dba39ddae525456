import { type Figure, percentile, significant } from './figure'
import type { PlottedMap, PlottedTrace } from './plottedTrace'
import { axis, baseLayout, CONFIG, FONT_SIZES, logScale, logTicks } from './theme'
import { escapeMarkup, visibleToken } from './tokenText'

export interface AttentionMapsOptions {
  /** Cells along a side; longer maps are averaged over bins. Default 256, which keeps a saved notebook light. */
  maxCells?: number
  /** First and one-past-last response token to draw. Default: all. */
  range?: readonly [number, number]
  title?: string
}

/**
 * Fig. 2 (left): mean attention of the local heads (a sawtooth near the diagonal) and of the global heads (vertical
 * stripes under the tokens that later ones return to), response token by response token, on one logarithmic colour scale.
 * A cell is the share of one query's attention that one key gets; a bin of several tokens shows the mean over its pairs.
 */
export function attentionMaps(trace: PlottedTrace, options: AttentionMapsOptions = {}): Figure {
  const { maps, tokens } = trace
  if (!maps) {
    throw new Error('this trace has no attention maps; trace the response again with the option mapCells, like 512')
  }
  const { promptLength } = trace.rhythm
  const responseLength = tokens.length - promptLength
  const [first, end] = options.range ?? [0, responseLength]
  if (!(first >= 0 && end > first && end <= responseLength)) {
    throw new Error(`invalid range [${first}, ${end}]; expected 0 <= first < end <= ${responseLength} response tokens`)
  }
  const { maxCells = 256 } = options
  const local = crop(maps.local, promptLength + first, promptLength + end, maxCells)
  const global = crop(maps.global, promptLength + first, promptLength + end, maxCells)

  const values = [...local.rows, ...global.rows].flat().filter((value) => value > 0)
  const high = tidy(percentile(values, 0.998), Math.ceil)
  const low = Math.min(tidy(percentile(values, 0.25), Math.floor), high / 10)

  const labels = (map: CroppedMap) =>
    map.starts.map((start) => {
      const bin = tokens.slice(start, start + map.binSize).map((token) => visibleToken(token, 11))
      const text = bin.length < 4 ? bin.join('') : `${bin[0]}…${bin[bin.length - 1]}`
      return `${start - promptLength} ${escapeMarkup(text)}`
    })
  const panels = [
    { map: local, title: 'local heads', axes: '', domain: [0, 0.475] },
    { map: global, title: 'global heads', axes: '2', domain: [0.525, 1] },
  ]
  const data: Figure['data'] = []
  const axes: Record<string, unknown> = {}
  const annotations: object[] = []
  for (const panel of panels) {
    const names = labels(panel.map)
    data.push({
      type: 'heatmap',
      z: panel.map.rows.map((row) => row.map((value) => significant(value, 2))),
      x: names,
      y: names,
      xaxis: `x${panel.axes}`,
      yaxis: `y${panel.axes}`,
      zmin: 0,
      zmax: high,
      colorscale: logScale(low, high),
      showscale: false,
      hoverongaps: false,
      hovertemplate: '%{y} attends to %{x}<br>%{z} % of its attention<extra></extra>',
    })
    const tokenAxis = {
      type: 'category',
      categoryorder: 'array',
      categoryarray: names,
      nticks: 13,
      showline: false,
    }
    axes[`xaxis${panel.axes}`] = axis('attended token', {
      ...tokenAxis,
      domain: panel.domain,
      anchor: `y${panel.axes}`,
      range: [-0.5, names.length - 0.5],
      tickangle: -45,
      ...(panel.axes ? { matches: 'x' } : {}),
    })
    axes[`yaxis${panel.axes}`] = axis(panel.axes ? null : 'attending token', {
      ...tokenAxis,

      anchor: `x${panel.axes}`,
      range: [names.length - 0.5, -0.5],
      ...(panel.axes ? { matches: 'y', showticklabels: false } : {}),
    })
    annotations.push({
      text: panel.title,
      xref: 'paper',
      yref: 'paper',
      x: panel.domain[0],
      y: 1,
      xanchor: 'left',
      yanchor: 'bottom',
      showarrow: false,
      font: { size: FONT_SIZES.legend },
    })
  }

  // The colour scale is logarithmic, which Plotly's colour bar cannot show: a strip does.
  const steps = 64
  const logs = Array.from({ length: steps }, (_, i) => Math.log10(low) + (i / (steps - 1)) * Math.log10(high / low))
  data.push({
    type: 'heatmap',
    z: [logs.map((log) => significant(10 ** log, 3))],
    x: logs.map((log) => significant(log, 5)),
    xaxis: 'x3',
    yaxis: 'y3',
    zmin: 0,
    zmax: high,
    colorscale: logScale(low, high),
    showscale: false,
    hoverinfo: 'skip',
  })
  const ticks = logTicks(low, high, 4)
  // It lies where the second map is empty: above the diagonal.
  axes.xaxis3 = axis('attention (%)', {
    domain: [0.76, 0.995],
    anchor: 'y3',
    tickvals: ticks.map((tick) => significant(Math.log10(tick), 5)),
    ticktext: ticks.map(String),
    tickangle: 0,
    fixedrange: true,
  })
  axes.yaxis3 = axis(null, { domain: [0.9, 0.935], anchor: 'x3', visible: false, fixedrange: true })

  const bin = local.binSize > 1 ? ` (${local.binSize} × ${local.binSize} tokens a cell)` : ''
  const title = options.title ?? `Where does each token look?${bin}`
  return {
    data,
    layout: baseLayout(title, 520, {
      ...axes,
      annotations,
      hovermode: 'closest',
      margin: { l: 94, r: 20, t: 70, b: 104 },
    }),
    config: CONFIG,
  }
}

interface CroppedMap {
  /** Lower triangle in percent: row i has the columns up to the diagonal. */
  rows: number[][]
  /** Position of each bin's first token in prompt + response. */
  starts: number[]
  binSize: number
}

/** The square from token `first` to token `end` of `map`, with cells joined until it has at most `maxCells` a side. */
function crop(map: PlottedMap, first: number, end: number, maxCells: number): CroppedMap {
  const { size, tokensPerCell, values } = map
  if (values.length !== size * size) {
    throw new Error(`an attention map of ${size} x ${size} cells has ${values.length} values`)
  }
  const from = Math.min(size - 1, Math.ceil(first / tokensPerCell))
  const to = Math.max(from + 1, Math.min(size, Math.ceil(end / tokensPerCell)))
  const joined = Math.max(1, Math.ceil((to - from) / maxCells))
  const corners = Array.from({ length: Math.ceil((to - from) / joined) }, (_, i) => from + i * joined)
  const mean = (row: number, column: number) => {
    let sum = 0
    let count = 0
    for (let i = row; i < Math.min(row + joined, to); i++) {
      // Above the diagonal there is no attention: such cells do not count.
      for (let j = column; j < Math.min(column + joined, i + 1); j++, count++) sum += values[i * size + j]
    }
    return (100 * sum) / count
  }
  return {
    rows: corners.map((row, i) => corners.slice(0, i + 1).map((column) => mean(row, column))),
    starts: corners.map((corner) => corner * tokensPerCell),
    binSize: joined * tokensPerCell,
  }
}

/** `value` to one significant digit, rounded by `round`. */
function tidy(value: number, round: (value: number) => number): number {
  if (!(value > 0)) return 1e-6
  const unit = 10 ** Math.floor(Math.log10(value))
  return Number((round(Number((value / unit).toPrecision(12))) * unit).toPrecision(1))
}
