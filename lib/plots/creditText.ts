import type { TextFigure } from './figure'
import { gammaShade } from './rolloutRhythm'
import { isWide } from './textWidth'
import { FONT_FAMILY } from './theme'
import { escapeMarkup, visibleToken } from './tokenText'

export interface CreditTextOptions {
  /** Characters of a line. Default 84. */
  columns?: number
  title?: string
}

const MONOSPACE = "'DejaVu Sans Mono', Menlo, Consolas, monospace"
/** One gamma of each shade that can occur, as the legend shows them. */
const LEGEND = [
  { gamma: 0.9, text: '< 1' },
  { gamma: 1, text: '1' },
  { gamma: 1.25, text: '≤ 1.25' },
  { gamma: 1.5, text: '≤ 1.5' },
  { gamma: 2, text: '> 1.5' },
]

/**
 * The gammas of several strategies on one response: its text line by line, under each line the same line again for the next strategy, each token on the
 * colour of its gamma, so that one sees which tokens the strategies agree on. Beside each strategy its mean gamma.
 * @param tokens text of each response token
 * @param credits gammas by strategy, one a token. Throws if a strategy has another number of them
 */
export function creditText(
  tokens: readonly string[],
  credits: Readonly<Record<string, ArrayLike<number>>>,
  options: CreditTextOptions = {},
): TextFigure {
  const { columns = 84, title = 'Where does each strategy give credit?' } = options
  const strategies = Object.entries(credits).map(([name, gamma]) => {
    if (gamma.length !== tokens.length)
      throw new Error(`${name} has ${gamma.length} gammas; expected ${tokens.length}, one for each response token`)
    return { name, gamma, mean: (Array.from(gamma).reduce((sum, g) => sum + g, 0) / gamma.length).toFixed(2) }
  })
  if (strategies.length === 0) throw new Error('no strategies to draw; expected gammas by name')
  const labelWidth = Math.max(...strategies.map(({ name }) => name.length)) + 6
  const label = ({ name, mean }: { name: string; mean: string }) =>
    `${name.padEnd(labelWidth - 6)} ${mean} `.slice(0, labelWidth)

  return {
    html: html(),
    svg,
    plain: `${title}\n${strategies.map(({ name, mean }) => `${name}: mean gamma ${mean}`).join('\n')}\n${tokens.join('')}`,
  }

  function html(): string {
    const css = (gamma: number) => {
      const { fill, text } = gammaShade(gamma)
      return isPlain(gamma) ? '' : ` style="background:${fill};color:${text}"`
    }
    const swatches = LEGEND.map(
      ({ gamma, text }) =>
        `<span${css(gamma).replace('style="', 'style="padding:1px 8px;') || ' style="padding:1px 8px"'}>${escapeMarkup(text)}</span>`,
    ).join('')
    const blocks = linesOf(tokens, columns).map((line) => {
      const rows = strategies.map((strategy) => {
        const text = line.map(({ index, shown }) => {
          const gamma = strategy.gamma[index]!
          const tooltip = `${index} ${visibleToken(tokens[index]!)}  ${strategy.name} ${Number(gamma.toFixed(3))}`
          return `<span title="${escapeMarkup(tooltip)}"${css(gamma)}>${escapeMarkup(shown)}</span>`
        })
        return `<span style="opacity:0.65">${escapeMarkup(label(strategy))}</span>${text.join('')}`
      })
      return `<div style="white-space:pre;font:13px/1.35 ${MONOSPACE};margin:0 0 10px">${rows.join('\n')}</div>`
    })
    return (
      `<div class="mathjax_ignore" style="overflow-x:auto;font-family:${FONT_FAMILY}">` +
      `<div style="font-size:15px;margin:4px 0 6px">${escapeMarkup(title)}</div>` +
      `<div style="font-size:11px;margin:0 0 8px">strategy, mean gamma; gamma of each token: ${swatches}</div>${blocks.join('')}</div>`
    )
  }

  function svg(width = columns): string {
    const advance = 7.2
    const lineHeight = 17
    const left = 12
    const parts: string[] = []
    let y = 64
    for (const line of linesOf(tokens, width)) {
      for (const strategy of strategies) {
        parts.push(svgText(left, y, label(strategy).trimEnd(), '#666666', advance))
        let column = labelWidth
        for (const { index, shown } of line) {
          const gamma = strategy.gamma[index]!
          const { fill, text } = gammaShade(gamma)
          const x = left + column * advance
          const span = cells(shown) * advance
          if (!isPlain(gamma))
            parts.push(
              `<rect x="${x.toFixed(1)}" y="${y - 12}" width="${span.toFixed(1)}" height="${lineHeight - 1}" fill="${fill}"/>`,
            )
          const skipped = cells(shown) - cells(shown.trimStart())
          if (shown.trim())
            parts.push(svgText(x + skipped * advance, y, shown.trim(), isPlain(gamma) ? '#222222' : text, advance))
          column += cells(shown)
        }
        y += lineHeight
      }
      y += 9
    }
    let at = left + 250
    const legend = LEGEND.map(({ gamma, text }) => {
      const { fill, text: ink } = gammaShade(gamma)
      const box = `<rect x="${at}" y="33" width="52" height="15" fill="${isPlain(gamma) ? '#ffffff' : fill}"/>`
      const name = `<text x="${at + 26}" y="44" text-anchor="middle" fill="${isPlain(gamma) ? '#222222' : ink}">${escapeMarkup(text)}</text>`
      at += 52
      return box + name
    })
    const whole = Math.ceil(2 * left + (labelWidth + width) * advance)
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${whole}" height="${y}" viewBox="0 0 ${whole} ${y}">` +
      `<rect width="${whole}" height="${y}" fill="#ffffff"/>` +
      `<g font-family="${FONT_FAMILY}" font-size="11" fill="#222222">` +
      `<text x="${left}" y="22" font-size="14">${escapeMarkup(title)}</text>` +
      `<text x="${left}" y="44">strategy, mean gamma; gamma of each token:</text>${legend.join('')}</g>` +
      `<g font-family="${MONOSPACE}" font-size="12">${parts.join('')}</g></svg>`
    )
  }
}

/** Gamma 1, plain GRPO, has no colour. */
const isPlain = (gamma: number) => gamma > 0.999999 && gamma <= 1

const svgText = (x: number, y: number, text: string, ink: string, advance: number) =>
  `<text x="${x.toFixed(1)}" y="${y}" fill="${ink}" textLength="${(cells(text) * advance).toFixed(1)}" lengthAdjust="spacingAndGlyphs" xml:space="preserve">${escapeMarkup(text)}</text>`

/** Columns of a fixed-width font that a text takes. */
const cells = (text: string) => Array.from(text).reduce((sum, character) => sum + (isWide(character) ? 2 : 1), 0)

/** Tokens as they are shown, in lines of at most `columns`; a line break is shown as ↵ and ends no line. */
function linesOf(tokens: readonly string[], columns: number): { index: number; shown: string }[][] {
  if (!(columns >= 20)) throw new Error(`invalid columns ${columns}; expected 20 or more`)
  const lines: { index: number; shown: string }[][] = [[]]
  let column = 0
  for (const [index, token] of tokens.entries()) {
    const shown = token.replace(/\r?\n/g, '↵').replace(/\t/g, '→')
    if (column > 0 && column + cells(shown) > columns) {
      lines.push([])
      column = 0
    }
    lines.at(-1)!.push({ index, shown })
    column += cells(shown)
  }
  return lines
}
