/** One Plotly trace, as plain data. */
export type PlotlyTrace = Record<string, unknown>

/** A Plotly figure as plain data: what `show` displays, `saveFigure` writes, and any Plotly front end draws. */
export interface Figure {
  data: PlotlyTrace[]
  layout: Record<string, unknown>
  config?: Record<string, unknown>
}

/** Text as a figure: HTML for a notebook, a self-contained SVG for paper, plain text for everything else. */
export interface TextFigure {
  html: string
  plain: string
  /** The picture, `columns` characters wide. Default 96. */
  svg(columns?: number): string
}

/** `value` to `digits` significant digits: what a figure shows needs no more, and the saved notebook stays light. */
export function significant(value: number, digits = 5): number {
  return Number.isFinite(value) ? Number(value.toPrecision(digits)) : value
}

/** Every number of `values` to `digits` significant digits; undefined numbers become null, which Plotly draws as a gap. */
export function significants(values: ArrayLike<number | null>, digits = 5): (number | null)[] {
  return Array.from(values, (value) =>
    value === null || !Number.isFinite(value) ? null : Number(value.toPrecision(digits)),
  )
}

/** The value below which the share `p` (0 to 1) of `values` lies; values that are not finite do not count. NaN if none is. */
export function percentile(values: ArrayLike<number>, p: number): number {
  const sorted = Float64Array.from(Array.from(values).filter(Number.isFinite)).sort()
  if (sorted.length === 0) return Number.NaN
  const at = p * (sorted.length - 1)
  const low = Math.floor(at)
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low)
}
