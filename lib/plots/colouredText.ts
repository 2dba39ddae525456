import { percentile, type TextFigure } from './figure'
import { type PlottedTrace, responseTokens } from './plottedTrace'
import { isWide, textWidth } from './textWidth'
import { COLOURS, FONT_FAMILY } from './theme'
import { escapeMarkup, visibleToken } from './tokenText'

export interface ColouredTextOptions {
  /** What colours a token's background. Default `waad`. */
  by?: 'waad' | 'fai' | 'receiver'
  title?: string
}

const SERIES = {
  waad: {
    name: 'WAAD',
    unit: 'tokens',
    scale: 1,
    logarithmic: false,
    colour: COLOURS.waad,
    reads: 'how far back the local heads look when the model has read the token',
  },
  fai: {
    name: 'FAI',
    unit: '%',
    scale: 100,
    logarithmic: true,
    colour: COLOURS.fai,
    reads: 'how much of the attention of later tokens the token gets from the global heads',
  },
  receiver: {
    name: 'receiver FAI',
    unit: '%',
    scale: 100,
    logarithmic: true,
    colour: COLOURS.receiver,
    reads: 'how much of the attention of later tokens the token gets from the receiver heads',
  },
} as const

/** How opaque the colour of each level is, lowest first. */
const OPACITIES = [0, 0.13, 0.25, 0.37, 0.5, 0.62, 0.76, 1]

/** A colour that white text stands on with a contrast of 4.5 or more, in the hue of `colour`. */
const STRONG: Record<string, string> = {
  [COLOURS.waad]: '#0072b2',
  [COLOURS.fai]: '#b34700',
  [COLOURS.receiver]: '#a84c80',
}

export interface Shade {
  background: string | null
  /** null: the text colour of the page, whatever its theme. */
  text: string | null
}

/**
 * Background and text colour for each level, low to high. All but the highest level are translucent, so the page's own text
 * colour stays legible on them in a light and in a dark theme; the highest is opaque and carries white text.
 */
export function shades(colour: string): Shade[] {
  const strong = STRONG[colour] ?? colour
  const [r, g, b] = [1, 3, 5].map((i) => Number.parseInt(strong.slice(i, i + 2), 16))
  return OPACITIES.map((opacity) => {
    if (opacity === 0) return { background: null, text: null }
    if (opacity === 1) return { background: strong, text: '#ffffff' }
    return { background: `rgba(${r}, ${g}, ${b}, ${opacity})`, text: null }
  })
}

/**
 * Fig. 9: the response's text, each token's background coloured by WAAD or FAI. The colour runs from the 5th to the 98th
 * percentile of the response (by its logarithm for FAI), and the legend gives the values of each step; hovering shows position, token and value.
 */
