import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { inflateSync } from 'node:zlib'
import { attentionMaps, colouredText, headSpans, rhythmTraces, saveFigure, staticSvg } from '../../lib/plots'
import { encodePng } from '../../lib/plots/pngImage'
import { textWidth } from '../../lib/plots/textWidth'
import { sampleTrace } from './sampleTrace'

interface Node {
  textContent: string | null
  getAttribute(name: string): string | null
  querySelector(selector: string): Node | null
  querySelectorAll(selector: string): ArrayLike<Node>
}
const parse = (svg: string): Node => {
  const { JSDOM } = require('jsdom')
  return new new JSDOM('').window.DOMParser().parseFromString(svg, 'image/svg+xml')
}
const texts = (svg: string) => Array.from(parse(svg).querySelectorAll('text'), (text) => text.textContent)

test('figures are small, self-contained and well-formed SVG', async () => {
  const trace = sampleTrace()
  for (const figure of [headSpans(trace), attentionMaps(trace), rhythmTraces(trace)]) {
    const svg = await staticSvg(figure)
    assert.ok(svg.length < 150_000, `${svg.length} characters`)
    assert.equal(parse(svg).querySelector('parsererror'), null)
    assert.doesNotMatch(svg, /<script|<foreignObject|href="(?!#|data:image\/png)/)
    assert.doesNotMatch(svg, /NaN|undefined/)
  }
})

test('what the figure says is in the SVG', async () => {
  const trace = sampleTrace()
  const written = texts(await staticSvg(headSpans(trace)))
  for (const text of ['81 local heads', '16 receiver heads', 'layer', 'span (tokens)'])
    assert.ok(written.includes(text))
  const svg = await staticSvg(rhythmTraces(trace))
  assert.ok(texts(svg).some((text) => text?.includes('WAAD')))
  const peaks = trace.rhythm.analysis.peaks['0.25']
  const marks = peaks.waad.length + peaks.fai.length + trace.rhythm.receiver.peaks['0.25'].length
  assert.equal(parse(svg).querySelectorAll('use').length, marks)
})

test('head spans are vectors, one cell a head; attention maps are pictures of one pixel a cell', async () => {
  const trace = sampleTrace()
  const spans = parse(await staticSvg(headSpans(trace)))
  assert.equal(spans.querySelectorAll('g[shape-rendering] rect').length, 270)
  const maps = parse(await staticSvg(attentionMaps(trace)))
  const image = maps.querySelector('image')!
  const png = Buffer.from(image.getAttribute('xlink:href')!.split(',')[1], 'base64')
  assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [246, 246])
})

test('ids belong to one picture: two different figures in a page never clash, references hold', async () => {
  const trace = sampleTrace()
  const [a, b] = [await staticSvg(headSpans(trace)), await staticSvg(rhythmTraces(trace))]
  const ids = (svg: string) => [...svg.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1])
  assert.ok(ids(a).length > 0 && ids(b).length > 0)
  assert.deepEqual(
    ids(a).filter((id) => ids(b).includes(id)),
    [],
  )
  for (const svg of [a, b]) {
    for (const [, id] of svg.matchAll(/(?:url\(#|href="#)([^")]+)/g)) assert.ok(ids(svg).includes(id), id)
  }
})

test('the same figure gives the same SVG', async () => {
  const figure = headSpans(sampleTrace())
  assert.equal(await staticSvg(figure), await staticSvg(figure))
})

test('a PNG holds the pixels it was given: palette and full colour', () => {
  const pixels = Uint8Array.from({ length: 3 * 2 * 4 }, (_, i) => (i * 37) % 256)
  const png = encodePng(pixels, 3, 2)
  assert.equal(png.subarray(1, 4).toString(), 'PNG')
  const chunks = new Map<string, Buffer>()
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    chunks.set(png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, at + 8 + png.readUInt32BE(at)))
  }
  const raw = inflateSync(chunks.get('IDAT')!)
  const [palette, alpha] = [chunks.get('PLTE')!, chunks.get('tRNS')!]
  for (let i = 0; i < 6; i++) {
    const index = raw[Math.floor(i / 3) * 4 + 1 + (i % 3)]
    assert.deepEqual(
      [...palette.subarray(3 * index, 3 * index + 3), alpha[index]],
      [...pixels.subarray(4 * i, 4 * i + 4)],
    )
  }
  const many = Uint8Array.from({ length: 20 * 20 * 4 }, (_, i) => Math.imul(i, 2654435761) >>> 24)
  assert.equal(encodePng(many, 20, 20)[25], 6)
  assert.throws(() => encodePng(pixels, 4, 2), /4 x 2 pixels take 32 bytes, got 24/)
})

test('text widths: Helvetica, an em of 1000 units', () => {
  // a 556, i 222, W 944 (Adobe's font metrics)
  assert.ok(Math.abs(textWidth('aiW', 10) - 17.22) < 1e-9)
  assert.equal(textWidth('漢', 10), 10)
})

test('a figure is saved at its width in print, as SVG and as PDF with its fonts embedded', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rhythm-figures-'))
  try {
    const trace = sampleTrace()
    const svg = readFileSync(await saveFigure(headSpans(trace), join(folder, 'a', 'spans.svg')), 'utf8')
    assert.match(svg, /^<svg width="84mm" height="[\d.]+mm" viewBox="0 0 [\d.]+ [\d.]+"/)
    const pdf = readFileSync(await saveFigure(attentionMaps(trace), join(folder, 'maps.pdf'), { width: 'page' }))
    assert.equal(pdf.subarray(0, 5).toString(), '%PDF-')
    const page = /\/MediaBox \[0 0 ([\d.]+)/.exec(pdf.toString('latin1'))!
    assert.ok(Math.abs(Number(page[1]) - (174 / 25.4) * 72) < 0.1)
    assert.match(pdf.toString('latin1'), /\/FontFile2/)
    const text = readFileSync(await saveFigure(colouredText(trace), join(folder, 'text.pdf')), 'latin1')
    assert.match(text, /DejaVu/)
    await assert.rejects(saveFigure(headSpans(trace), join(folder, 'spans.png')), /'png'; name it \.svg or \.pdf/)
    await assert.rejects(saveFigure(headSpans(trace), join(folder, 'a.svg'), { width: 0 }), /invalid width 0/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
