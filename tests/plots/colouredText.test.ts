import assert from 'node:assert/strict'
import { test } from 'node:test'
import { colouredText } from '../../lib/plots'
import { shades } from '../../lib/plots/colouredText'
import { COLOURS, NEUTRAL } from '../../lib/plots/theme'
import { sampleTrace } from './sampleTrace'

const channels = (colour: string) =>
  colour.startsWith('#')
    ? [1, 3, 5].map((i) => Number.parseInt(colour.slice(i, i + 2), 16))
    : colour.match(/[\d.]+/g)!.map(Number)

/** Contrast of two opaque colours (WCAG 2). */
function contrast(a: number[], b: number[]): number {
  const luminance = (colour: number[]) => {
    const [r, g, blue] = colour.slice(0, 3).map((part) => {
      const value = part / 255
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * blue
  }
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (high + 0.05) / (low + 0.05)
}

/** JupyterLab's two themes: ground and text. */
const THEMES = [
  { ground: '#ffffff', text: '#212121' },
  { ground: '#111111', text: '#e0e0e0' },
].map((theme) => ({ ground: channels(theme.ground), text: channels(theme.text) }))

test('text stands out on every level in both themes: a contrast of 4.3 or more', () => {
  for (const colour of [COLOURS.waad, COLOURS.fai, COLOURS.receiver]) {
    for (const shade of shades(colour)) {
      for (const { ground, text } of THEMES) {
        const [r, g, b, alpha = 1] = shade.background ? channels(shade.background) : [...ground]
        const background = [r, g, b].map((part, i) => alpha * part + (1 - alpha) * ground[i])
        const ratio = contrast(background, shade.text ? channels(shade.text) : text)
        assert.ok(ratio >= 4.3, `${colour} ${shade.background}: ${ratio.toFixed(2)}`)
      }
    }
  }
})

test('lines and text of the figures stand out in both themes', () => {
  for (const { ground } of THEMES) {
    for (const colour of Object.values(COLOURS)) assert.ok(contrast(channels(colour), ground) >= 3, colour)
    assert.ok(contrast(channels(NEUTRAL), ground) >= 4)
  }
})

test('each token has its own colour and says its position, text and value', () => {
  const trace = sampleTrace()
  const { html } = colouredText(trace)
  const titles = [...html.matchAll(/<span title="([^"]*)"/g)].map((match) => match[1])
  assert.equal(titles.length, 246)
  const waad = (trace.rhythm.analysis.waad[3] as number).toPrecision(3)
  assert.ok(titles[3].startsWith('3 ') && titles[3].endsWith(`WAAD ${waad} tokens`), titles[3])
  assert.match(html, /white-space:pre-wrap/)
  assert.match(html, /WAAD \(tokens\)/)
})

test('the highest value gets the strongest level, the lowest none', () => {
  const trace = sampleTrace()
  const values = Array.from(trace.rhythm.analysis.waad, Number)
  const spans = colouredText(trace).html.match(/<span title="[^>]*>/g)!
  assert.match(spans[values.indexOf(Math.max(...values))], /background:#0072b2;color:#ffffff/)
  assert.doesNotMatch(spans[values.indexOf(Math.min(...values))], /background/)
})

test('token text is escaped in HTML and SVG', () => {
  const trace = sampleTrace()
  const tokens = [...trace.tokens]
  tokens[trace.rhythm.promptLength] = '<img src=x onerror="alert(1)">&'
  const figure = colouredText({ ...trace, tokens })
  for (const text of [figure.html, figure.svg()]) {
    assert.doesNotMatch(text, /<img/)
    assert.match(text, /&lt;img src=x onerror=&quot;alert\(1\)&quot;&gt;&amp;/)
  }
})

test('the SVG breaks lines at its width', () => {
  const { svg } = colouredText(sampleTrace())
  const height = (text: string) => Number(/height="(\d+)"/.exec(text)![1])
  assert.ok(height(svg(48)) > height(svg(96)) + 100)
  const xs = [...svg(48).matchAll(/<text x="([\d.]+)" y="\d+" textLength="([\d.]+)"/g)]
  assert.ok(xs.length > 50)
  for (const [, x, length] of xs) assert.ok(Number(x) + Number(length) <= 12 + 48 * 7.2 + 0.2)
})

test('an unknown series is refused', () => {
  assert.throws(() => colouredText(sampleTrace(), { by: 'entropy' as 'waad' }), /'entropy'; expected 'waad', 'fai'/)
})