export function colouredText(trace: PlottedTrace, options: ColouredTextOptions = {}): TextFigure {
  const { by = 'waad' } = options
  const series = SERIES[by]
  if (!series) throw new Error(`invalid by '${by}'; expected 'waad', 'fai' or 'receiver'`)
  const tokens = responseTokens(trace)
  const { analysis, receiver } = trace.rhythm
  const raw = by === 'receiver' ? receiver.fai : analysis[by]
  const values = Array.from(raw, (value) => (value === null ? Number.NaN : value * series.scale))

  if (!values.some(Number.isFinite)) {
    throw new Error(`${series.name} is undefined at every token of this response (${values.length}); colour by 'waad'`)
  }
  // FAI is skewed: a logarithmic scale gives each of its levels tokens to colour.
  const warp = series.logarithmic ? (value: number) => Math.log10(Math.max(value, 1e-9)) : (value: number) => value
  const unwarp = series.logarithmic ? (value: number) => 10 ** value : (value: number) => value
  const low = warp(percentile(values, 0.05))
  const high = warp(percentile(values, 0.98))
  const palette = shades(series.colour)
  const step = (high - low) / palette.length
  const level = (value: number) =>
    !Number.isFinite(value) || !(step > 0)
      ? 0
      : Math.max(0, Math.min(palette.length - 1, Math.floor((warp(value) - low) / step)))
  const number = (value: number) => value.toPrecision(3)
  const tooltip = (i: number) =>
    `${i} ${visibleToken(tokens[i])}  ${series.name} ${Number.isFinite(values[i]) ? `${number(values[i])} ${series.unit}` : 'undefined'}`
  const title = options.title ?? `${series.name}: ${series.reads}`
  const edges = palette.slice(1).map((_, i) => number(unwarp(low + (i + 1) * step)))

  return {
    html: html(),
    svg,
    plain: `${title} (${number(unwarp(low))} to ${number(unwarp(high))} ${series.unit})\n${tokens.join('')}`,
  }

  function html(): string {
    const style = (shade: Shade) =>
      `${shade.background ? `background:${shade.background};` : ''}${shade.text ? `color:${shade.text};` : ''}`
    const text = tokens
      .map((token, i) => {
        const css = style(palette[level(values[i])])
        // A line break is shown, and coloured, before it breaks the line.
        const shown = escapeMarkup(token).replace(/\r?\n/g, '<span style="opacity:0.45">↵</span>\n')
        return `<span title="${escapeMarkup(tooltip(i))}"${css ? ` style="${css}"` : ''}>${shown}</span>`
      })
      .join('')
    const swatches = palette
      .map((shade, i) => {
        const label = i === 0 ? `&lt; ${edges[0]}` : i === palette.length - 1 ? `≥ ${edges[i - 1]}` : `${edges[i - 1]}`
        const border = `border:1px solid rgba(128,128,128,0.35);border-right-width:${i === palette.length - 1 ? 1 : 0}`
        return `<span style="${style(shade)}${border}px;padding:1px 8px;display:inline-block;min-width:36px;text-align:center">${label}</span>`
      })
      .join('')
    return (
      `<div class="mathjax_ignore" style="max-width:920px;font-family:${FONT_FAMILY}">` +
      `<div style="font-size:15px;margin:4px 0 6px">${escapeMarkup(title)}</div>` +
      `<div style="font-size:11px;margin:0 0 8px"><span style="margin-right:8px">${escapeMarkup(series.name)} (${series.unit})</span>${swatches}</div>` +
      `<div style="white-space:pre-wrap;line-height:1.75;font-size:14px;overflow-wrap:anywhere">${text}</div></div>`
    )
  }

  function svg(columns = 96): string {
    if (!(columns >= 20)) throw new Error(`invalid columns ${columns}; expected 20 or more`)
    const advance = 7.2
    const lineHeight = 20
    const left = 12
    const width = Math.round(left * 2 + columns * advance)
    const titleLines = wrap(title, width - 2 * left, 14)
    const legendTop = 22 + 18 * titleLines.length
    const top = legendTop + 56
    const boxes: string[] = []
    const glyphs: string[] = []
    let line = 0
    let column = 0
    tokens.forEach((token, i) => {
      const shade = palette[level(values[i])]
      // A token that does not fit goes to the next line whole, and without the space before it.
      const length = Array.from(token.replace(/\n/g, '↵')).reduce((sum, character) => sum + cells(character), 0)
      let text = token.replace(/\r\n/g, '\n')
      if (column > 0 && column + length > columns) {
        line++
        column = 0
        if (text.trim()) text = text.replace(/^ +/, '')
      }
      let run = ''
      let start = column
      const flush = () => {
        const y = top + line * lineHeight
        const x = left + start * advance
        const span = (column - start) * advance
        if (shade.background && column > start) {
          boxes.push(
            `<rect x="${x.toFixed(1)}" y="${y - 14}" width="${span.toFixed(1)}" height="${lineHeight - 1}" ${paint(shade.background)}/>`,
          )
        }
        if (run.trim()) {
          const fill = shade.text ? ` fill="${shade.text}"` : ''
          const skipped = run.length - run.trimStart().length
          const textX = x + skipped * advance
          const length = (span - skipped * advance - (run.length - run.trimEnd().length) * advance).toFixed(1)
          glyphs.push(
            `<text x="${textX.toFixed(1)}" y="${y}" textLength="${length}" lengthAdjust="spacingAndGlyphs"${fill}>${escapeMarkup(run.trim())}</text>`,
          )
        }
        run = ''
      }
      for (const character of text) {
        const newLine = character === '\n'
        if (!newLine && column + cells(character) > columns) {
          flush()
          line++
          column = 0
          start = 0
        }
        run += newLine ? '↵' : character === '\t' ? ' ' : character
        column += newLine ? 1 : cells(character)
        if (newLine) {
          flush()
          line++
          column = 0
          start = 0
        }
      }
      flush()
    })
    const height = top + (line + 1) * lineHeight
    const swatch = Math.min(54, (width - 2 * left) / palette.length)
    const legend = palette
      .map((shade, i) => {
        const x = left + i * swatch
        const label = i === 0 ? `&lt; ${edges[0]}` : i === palette.length - 1 ? `≥ ${edges[i - 1]}` : edges[i - 1]
        return (
          `<rect x="${x}" y="${legendTop + 4}" width="${swatch}" height="18" stroke="#bbbbbb" ${shade.background ? paint(shade.background) : 'fill="none"'}/>` +
          `<text x="${x + swatch / 2}" y="${legendTop + 17}" text-anchor="middle"${shade.text ? ` fill="${shade.text}"` : ''}>${label}</text>`
        )
      })
      .join('')
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">` +
      `<rect width="${width}" height="${height}" fill="#ffffff"/>` +
      `<g font-family="${FONT_FAMILY}" font-size="11" fill="#222222">` +
      titleLines
        .map((words, i) => `<text x="${left}" y="${22 + 18 * i}" font-size="14">${escapeMarkup(words)}</text>`)
        .join('') +
      `<text x="${left}" y="${legendTop - 1}">${escapeMarkup(series.name)} (${series.unit})</text>${legend}</g>` +
      `${boxes.join('')}<g font-family="'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="12" fill="#222222">${glyphs.join('')}</g></svg>`
    )
  }
}

/** SVG 1.1 wants the opacity of a fill in an attribute of its own. */
function paint(background: string): string {
  const parts = /^rgba\((\d+), (\d+), (\d+), ([\d.]+)\)$/.exec(background)
  return parts ? `fill="rgb(${parts[1]},${parts[2]},${parts[3]})" fill-opacity="${parts[4]}"` : `fill="${background}"`
}

/** `text` in lines of at most `width` px at a font size of `size` px. */
function wrap(text: string, width: number, size: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const longer = `${lines[lines.length - 1]} ${word}`.trim()
    if (textWidth(longer, size) <= width) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines
}

/** Columns that a character takes in a fixed-width font. */
function cells(character: string): number {
  return isWide(character) ? 2 : 1
}
