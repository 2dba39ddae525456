import { readFileSync } from 'node:fs'
import { compactSvg } from './compactSvg'
import type { Figure, PlotlyTrace } from './figure'
import { HeatmapCanvas } from './heatmapCanvas'
import { boxInRoot, localBox, type SvgElement, textLength } from './svgGeometry'
import { NEUTRAL } from './theme'

export interface StaticSvgOptions {
  /** Size in px; by default 900 wide and as high as the figure's layout says. */
  width?: number
  height?: number
}

/** Ink of a picture that stands on its own: it brings its white ground along, so that it reads in a dark theme too. */
const INK = '#333333'

interface PlotlyElement extends SvgElement {
  remove(): void
}
interface Plotly {
  newPlot(element: PlotlyElement, data: object[], layout: object, config: object): Promise<PlotlyElement>
  purge(element: PlotlyElement): void
  Snapshot: { toSVG(element: PlotlyElement, format: string): string }
}
interface Page {
  // biome-ignore lint/suspicious/noExplicitAny: jsdom's window, whose types are not worth a dependency
  window: any
  plotly: Plotly
}

let page: Page | undefined

/** Plotly in a DOM without a browser; 1.5 s the first time, then kept. */
function loadPage(): Page {
  if (page) return page
  // Loaded when first needed: a program that draws nothing does not pay for them.
  const { JSDOM } = require('jsdom') as { JSDOM: new (html: string, options: object) => { window: Page['window'] } }
  const { window } = new JSDOM('<!doctype html><html><body></body></html>', {
    runScripts: 'outside-only',
    pretendToBeVisual: false,
  })
  window.URL.createObjectURL = () => ''
  window.CSS = { supports: (name: string, value: string) => name === 'image-rendering' && value === 'pixelated' }
  Object.assign(window, { TextDecoder, TextEncoder })
  window.matchMedia ??= () => ({ matches: false, addListener() {}, removeListener() {} })
  const contexts = new WeakMap<object, HeatmapCanvas>()
  window.HTMLCanvasElement.prototype.getContext = function (kind: string) {
    if (kind !== '2d') return null
    if (!contexts.has(this)) contexts.set(this, new HeatmapCanvas(() => ({ width: this.width, height: this.height })))
    return contexts.get(this)
  }
  window.HTMLCanvasElement.prototype.toDataURL = function () {
    return contexts.get(this)?.toDataURL() ?? ''
  }
  const rectangle = (box: ReturnType<typeof localBox>) => {
    const { left, top, right, bottom } = box ?? { left: 0, top: 0, right: 0, bottom: 0 }
    return { x: left, y: top, left, top, right, bottom, width: right - left, height: bottom - top }
  }
  window.SVGElement.prototype.getBBox = function () {
    return rectangle(localBox(this))
  }
  window.SVGElement.prototype.getBoundingClientRect = function () {
    return rectangle(boxInRoot(this))
  }
  window.SVGElement.prototype.getComputedTextLength = function () {
    return textLength(this)
  }
  window.eval(readFileSync(require.resolve('plotly.js-dist'), 'utf8'))
  page = { window, plotly: window.Plotly }
  return page
}

/**
 * `figure` as a self-contained SVG document, drawn by Plotly without a browser. Its ids are its own, so that several can
 * stand in one page. Text sizes come from a table of character widths.
 */
export async function staticSvg(figure: Figure, options: StaticSvgOptions = {}): Promise<string> {
  const { window, plotly } = loadPage()
  const layout = figure.layout
  const width = options.width ?? 900
  const height = options.height ?? (layout.height as number | undefined) ?? 450
  const element = window.document.createElement('div')
  window.document.body.appendChild(element)
  try {
    // Plotly writes into what it is given: this is a copy. Its neutral lines, made for both themes, become ink.
    const copy = JSON.parse(JSON.stringify({ data: figure.data, layout }).replaceAll(NEUTRAL, INK)) as Figure
    for (const trace of copy.data) scaleMarks(trace, Math.min(1, Math.max(0.5, width / 900)))
    const onPaper = { width, height, autosize: false, paper_bgcolor: '#ffffff', plot_bgcolor: '#ffffff' }
    await plotly.newPlot(element, copy.data, { ...copy.layout, ...onPaper }, { staticPlot: true })
    const { documentElement } = new window.DOMParser().parseFromString(
      plotly.Snapshot.toSVG(element, 'svg'),
      'image/svg+xml',
    )
    return compactSvg(documentElement)
  } finally {
    plotly.purge(element)
    element.remove()
  }
}

/** Markers and lines of a narrow picture are finer. */
function scaleMarks(trace: PlotlyTrace, scale: number): void {
  const marker = trace.marker as { size?: number; line?: { width?: number } } | undefined
  const line = trace.line as { width?: number } | undefined
  if (typeof marker?.size === 'number') marker.size *= scale
  if (typeof marker?.line?.width === 'number') marker.line.width *= scale
  if (typeof line?.width === 'number') line.width *= Math.max(scale, 0.7)
}
