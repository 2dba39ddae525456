import type { RobustnessRow } from '../analysis/robustness'
import type { Figure } from './figure'
import {
  axisId,
  axisKey,
  claimKey,
  claimsIn,
  claimTitle,
  errorBars,
  liftInterval,
  panelTitle,
  withSubtitle,
} from './panels'
import { axis, baseLayout, COLOURS, CONFIG, FONT_SIZES, GRID_ON, NEUTRAL } from './theme'

/** Small multiples: each lift of Table 2 (rows) with one parameter of the method changed at a time (columns); filled: the default. */
export function robustnessLifts(rows: readonly RobustnessRow[], options: { title?: string } = {}): Figure {
  const factors = [...new Set(rows.map(({ factor }) => factor))]
    .map((factor) => ({
      factor,
      settings: [...new Set(rows.flatMap((r) => (r.factor === factor ? [r.setting] : [])))],
    }))
    .filter(({ settings }) => settings.length > 1)
  if (factors.length === 0) throw new Error('no settings to compare; give the table robustness of analyzeTraces')
  const claims = claimsIn(rows)
  // A column is as wide as it has settings.
  const gap = 0.012
  const unit = (1 - gap * (factors.length - 1)) / factors.reduce((sum, { settings }) => sum + settings.length, 0)
  let left = 0
  const columns = factors.map(({ settings }) => {
    const domain: [number, number] = [left, Math.min(1, left + unit * settings.length)]
    left = domain[1] + gap
    return domain
  })
  const between = 0.05
  const height = (1 - between * (claims.length - 1)) / claims.length
  const data: Figure['data'] = []
  const axes: Record<string, unknown> = {}
  claims.forEach((claim, line) => {
    const top = 1 - line * (height + between)
    factors.forEach(({ factor, settings }, column) => {
      const i = line * factors.length + column
      const found = settings.map(
        (setting) => rows.find((r) => r.factor === factor && r.setting === setting && claimKey(r) === claimKey(claim))!,
      )
      const intervals = found.map(liftInterval)
      data.push({
        type: 'scatter',
        mode: 'markers',
        x: settings.map(short),
        y: intervals.map(({ value }) => value),
        customdata: settings,
        xaxis: axisId('x', i),
        yaxis: axisId('y', i),
        marker: {
          size: 7,
          color: COLOURS.waad,
          symbol: found.map(({ base }) => (base ? 'circle' : 'circle-open')),
        },
        error_y: errorBars(intervals, { color: COLOURS.waad }),
        hovertemplate: `${factor} %{customdata}: %{y:.1f} %<extra></extra>`,
      })
      const last = line === claims.length - 1
      axes[axisKey('x', i)] = axis(null, {
        domain: columns[column],
        anchor: axisId('y', i),
        type: 'category',
        categoryorder: 'array',
        categoryarray: settings.map(short),
        range: [-0.5, settings.length - 0.5],
        tickangle: -90,
        showticklabels: last,
        ...(last ? {} : { ticks: '' }),
      })
      // One scale for the whole line.
      axes[axisKey('y', i)] = axis(column === 0 ? `${claimTitle(claim)}<br>lift (%)` : null, {
        ...GRID_ON,
        domain: [Math.max(0, top - height), top],
        anchor: axisId('x', i),
        zeroline: true,
        zerolinecolor: NEUTRAL,
        rangemode: 'tozero',
        nticks: 5,
        ...(column === 0 ? {} : { matches: axisId('y', line * factors.length), showticklabels: false, ticks: '' }),
      })
    })
  })
  const layout = baseLayout(options.title ?? 'Does it depend on the parameters?', 210 + 150 * claims.length, {
    ...axes,
    annotations: factors.map(({ factor }, i) => panelTitle(factor.replace(' ', '<br>'), { x: columns[i]!, y: [0, 1] })),
    showlegend: false,
    hovermode: 'closest',
    margin: { l: 104, r: 20, t: 112, b: 98 },
    font: { size: FONT_SIZES.tick, color: NEUTRAL },
  })
  const { traces, peakMode } = rows[0]!
  const subtitle = `One parameter changed at a time; filled: the default (${peakMode}). 95 % intervals over ${traces} traces`
  return { data, layout: withSubtitle(layout, subtitle), config: CONFIG }
}

/** A setting as short as an axis needs. */
const short = (setting: string) => setting.replace(/^share WAAD .*/, "paper's shares").replace(/^prominence /, '')
