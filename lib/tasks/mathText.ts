/** Words of the answer's text that are no unit: two answers are given. */
const LIST_WORDS = /^(?:,|;|and|or|,\s*and|,\s*or)$/i

const SYMBOLS: [RegExp, string][] = [
  [/[\u2212\u2013]/g, '-'],
  [/\u00d7/g, '\\times '],
  [/\u00f7/g, '\\div '],
  [/\u00b7/g, '\\cdot '],
  [/\u03c0/g, '\\pi '],
  [/\u221e/g, '\\infty '],
  [/\u221a/g, '\\sqrt '],
  [/\u00b0/g, '^\\circ '],
  [/\u00b2/g, '^2'],
  [/\u00b3/g, '^3'],
  [/\u222a/g, '\\cup '],
  [/\u00b1/g, '\\pm '],
  [/[\u00a0\u2009\u202f]/g, ' '],
]

const DROPPED =
  /(?<!\\)\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits|mathstrut|q?quad|hspace\{[^{}]{0,20}\}|[,;:! ])(?![a-zA-Z])|~/g

/**
 * An answer without what does not change its value: dollar signs and other delimiters of formulas, sizes, spacing, currency
 * signs, a full stop at the end, thousands separators, units in `\text{…}` after a value. Other spellings of one
 * thing (`\dfrac`, Unicode signs) become one. Linear in the length.
 */
export function cleanAnswer(answer: string): string {
  let text = answer.trim()
  for (const [pattern, replacement] of SYMBOLS) text = text.replace(pattern, replacement)
  text = text
    .replace(/(?<=\d)(?:\{,\}|\\[,!](?=\d{3})|,\\!)(?=\d)/g, '\u0001')
    .replace(/(?<!\\)\\[$()[\]]|[$€£]/g, '')
    .replace(/\\(?:mathrm|mathbf|mathit|textrm|textbf|textit|mbox|operatorname|text)(?=\s*\{)/g, '\\text')
    .replace(/\\[dtc]frac(?![a-zA-Z])/g, '\\frac')
    .replace(/\\[dt]binom(?![a-zA-Z])/g, '\\binom')
    .replace(/\\(?:boxed|fbox)(?![a-zA-Z])/g, '')
    .replace(/\\[lr]vert(?![a-zA-Z])/g, '|')
    .replace(/\\(?:varnothing|emptyset)(?![a-zA-Z])/g, '\\{\\}')
    .replace(/\\geq?(?![a-zA-Z])/g, '\\ge ')
    .replace(/\\leq?(?![a-zA-Z])/g, '\\le ')
    .replace(/\+\s{0,5}(?=\\infty)/g, '')
    .replace(DROPPED, ' ')
  text = withoutTexts(text)
    .trim()
    .replace(/\s{1,50}/g, ' ')
  while (text.startsWith('{') && closingBrace(text, 0) === text.length - 1) text = text.slice(1, -1).trim()
  return withoutSeparators(text.replace(/(?<=[^.])[.;,]$/, '').trim())
}

/** `\text{…}`: alone it is the answer; between values it may be a comma; after a value it is a unit, with its power. */
function withoutTexts(text: string): string {
  const alone = /^\\text\s{0,5}\{([^{}]*)\}[.]?$/.exec(text.trim())
  if (alone) return alone[1] as string
  return text.replace(
    /\\text\s{0,5}\{([^{}]*)\}(\s{0,5}\^\s{0,5}(?:\d|\{\d\}))?/g,
    (_, inside: string, power, at: number) => {
      if (LIST_WORDS.test(inside.trim())) return ','
      return at > 0 && /[\d})\]!]\s*$/.test(text.slice(Math.max(0, at - 20), at)) ? ' ' : `${inside}${power ?? ''}`
    },
  )
}

/** A number's commas between thousands go, unless the answer is a list in brackets or its commas have spaces after them. */
function withoutSeparators(text: string): string {
  const joined = text.replaceAll('\u0001', '')
  if (/^[([]|^\\\{|, /.test(joined)) return joined
  return joined.replace(/(?<![\d.,])\d{1,3}(?:,\d{3}){1,30}(?![\d,])/g, (number) => number.replaceAll(',', ''))
}

/** Where the brace that opens at `start` closes; -1 if it does not. */
function closingBrace(text: string, start: number): number {
  let depth = 0
  for (let i = start; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '{') depth++
    else if (text[i] === '}' && --depth === 0) return i
  }
  return -1
}

/** The parts between separators that stand in no brackets. Linear in the length. */
export function splitOutside(text: string, separator: RegExp): string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (const { 0: token, index } of text.matchAll(/\\[a-zA-Z]+|\\[\s\S]|[\s\S]/g)) {
    if (/^(?:[([{]|\\\{)$/.test(token)) depth++
    else if (/^(?:[)\]}]|\\\})$/.test(token)) depth--
    else if (depth === 0 && separator.test(token)) {
      parts.push(text.slice(start, index))
      start = index + token.length
    }
  }
  return [...parts, text.slice(start)].map((part) => part.trim())
}
