import type { LayerThirdRow } from '../analysis/layerThirds'
import type { Figure } from './figure'
import {
  axisId,
  axisKey,
  claimKey,
  claimsIn,
  claimTitle,
  errorBars,
  liftInterval,
  ofPeakMode,
  panelGrid,
  panelTitle,
  withSubtitle,
} from './panels'
import { axis, baseLayout, COLOURS, CONFIG, GRID_ON, NEUTRAL } from './theme'

/** Table 10: the lifts of Table 2 with the heads of the bottom, middle or top third of the layers; the paper finds all positive. */
export function layerThirdLifts(
  rows: readonly LayerThirdRow[],
  options: { peakMode?: string; title?: string } = {},
): Figure {
  const drawn = ofPeakMode(rows, options.peakMode)
  const claims = claimsIn(drawn)
  const places = panelGrid(claims.length, claims.length, 0.06)
  const axes: Record<string, unknown> = {}
  const data = claims.map((claim, i) => {
    const found = drawn.filter((row) => claimKey(row) === claimKey(claim))
    const intervals = found.map(liftInterval)
    axes[axisKey('x', i)] = axis('layers', {
      domain: places[i]!.x,
      anchor: axisId('y', i),
      type: 'category',
      range: [-0.5, 2.5],
    })
    axes[axisKey('y', i)] = axis(i === 0 ? 'lift (%)' : null, {
      ...GRID_ON,
      zeroline: true,
      zerolinecolor: NEUTRAL,
      rangemode: 'tozero',
      anchor: axisId('x', i),
      nticks: 6,
    })
    return {
      type: 'scatter',
      mode: 'markers',
      x: found.map(({ third }) => third),
      y: intervals.map(({ value }) => value),
      xaxis: axisId('x', i),
      yaxis: axisId('y', i),
      marker: { color: COLOURS.waad, size: 8 },
      error_y: errorBars(intervals, { color: COLOURS.waad }),
      hovertemplate: '%{x} third: %{y:.1f} %<extra></extra>',
    }
  })
  const layout = baseLayout(options.title ?? 'In which layers?', 330, {
    ...axes,
    annotations: claims.map((claim, i) => panelTitle(claimTitle(claim), places[i]!)),
    showlegend: false,
    hovermode: 'closest',
    margin: { l: 62, r: 20, t: 112, b: 52 },
  })
  const { traces, peakMode } = drawn[0]!
  return {
    data,
    layout: withSubtitle(layout, `95 % intervals over ${traces} traces; peaks: ${peakMode}`),
    config: CONFIG,
  }
}
