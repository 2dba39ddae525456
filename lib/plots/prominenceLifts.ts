import type { ProminenceRow } from '../analysis/prominenceSweep'
import type { Figure } from './figure'
import {
  axisId,
  axisKey,
  claimKey,
  claimsIn,
  claimTitle,
  levelLine,
  liftInterval,
  lineWithBand,
  panelGrid,
  panelTitle,
  paperLift,
  withSubtitle,
} from './panels'
import { axis, baseLayout, COLOURS, CONFIG, GRID_ON, NEUTRAL } from './theme'

/** How the lifts of Table 2 depend on the prominence of peaks, which the paper does not state; dotted: the paper's lifts. */
export function prominenceLifts(sweep: readonly ProminenceRow[], options: { title?: string } = {}): Figure {
  if (sweep.length === 0) throw new Error('no rows to draw; give the table prominenceSweep of analyzeTraces')
  const claims = claimsIn(sweep)
  const places = panelGrid(claims.length, claims.length, 0.06)
  const axes: Record<string, unknown> = {}
  const shapes: object[] = []
  const data = claims.flatMap((claim, i) => {
    const rows = sweep.filter((row) => claimKey(row) === claimKey(claim))
    axes[axisKey('x', i)] = axis('prominence (σ)', { domain: places[i]!.x, anchor: axisId('y', i), nticks: 5 })
    axes[axisKey('y', i)] = axis(i === 0 ? 'lift (%)' : null, {
      ...GRID_ON,
      zeroline: true,
      zerolinecolor: NEUTRAL,
      anchor: axisId('x', i),
      rangemode: 'tozero',
      nticks: 6,
    })
    const paper = paperLift(claim.row)
    if (paper !== null) shapes.push(levelLine(paper, i, NEUTRAL))
    return lineWithBand(
      rows.map(({ prominence }) => prominence),
      rows.map(liftInterval),
      COLOURS.waad,
      {
        xaxis: axisId('x', i),
        yaxis: axisId('y', i),
        name: claim.claim,
        showlegend: false,
        hovertemplate: 'prominence %{x}: %{y:.1f} %<extra></extra>',
      },
    )
  })
  const first = sweep[0]!
  const shares = sweep.filter((row) => claimKey(row) === claimKey(first))
  const text = (row: ProminenceRow) => `${(100 * row.waadShare).toFixed(0)} % at ${row.prominence}`
  const layout = baseLayout(options.title ?? 'Does it depend on what counts as a peak?', 330, {
    ...axes,
    shapes,
    annotations: claims.map((claim, i) => panelTitle(claimTitle(claim), places[i]!)),
    showlegend: false,
    hovermode: 'closest',
    margin: { l: 62, r: 20, t: 112, b: 52 },
  })
  const subtitle = `Dotted: the paper. Tokens that are WAAD peaks: ${text(shares[0]!)}, ${text(shares.at(-1)!)}`
  return { data, layout: withSubtitle(layout, subtitle), config: CONFIG }
}
