import type { Figure, TextFigure } from '../plots/figure'
import { staticSvg } from '../plots/staticSvg'
import { type TableOptions, type TableSource, tableHtml, tableOf, tableText } from './table'
import { type MimeBundle, tslabHost } from './tslabHost'

/**
 * Shows a figure in the running cell: live Plotly, beside it the same picture as SVG, which stays in the saved notebook and
 * in HTML; of a coloured text, its HTML. Outside a notebook it prints what would be there and how to write it to a file.
 */
export async function show(figure: Figure | TextFigure): Promise<void> {
  const host = tslabHost()
  if ('html' in figure) {
    if (host) host.display({ 'text/html': figure.html, 'text/plain': figure.plain })
    else console.log(figure.plain)
    return
  }
  const plain = `figure: ${titleOf(figure)}`
  if (!host) {
    console.log(`${plain} (shown in a notebook; saveFigure(figure, 'figure.svg') writes it to a file)`)
    return
  }
  host.display(figureBundle(figure, await staticSvg(figure)))
}

/** A figure as a cell's output holds it: live, and as the picture `svg`. */
export function figureBundle(figure: Figure, svg: string): MimeBundle {
  return {
    'application/vnd.plotly.v1+json': light(figure) as object,
    'image/svg+xml': svg,
    'text/plain': `figure: ${titleOf(figure)}`,
  }
}

/** Shows HTML in the running cell; elsewhere, and in front ends without HTML, `plain`. Escape what is not yours. */
export function showText(html: string, plain: string = html.replace(/<[^>]*>/g, '')): void {
  const host = tslabHost()
  if (host) host.display({ 'text/html': html, 'text/plain': plain })
  else console.log(plain)
}

/** Shows rows, an arquero table or a danfojs data frame as a table, numbers to the right; on a terminal as aligned text. */
export function showTable(source: TableSource, options: TableOptions = {}): void {
  const table = tableOf(source, options)
  const host = tslabHost()
  if (host) host.display({ 'text/html': tableHtml(table), 'text/plain': tableText(table) })
  else console.log(tableText(table))
}

function titleOf(figure: Figure): string {
  const title = figure.layout.title as { text?: string } | string | undefined
  const text = typeof title === 'string' ? title : title?.text
  return text || 'untitled'
}

/** A copy that JSON can hold, with five significant digits: a saved notebook stays small. */
function light(value: unknown): unknown {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return null
    return Number.isInteger(value) ? value : Number(value.toPrecision(5))
  }
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return Array.from(value as Float32Array, light)
  if (Array.isArray(value)) return value.map(light)
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, light(entry)]))
  }
  return value
}
