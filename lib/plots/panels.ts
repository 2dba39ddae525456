import { PAPER_VALUES } from '../analysis/paperValues'
import type { PlotlyTrace } from './figure'
import { significants } from './figure'
import { FONT_SIZES } from './theme'

/** Where one of several panels lies, as shares of the plot's width and height. */
export interface PanelPlace {
  x: [number, number]
  y: [number, number]
}

/** `count` panels of one size in rows of `columns`, the first at the top left. Gaps are shares of the whole. */
export function panelGrid(count: number, columns: number, gapX: number, gapY = 0): PanelPlace[] {
  const rows = Math.ceil(count / columns)
  const width = (1 - gapX * (columns - 1)) / columns
  const height = (1 - gapY * (rows - 1)) / rows
  return Array.from({ length: count }, (_, i) => {
    const left = (i % columns) * (width + gapX)
    const top = 1 - Math.floor(i / columns) * (height + gapY)
    const inside = (value: number) => Math.min(1, Math.max(0, value))
    return { x: [inside(left), inside(left + width)], y: [inside(top - height), inside(top)] }
  })
}

/** Plotly's name of an axis of panel `i`: `x`, `x2`, … in traces. */
export const axisId = (letter: 'x' | 'y', i: number) => (i === 0 ? letter : `${letter}${i + 1}`)

/** The same in the layout: `xaxis`, `xaxis2`, … */
export const axisKey = (letter: 'x' | 'y', i: number) => `${letter}axis${i === 0 ? '' : i + 1}`

/** A panel's title, above its left corner. */
export function panelTitle(text: string, { x, y }: PanelPlace): object {
  return {
    text,
    xref: 'paper',
    yref: 'paper',
    x: x[0],
    y: y[1],
    xanchor: 'left',
    yanchor: 'bottom',
    align: 'left',
    showarrow: false,
    font: { size: FONT_SIZES.axisTitle },
  }
}

/** A value with its interval; null where there is none. */
export interface Interval {
  value: number | null
  low: number | null
  high: number | null
}

/** Plotly's error bars; a value without an interval has none. */
export function errorBars(intervals: readonly Interval[], settings: Record<string, unknown> = {}): object {
  const side = (of: (interval: Interval) => number | null) => significants(intervals.map((i) => of(i) ?? 0))
  const known = ({ value, low, high }: Interval) => value !== null && low !== null && high !== null
  return {
    type: 'data',
    symmetric: false,
    array: side((i) => (known(i) ? i.high! - i.value! : null)),
    arrayminus: side((i) => (known(i) ? i.value! - i.low! : null)),
    thickness: 1.5,
    width: 0,
    ...settings,
  }
}

/** A line through the values and, behind it, the band of their intervals. */
export function lineWithBand(
  x: readonly number[],
  intervals: readonly Interval[],
  colour: string,
  settings: PlotlyTrace = {},
): PlotlyTrace[] {
  const banded = x.flatMap((at, i) => {
    const { low, high } = intervals[i]!
    return low === null || high === null ? [] : [{ at, low, high }]
  })
  const { name, showlegend, hovertemplate, ...axes } = settings
  const band: PlotlyTrace = {
    type: 'scatter',
    mode: 'lines',
    x: significants([...banded.map(({ at }) => at), ...banded.map(({ at }) => at).reverse()]),
    y: significants([...banded.map(({ high }) => high), ...banded.map(({ low }) => low).reverse()]),
    fill: 'toself',
    fillcolor: translucent(colour),
    line: { width: 0, color: colour },
    hoverinfo: 'skip',
    showlegend: false,
    ...axes,
  }
  const line: PlotlyTrace = {
    type: 'scatter',
    mode: 'lines+markers',
    x: significants(x),
    y: significants(intervals.map(({ value }) => value)),
    line: { color: colour, width: 1.6 },
    marker: { color: colour, size: 5 },
    ...{ name, showlegend, hovertemplate },
    ...axes,
  }
  return [...(banded.length > 1 ? [band] : []), line]
}

/** `#rrggbb` as a colour that the page shows through. */
export function translucent(colour: string, opacity = 0.2): string {
  const [r, g, b] = [1, 3, 5].map((i) => Number.parseInt(colour.slice(i, i + 2), 16))
  return `rgba(${r}, ${g}, ${b}, ${opacity})`
}

/** A lift or another share, in percent. */
export const percent = (share: number | null): number | null => (share === null ? null : 100 * share)

/** Lift and interval of a row, in percent. */
export const liftInterval = (row: {
  lift: number | null
  liftLow: number | null
  liftHigh: number | null
}): Interval => ({ value: percent(row.lift), low: percent(row.liftLow), high: percent(row.liftHigh) })

/** The rows of the first peak mode in `rows`, or of the one that is asked for. Throws if there is none of it. */
export function ofPeakMode<Row extends { peakMode: string | null }>(rows: readonly Row[], peakMode?: string): Row[] {
  if (rows.length === 0) throw new Error('no rows to draw; give a table of analyzeTraces that is not empty')
  const wanted = peakMode ?? rows[0]!.peakMode
  const found = rows.filter((row) => row.peakMode === wanted)
  if (found.length > 0) return found
  const known = [...new Set(rows.map((row) => row.peakMode))]
  throw new Error(`no rows of peak mode '${wanted}'; the table has ${known.join(', ')}`)
}

/** The four rows of Table 2 as panel titles. */
export function claimTitle({ row, alignment }: { row: number; alignment: string | null }): string {
  if (row === 1)
    return alignment === 'next token' ? 'Entropy of the token<br>after a WAAD peak' : 'Entropy<br>at WAAD peaks'
  return row === 2 ? 'FAI peaks<br>at receiver-FAI peaks' : 'WAAD peaks<br>at or before FAI peaks'
}

/** What tells the rows of Table 2 apart. */
export const claimKey = ({ row, alignment }: { row: number; alignment: string | null }) => `${row} ${alignment ?? ''}`

/** A thin line across panel `i` at height `y`, for what the panel's values are compared with. */
export function levelLine(y: number, i: number, colour: string, dash = 'dot'): object {
  return {
    type: 'line',
    xref: `${axisId('x', i)} domain`,
    yref: axisId('y', i),
    x0: 0,
    x1: 1,
    y0: y,
    y1: y,
    line: { color: colour, width: 1.2, dash },
  }
}

/** `title` with a second, smaller line. */
export function withSubtitle(layout: Record<string, unknown>, text: string): Record<string, unknown> {
  const subtitle = { text, font: { size: FONT_SIZES.axisTitle } }
  const place = { y: 1, yref: 'container', yanchor: 'top', pad: { l: 10, t: 14 } }
  return { ...layout, title: { ...(layout.title as object), ...place, subtitle } }
}

/** The claims of Table 2 that rows are of, in their order. */
export function claimsIn<Row extends { row: number; alignment: string | null }>(rows: readonly Row[]): Row[] {
  return [...new Map(rows.map((row) => [claimKey(row), row])).values()]
}

/** The paper's lift of a row of Table 2, in percent. */
export function paperLift(row: number): number | null {
  return percent(PAPER_VALUES.find((value) => value.table === '2' && value.row === row)?.lift ?? null)
}
