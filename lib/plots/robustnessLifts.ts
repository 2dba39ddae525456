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
  panelGrid,
  panelTitle,
  withSubtitle,
} from './panels'
import { axis, baseLayout, COLOURS, CONFIG, GRID_ON, NEUTRAL } from './theme'

/** Small multiples: each lift of Table 2 (lines) with one parameter of the method changed at a time (groups); filled: the default. */
export function robustnessLifts(rows: readonly RobustnessRow[], options: { title?: string } = {}): Figure {
  const factors = [...new Set(rows.map(({ factor }) => factor))]
    .map((factor) => ({
      factor,
      settings: [...new Set(rows.flatMap((r) => (r.factor === factor ? [r.setting] : [])))],
    }))
    .filter(({ settings }) => settings.length > 1)
  if (factors.length === 0) throw new Error('no settings to compare; give the table robustness of analyzeTraces')
  // One axis for all: the settings of a factor are neighbours, factors are a gap apart.
  let next = 0
  const groups = factors.map(({ factor, settings }) => {
    const from = next
    next += settings.length + 1
    return { factor, settings, from, places: settings.map((_, i) => from + i) }
  })
  const last = next - 2
  const claims = claimsIn(rows)
  const panels = panelGrid(claims.length, 1, 0, 0.06)
  const data: Figure['data'] = []
  const axes: Record<string, unknown> = {}
  claims.forEach((claim, i) => {
    for (const { factor, settings, places } of groups) {
      const found = settings.map(
        (setting) => rows.find((r) => r.factor === factor && r.setting === setting && claimKey(r) === claimKey(claim))!,
      )
      const intervals = found.map(liftInterval)
      data.push({
        type: 'scatter',
        mode: 'markers',
        name: factor,
        x: places,
        y: intervals.map(({ value }) => value),
        customdata: settings,
        xaxis: axisId('x', i),
        yaxis: axisId('y', i),
        marker: { size: 7, color: COLOURS.waad, symbol: found.map(({ base }) => (base ? 'circle' : 'circle-open')) },
        error_y: errorBars(intervals, { color: COLOURS.waad }),
        hovertemplate: `${factor} %{customdata}: %{y:.1f} %<extra></extra>`,
      })
    }
    const bottom = i === claims.length - 1
    axes[axisKey('x', i)] = axis(null, {
      anchor: axisId('y', i),
      range: [-0.8, last + 0.8],
      tickvals: groups.flatMap(({ places }) => places),
      ticktext: groups.flatMap(({ settings }) => settings.map(short)),
      tickangle: -90,
      showticklabels: bottom,
      ...(bottom ? {} : { ticks: '' }),
    })
    axes[axisKey('y', i)] = axis(`${claimTitle(claim)}<br>lift (%)`, {
      ...GRID_ON,
      domain: panels[i]!.y,
      anchor: axisId('x', i),
      zeroline: true,
      zerolinecolor: NEUTRAL,
      rangemode: 'tozero',
      nticks: 5,
    })
  })
  const share = (place: number) => (place + 0.4) / (last + 1.6)
  const layout = baseLayout(options.title ?? 'Does it depend on the parameters?', 210 + 150 * claims.length, {
    ...axes,
    annotations: groups.map(({ factor, from }) =>
      panelTitle(factor.replace(' ', '<br>'), { x: [share(from), 1], y: [0, 1] }),
    ),
    showlegend: false,
    hovermode: 'closest',
    margin: { l: 104, r: 20, t: 112, b: 98 },
  })
  const { traces, peakMode } = rows[0]!
  const subtitle = `One parameter changed at a time; filled: the default (${peakMode}). 95 % intervals over ${traces} traces`
  return { data, layout: withSubtitle(layout, subtitle), config: CONFIG }
}

/** A setting as short as an axis needs. */
const short = (setting: string) => setting.replace(/^share WAAD .*/, "paper's shares").replace(/^prominence /, '')
