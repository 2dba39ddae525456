import type { EventAverageRow } from '../analysis/eventAverages'
import type { Figure } from './figure'
import { levelLine, lineWithBand, ofPeakMode, withSubtitle } from './panels'
import { axis, baseLayout, COLOURS, CONFIG, GRID_ON, NEUTRAL } from './theme'

/** The beat itself: entropy around WAAD peaks, with 95 % intervals over traces; dotted: its mean over all tokens. */
export function entropyBeat(
  rows: readonly EventAverageRow[],
  options: { peakMode?: string; title?: string } = {},
): Figure {
  const drawn = ofPeakMode(rows, options.peakMode)
  const { peakMode, traces, baseline, events } = drawn.find(({ offset }) => offset === 0) ?? drawn[0]!
  const layout = baseLayout(options.title ?? 'Is the model unsure where it looks back?', 340, {
    xaxis: axis('tokens after the WAAD peak', { dtick: 1, tick0: 0 }),
    yaxis: axis('entropy (nats)', GRID_ON),
    shapes: baseline === null ? [] : [levelLine(baseline, 0, NEUTRAL)],
    showlegend: false,
    hovermode: 'closest',
  })
  return {
    data: lineWithBand(
      drawn.map(({ offset }) => offset),
      drawn.map(({ mean, low, high }) => ({ value: mean, low, high })),
      COLOURS.entropy,
      { name: 'entropy', hovertemplate: '%{x} after the peak: %{y:.3f} nats<extra></extra>' },
    ),
    layout: withSubtitle(layout, `${events} peaks in ${traces} traces (${peakMode}); dotted: the mean of all tokens`),
    config: CONFIG,
  }
}
