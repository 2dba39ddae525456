import type { Figure, PlotlyTrace } from './figure'
import { significant, significants } from './figure'
import { errorBars, type Interval } from './panels'
import { NEUTRAL } from './theme'

/** What one arm has in a figure of dots: a mean with its interval, and a dot for each seed. All in the figure's unit. */
export interface DotArm {
  arm: string
  colour: string
  interval: Interval
  /** Values with what they are called when one points at them. */
  seeds: { value: number; name: string }[]
}

/** Arms as rows from top to bottom: seeds as small dots, means as large ones with intervals. `on`: axes of a panel. */
export function dotTraces(arms: readonly DotArm[], unit: string, on: PlotlyTrace = {}): Figure['data'] {
  return arms.flatMap(({ arm, colour, interval, seeds }): PlotlyTrace[] => [
    {
      type: 'scatter',
      mode: 'markers',
      x: significants(seeds.map(({ value }) => value)),
      y: seeds.map(() => arm),
      customdata: seeds.map(({ name }) => name),
      marker: { color: colour, size: 5, opacity: 0.45 },
      hovertemplate: `${arm}, %{customdata}: %{x:.1f} ${unit}<extra></extra>`,
      showlegend: false,
      ...on,
    },
    {
      type: 'scatter',
      mode: 'markers',
      x: interval.value === null ? [] : [significant(interval.value)],
      y: interval.value === null ? [] : [arm],
      marker: { color: colour, size: 10 },
      error_x: errorBars([interval], { color: colour, thickness: 2 }),
      hovertemplate: `${arm}: %{x:.1f} ${unit}<extra></extra>`,
      showlegend: false,
      ...on,
    },
  ])
}

/** The paper's values as open diamonds in the same rows. */
export function paperDiamonds(
  values: readonly { arm: string; value: number | null }[],
  unit: string,
  on: PlotlyTrace = {},
): PlotlyTrace {
  const known = values.filter(({ value }) => value !== null)
  return {
    type: 'scatter',
    mode: 'markers',
    x: significants(known.map(({ value }) => value)),
    y: known.map(({ arm }) => arm),
    marker: { color: NEUTRAL, size: 10, symbol: 'diamond-open', line: { width: 1.6 } },
    hovertemplate: `paper, %{y}: %{x:.1f} ${unit}<extra></extra>`,
    showlegend: false,
    ...on,
  }
}

/** A category axis that has the arms from top to bottom. */
export const armRowsAxis = (arms: readonly string[]): Record<string, unknown> => ({
  type: 'category',
  categoryorder: 'array',
  categoryarray: [...arms].reverse(),
  range: [-0.5, arms.length - 0.5],
  automargin: true,
})

/** A vertical line at `x` through a panel. */
export function uprightLine(x: number, xaxis = 'x', yaxis = 'y'): object {
  return {
    type: 'line',
    xref: xaxis,
    yref: `${yaxis} domain`,
    x0: x,
    x1: x,
    y0: 0,
    y1: 1,
    line: { color: NEUTRAL, width: 1.2, dash: 'dot' },
  }
}
