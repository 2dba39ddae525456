import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, extname } from 'node:path'
import type { Figure, TextFigure } from './figure'
import { staticSvg } from './staticSvg'
import { svgToPdf } from './svgToPdf'

/** Widths of a two-column paper's column and of its whole text block, in mm. */
export const PAPER_WIDTHS = { column: 84, page: 174 } as const

export interface SaveFigureOptions {
  /** Width on paper: a name, or millimetres. Default 'column'. */
  width?: keyof typeof PAPER_WIDTHS | number
  /** Height on paper in millimetres. Default: what the figure's own height asks for. */
  heightMm?: number
  /** Default: by the path's extension. */
  format?: 'svg' | 'pdf'
  /** Draw the title. Default false: in a paper the caption says it. */
  title?: boolean
}

/** Layout px for a millimetre of paper: type of 11 px is printed at 7 points. */
const PX_PER_MM = 4.45

/** Width of a fixed-width character of 7 points. */
const MM_PER_CHARACTER = 1.49

/**
 * Writes a figure for a paper, at its width in print and with type of 7 points or more, as SVG or PDF, without a browser.
 * Returns the path. Throws if the format is neither, or the width is not positive.
 */
export async function saveFigure(
  figure: Figure | TextFigure,
  path: string,
  options: SaveFigureOptions = {},
): Promise<string> {
  const { width = 'column', title = false } = options
  const widthMm = typeof width === 'number' ? width : PAPER_WIDTHS[width]
  if (!(widthMm > 0)) {
    throw new Error(`invalid width ${width}; expected 'column', 'page' or millimetres above 0`)
  }
  const format = options.format ?? extname(path).slice(1).toLowerCase()
  if (format !== 'svg' && format !== 'pdf') {
    throw new Error(
      `cannot write a figure to '${path}': its format is '${format}'; name it .svg or .pdf, or give format`,
    )
  }
  const drawn =
    'svg' in figure
      ? figure.svg(Math.floor(widthMm / MM_PER_CHARACTER))
      : await forPaper(figure, widthMm, options.heightMm, title)
  const svg = sizedSvg(drawn, widthMm)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, format === 'svg' ? svg : await svgToPdf(svg))
  return path
}

async function forPaper(
  figure: Figure,
  widthMm: number,
  heightMm: number | undefined,
  title: boolean,
): Promise<string> {
  const own = figure.layout
  const screenHeight = (own.height as number | undefined) ?? 450
  const margin = (own.margin ?? {}) as { t?: number }
  // Without a title its line goes, and a narrow figure is less high.
  const above = title ? 0 : 44
  const width = widthMm * PX_PER_MM
  const height = heightMm ? heightMm * PX_PER_MM : screenHeight * Math.min(1, Math.max(0.75, width / 900)) - above
  const layout = {
    ...own,
    ...(title ? {} : { title: { text: '' }, margin: { ...margin, t: Math.max(10, (margin.t ?? 74) - above) } }),
  }
  return staticSvg({ ...figure, layout }, { width: Math.round(width), height: Math.round(height) })
}

/** `svg` with its size given in mm, so that it is placed at its size in print. */
function sizedSvg(svg: string, widthMm: number): string {
  const opening = /<svg\b[^>]*>/.exec(svg)![0]
  const size = (name: string) => Number.parseFloat(new RegExp(`\\s${name}="([\\d.]+)`).exec(opening)![1])
  const [width, height] = [size('width'), size('height')]
  const heightMm = Number(((widthMm * height) / width).toFixed(2))
  const sized = opening
    .replace(/\s(width|height|viewBox)="[^"]*"/g, '')
    .replace(/^<svg/, `<svg width="${widthMm}mm" height="${heightMm}mm" viewBox="0 0 ${width} ${height}"`)
  return svg.replace(opening, sized)
}
