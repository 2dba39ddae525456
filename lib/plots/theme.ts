/**
 * The look that all figures share. Live figures have no background of their own: every colour here keeps a contrast of 3
 * or more (text: 4 or more) against JupyterLab's white and against its dark theme's #111.
 */

/** What each series is drawn in, everywhere. From Okabe and Ito's palette, which colour-blind readers can tell apart. */
export const COLOURS = {
  waad: '#0072b2',
  fai: '#d55e00',
  receiver: '#cc79a7',
  entropy: '#009e73',
} as const

/** Cividis, dark to bright, made for readers with and without colour blindness. */
export const SEQUENTIAL = [
  '#00224e',
  '#123570',
  '#3b496c',
  '#575d6d',
  '#707173',
  '#8a8678',
  '#a59c74',
  '#c3b369',
  '#e1cc55',
  '#fee838',
]

/** Text and lines that must be legible on white and on #111 alike. */
export const NEUTRAL = '#7a7a7a'
const GRID = 'rgba(128, 128, 128, 0.22)'
const TRANSPARENT = 'rgba(0, 0, 0, 0)'

export const FONT_FAMILY = 'Helvetica, Arial, Liberation Sans, sans-serif'

/** Font sizes in px at screen size. */
export const FONT_SIZES = { title: 15, axisTitle: 12, tick: 11, legend: 12 } as const

/** What every axis looks like; spread it, then add the axis's own settings. */
export function axis(title: string | null, settings: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    ...(title === null ? {} : { title: { text: title, font: { size: FONT_SIZES.axisTitle }, standoff: 8 } }),
    tickfont: { size: FONT_SIZES.tick },
    gridcolor: GRID,
    linecolor: NEUTRAL,
    tickcolor: NEUTRAL,
    zeroline: false,
    showgrid: false,
    ticks: 'outside',
    ticklen: 4,
    ...settings,
  }
}

export const GRID_ON = { showgrid: true, gridcolor: GRID } as const

/** Layout shared by all figures. `height` in px; the width is that of the notebook cell. */
export function baseLayout(
  title: string,
  height: number,
  settings: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    title: { text: title, font: { size: FONT_SIZES.title }, x: 0, xref: 'container', xanchor: 'left', pad: { l: 10 } },
    height,
    autosize: true,
    margin: { l: 62, r: 20, t: 74, b: 52 },
    font: { family: FONT_FAMILY, size: FONT_SIZES.legend, color: NEUTRAL },
    paper_bgcolor: TRANSPARENT,
    plot_bgcolor: TRANSPARENT,
    hoverlabel: { bgcolor: '#24292f', bordercolor: '#8c959f', font: { color: '#ffffff', size: 12 }, align: 'left' },
    modebar: { bgcolor: TRANSPARENT, color: NEUTRAL, activecolor: COLOURS.waad },
    ...settings,
  }
}

/**
 * Plotly settings of every live figure. Not `responsive`: JupyterLab resizes figures itself, and Plotly's own way lets them
 * collapse to no height when the theme changes.
 */
export const CONFIG: Record<string, unknown> = {
  displaylogo: false,
  modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d'],
}

/** A horizontal legend between title and plot. */
export const LEGEND_ABOVE: Record<string, unknown> = {
  orientation: 'h',
  x: 0,
  xanchor: 'left',
  y: 1,
  yanchor: 'bottom',
  bgcolor: TRANSPARENT,
  font: { size: FONT_SIZES.legend },
  itemsizing: 'constant',
}

/** Round numbers 1, 2, 5 x 10^n from `low` to `high`, for the ticks of a logarithmic scale; only 10^n beyond `most` of them. */
export function logTicks(low: number, high: number, most = 8): number[] {
  const ticks: number[] = []
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.ceil(Math.log10(high)); exponent++) {
    for (const step of [1, 2, 5]) {
      const tick = Number(`${step}e${exponent}`)
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick)
    }
  }
  const decades = ticks.filter((tick) => Number.isInteger(Number(Math.log10(tick).toFixed(6))))
  return ticks.length <= most || decades.length < 2 ? ticks : decades
}

/** `SEQUENTIAL` as a Plotly colour scale, even in z. */
export function evenScale(): [number, string][] {
  return SEQUENTIAL.map((colour, i) => [i / (SEQUENTIAL.length - 1), colour])
}

/** `SEQUENTIAL` as a Plotly colour scale of z in [0, high] that runs by the logarithm of z from `low` on. */
export function logScale(low: number, high: number): [number, string][] {
  const last = SEQUENTIAL.length - 1
  const stops = SEQUENTIAL.map((colour, i): [number, string] => [(low / high) ** (1 - i / last), colour])
  return [[0, SEQUENTIAL[0]], ...stops.slice(0, -1), [1, SEQUENTIAL[last]]]
}
