import { readFileSync } from 'node:fs'
import { compileFunction } from 'node:vm'
import { localBox, type SvgElement, textLength } from './svgGeometry'

// biome-ignore-start lint/suspicious/noExplicitAny: jsdom's window and jsPDF's document, whose types belong to a browser
const MM_TO_POINTS = 72 / 25.4

/** DejaVu Sans Condensed is as wide as Helvetica, for which the figures are laid out. */
const SANS = { family: 'DejaVu Sans Condensed', file: 'DejaVuSansCondensed.ttf' }
const MONO = { family: 'DejaVu Sans Mono', file: 'DejaVuSansMono.ttf' }

/**
 * PDF of an SVG whose width and height are in mm: vectors stay vectors, text stays text. The fonts are embedded, as
 * conferences ask for, and have the signs that a token may hold (↵, →, Greek, Cyrillic; not East Asian scripts).
 */
export async function svgToPdf(svg: string): Promise<Uint8Array> {
  const { JSDOM } = require('jsdom') as { JSDOM: new (html: string) => { window: any } }
  const { jsPDF } = require('jspdf') as { jsPDF: new (options: object) => any }
  const { window } = new JSDOM('<!doctype html><html><body></body></html>')
  const root = new window.DOMParser().parseFromString(svg, 'image/svg+xml').documentElement
  const millimetres = (name: string) => {
    const value = /^([\d.]+)mm$/.exec(root.getAttribute(name) ?? '')
    if (!value) throw new Error(`the SVG's ${name} is '${root.getAttribute(name)}'; expected millimetres, like '84mm'`)
    return Number(value[1]) * MM_TO_POINTS
  }
  const [width, height] = [millimetres('width'), millimetres('height')]
  const orientation = width > height ? 'l' : 'p'
  const pdf = new jsPDF({ unit: 'pt', format: [width, height], orientation, compress: true, putOnlyUsedFonts: true })
  for (const { family, file } of [SANS, MONO]) {
    pdf.addFileToVFS(file, readFileSync(require.resolve(`dejavu-fonts-ttf/ttf/${file}`)).toString('base64'))
    pdf.addFont(file, family, 'normal')
  }
  for (const text of Array.from<any>(root.querySelectorAll('text'))) {
    const mono = /mono/i.test(text.closest('[font-family]')?.getAttribute('font-family') ?? '')
    text.removeAttribute('textLength')
    text.style.fontFamily = `"${(mono ? MONO : SANS).family}"`
  }
  const textWidth = (text: string, mono: boolean, size: number): number =>
    pdf.setFont((mono ? MONO : SANS).family).getStringUnitWidth(text) * size
  await withBrowserGlobals(window, textWidth, async () => {
    const svg2pdf = loadSvg2pdf()
    window.document.body.appendChild(window.document.importNode(root, true))
    await svg2pdf(window.document.body.firstChild, pdf, { x: 0, y: 0, width, height })
  })
  return new Uint8Array(pdf.output('arraybuffer'))
}

type Svg2pdf = (element: object, pdf: object, options: object) => Promise<unknown>

/** svg2pdf.js is written for CommonJS, but its package.json says `"type": "module"`, so that `require` reads it wrongly. */
function loadSvg2pdf(): Svg2pdf {
  const file = require.resolve('svg2pdf.js')
  const module = { exports: {} as { svg2pdf: Svg2pdf } }
  const load = compileFunction(readFileSync(file, 'utf8'), ['exports', 'require', 'module'], { filename: file })
  load(module.exports, require, module)
  return module.exports.svg2pdf
}

/** svg2pdf.js measures text and looks for a browser's globals: lends it jsdom's while `work` runs. */
async function withBrowserGlobals(
  window: any,
  textWidth: (text: string, mono: boolean, size: number) => number,
  work: () => Promise<void>,
): Promise<void> {
  window.SVGElement.prototype.getBBox = function () {
    const box = localBox(this as SvgElement) ?? { left: 0, top: 0, right: 0, bottom: 0 }
    return { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }
  }
  window.SVGElement.prototype.getComputedTextLength = function () {
    return textLength(this as SvgElement)
  }
  window.HTMLCanvasElement.prototype.getContext = () => ({
    font: '',
    measureText(text: string) {
      const size = Number.parseFloat(/([\d.]+)px/.exec(this.font)?.[1] ?? '12')
      return { width: textWidth(text, /mono/i.test(this.font), size) }
    },
  })
  const lent: Record<string, unknown> = {
    window,
    document: window.document,
    DOMParser: window.DOMParser,
    getComputedStyle: window.getComputedStyle.bind(window),
    Image: PngSize,
  }
  const before = Object.keys(lent).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const)
  for (const [name, value] of Object.entries(lent)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  }
  try {
    await work()
  } finally {
    for (const [name, descriptor] of before) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor)
      else delete (globalThis as any)[name]
    }
  }
}

/** A browser's `Image`, as far as it tells the size of a PNG in a data URL. */
class PngSize {
  width = 0
  height = 0
  onload = () => {}
  onerror: (reason: Error) => void = () => {}

  set src(url: string) {
    const png = Buffer.from(url.slice(url.indexOf(',') + 1), 'base64')
    if (png.toString('latin1', 12, 16) === 'IHDR') {
      this.width = png.readUInt32BE(16)
      this.height = png.readUInt32BE(20)
      this.onload()
    } else this.onerror(new Error('expected a PNG in a data URL'))
  }
}
// biome-ignore-end lint/suspicious/noExplicitAny: see above
