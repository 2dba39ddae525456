import type { CrossCorrelationRow } from '../analysis/crossCorrelation'
import type { Figure } from './figure'
import { lineWithBand, withSubtitle } from './panels'
import { axis, baseLayout, COLOURS, CONFIG, GRID_ON, LEGEND_ABOVE, NEUTRAL } from './theme'

const COLOUR: Record<string, string> = { FAI: COLOURS.fai, entropy: COLOURS.entropy }

/** Cross-correlation of WAAD with FAI and with entropy: the rhythm without any choice of peaks. Bands: 95 % over traces. */
export function laggedCorrelations(rows: readonly CrossCorrelationRow[], options: { title?: string } = {}): Figure {
  if (rows.length === 0) throw new Error('no rows to draw; give the table crossCorrelation of analyzeTraces')
  const data = [...new Set(rows.map(({ second }) => second))].flatMap((second) => {
    const found = rows.filter((row) => row.second === second)
    return lineWithBand(
      found.map(({ lag }) => lag),
      found.map(({ correlation, low, high }) => ({ value: correlation, low, high })),
      COLOUR[second] ?? COLOURS.receiver,
      { name: `WAAD and ${second}`, hovertemplate: `${second} %{x} tokens later: %{y:.3f}<extra></extra>` },
    )
  })
  const layout = baseLayout(options.title ?? 'Does the rhythm need peaks?', 360, {
    xaxis: axis('lag: tokens by which FAI or entropy comes after WAAD', {
      zeroline: true,
      zerolinecolor: NEUTRAL,
      dtick: 2,
      tick0: 0,
    }),
    yaxis: axis('correlation', { ...GRID_ON, zeroline: true, zerolinecolor: NEUTRAL }),
    legend: LEGEND_ABOVE,
    hovermode: 'closest',
    margin: { l: 62, r: 20, t: 98, b: 52 },
  })
  return {
    data,
    layout: withSubtitle(layout, `Mean of the correlations in ${rows[0]!.traces} traces`),
    config: CONFIG,
  }
}
