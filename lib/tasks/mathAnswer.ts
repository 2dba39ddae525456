import { difference, type MathExpression, proportional, readExpression, sameExpression } from './mathExpression'
import { cleanAnswer, splitOutside } from './mathText'

/** Longest answer that is read as mathematics; longer ones are equal only if their texts are. */
const MAX_LENGTH = 1000
const MAX_DEPTH = 6

/** An answer as it was understood. `text` has no blanks. */
type Answer = { text: string } & (
  | { kind: 'value'; value: MathExpression }
  | { kind: 'percent'; value: MathExpression; without: MathExpression }
  | { kind: 'list'; brackets: string; ordered: boolean; parts: Answer[] }
  | { kind: 'equation'; left: string; right: Answer; zero: MathExpression | null }
  | { kind: 'text' }
)

/**
 * Whether two final answers are the same mathematically: numbers, fractions, mixed numbers, decimals and repeating decimals
 * exactly; powers, roots, logarithms, trigonometric functions, pi, e and complex numbers to 11 digits; expressions in
 * variables at three fixed complex points; tuples, intervals and matrices part by part; sets, unions, `\pm` and
 * lists without brackets in any order; equations up to a factor, or their right side if the other answer has no
 * equation. A percentage equals its fraction, and, where only one answer has the sign, the number before it. A unit is ignored
 * where only one has it, or both within `\text{…}`; units are never compared or converted. Texts are compared without case,
 * blanks and brackets around a letter.
 * Not understood, and equal only as texts: inequalities, number bases, ratios, functions not named above, what is longer
 * than 1,000 characters or nested deeper than 30 levels. Rounded answers are not equal to exact ones.
 */
export function sameAnswer(one: string, other: string): boolean {
  const [a, b] = [one, other].map((text) => (text.length > MAX_LENGTH ? text.trim() : cleanAnswer(text))) as [
    string,
    string,
  ]
  if (a === '' || b === '') return false
  if (sameText(a, b)) return true
  if (one.length > MAX_LENGTH || other.length > MAX_LENGTH) return false
  if (same(readAnswer(a), readAnswer(b))) return true
  const [plainA, plainB] = [withoutUnit(a), withoutUnit(b)]
  if ((plainA === null) === (plainB === null)) return false
  return same(readAnswer(plainA ?? a), readAnswer(plainB ?? b))
}

function same(a: Answer, b: Answer): boolean {
  if (a.text === b.text) return true
  if (a.kind === 'equation' && b.kind === 'equation')
    return (a.left === b.left && same(a.right, b.right)) || (a.zero && b.zero ? proportional(a.zero, b.zero) : false)
  if (a.kind === 'equation') return same(a.right, b)
  if (b.kind === 'equation') return same(a, b.right)
  if (a.kind === 'list' && b.kind === 'list') return sameList(a, b)
  if (a.kind === 'percent' && b.kind === 'value')
    return sameExpression(a.value, b.value) || sameExpression(a.without, b.value)
  if (b.kind === 'percent' && a.kind === 'value') return same(b, a)
  const hasValue = (answer: Answer) => answer.kind === 'value' || answer.kind === 'percent'
  if (hasValue(a) && hasValue(b))
    return sameExpression((a as { value: MathExpression }).value, (b as { value: MathExpression }).value)
  return a.kind === 'text' && b.kind === 'text' && sameText(a.text, b.text)
}

function sameList(a: Answer & { kind: 'list' }, b: Answer & { kind: 'list' }): boolean {
  if (a.ordered !== b.ordered || a.brackets !== b.brackets || a.parts.length !== b.parts.length) return false
  if (a.ordered) return a.parts.every((part, i) => same(part, b.parts[i] as Answer))
  const left = [...b.parts]
  return a.parts.every((part) => {
    const found = left.findIndex((candidate) => same(part, candidate))
    if (found >= 0) left.splice(found, 1)
    return found >= 0
  })
}

/** A text answer: `(B)`, `\text{B}` and `b` are one. */
function sameText(a: string, b: string): boolean {
  const plain = (text: string) => {
    const bare = withoutBlanks(text)
    return /^[a-zA-Z(),.]+$/.test(bare) && /[a-zA-Z]{2}|^[A-Z]\.?$|^\([a-zA-Z]\)$/.test(bare)
      ? bare
          .replace(/^\(([a-zA-Z])\)$/, '$1')
          .replace(/\.$/, '')
          .toLowerCase()
      : bare
  }
  return plain(a) === plain(b)
}

/** Blanks between two digits stay: `4 2` is not 42. */
const withoutBlanks = (text: string) => text.replace(/(?<!\d)\s+|\s+(?!\d|\s)/g, '')

/** Where an answer ends in a unit in plain letters (`5 cm`, `38 jars`, `12 sq. ft`, `5 m^2`) or degrees: without it. */
function withoutUnit(text: string): string | null {
  const degrees = /^(.*[^\s])\s*\^\s*(?:\\circ|\{\s*\\circ\s*\})\s*[CF]?$/.exec(text)
  if (degrees) return degrees[1] as string
  const unit = /^(.*[\d}])\s*([a-zA-Z][a-zA-Z .]{0,60}(?:\/[a-zA-Z ]{1,30})?(?:\^(?:\d|\{\d\}))?)$/.exec(text)
  if (!unit || /^(?:pi|e|i)\b/.test(unit[2] as string)) return null
  const [, value, name] = unit as unknown as [string, string, string]
  const isLetter = name.length === 1 || /^[a-zA-Z]\^/.test(name)
  return (isLetter && !text.slice(value.length).startsWith(' ')) || /[a-zA-Z]/.test(value.replace(/\\[a-zA-Z]+/g, ''))
    ? null
    : value
}

function readAnswer(text: string, depth = 0): Answer {
  const bare = withoutBlanks(text)
  const asText: Answer = { kind: 'text', text: bare }
  if (depth > MAX_DEPTH) return asText
  const read = (part: string) => readAnswer(part.trim(), depth + 1)
  const list = (parts: string[], brackets: string, ordered: boolean): Answer => ({
    kind: 'list',
    text: bare,
    brackets,
    ordered,
    parts: parts.slice(0, 50).map(read),
  })

  const variants = text.split(/\\(?:pm|mp)(?![a-zA-Z])/).length > 1 ? plusMinus(text) : null
  if (variants) return list(variants, '', false)
  const parts = splitOutside(text.replace(/(?<=[\d)}]) (?:and|or) (?=[-\\\d({])/g, ', '), /^[,;]$/)
  if (parts.length > 1) return list(parts, '', false)
  const union = splitOutside(text, /^\\cup$/)
  if (union.length > 1) return list(union, 'union', false)
  const sides = splitOutside(text, /^(?:=|\\in)$/)
  if (sides.length > 1) return equation(sides, bare, read)

  const set = /^\\\{([\s\S]*)\\\}$/.exec(text)
  if (set) {
    const inside = splitOutside(set[1] as string, /^[,;]$/)
    return list(inside[0] === '' && inside.length === 1 ? [] : inside, '', false)
  }
  const matrix = /^\\begin\{([pbvB]?matrix)\}([\s\S]*)\\end\{\1\}$/.exec(text)
  if (matrix) {
    const rows = (matrix[2] as string).split('\\\\').filter((row) => row.trim() !== '')
    return list(
      rows.map((row) => `(${row.split('&').join(',')},)`),
      'matrix',
      true,
    )
  }
  const bracketed = /^([([])([\s\S]*)([)\]])$/.exec(text)
  if (bracketed) {
    const inside = splitOutside((bracketed[2] as string).replace(/,$/, ''), /^[,;]$/)
    const brackets = `${bracketed[1]}${bracketed[3]}`
    if (inside.length > 1 || brackets !== '()' || text.endsWith(',)')) return list(inside, brackets, true)
  }
  const percent = /^([\s\S]*[^\s\\])\s*\\?%$/.exec(text)
  if (percent) {
    const without = readExpression(percent[1] as string)
    const value = without && readExpression(`(${percent[1]})/100`)
    return without && value ? { kind: 'percent', text: bare, value, without } : asText
  }
  const mixed = /^(-?)\s*(\d+) (\d+)\/(\d+)$/.exec(text)
  const value = readExpression(mixed ? `${mixed[1]}${mixed[2]}\\frac{${mixed[3]}}{${mixed[4]}}` : text)
  return value ? { kind: 'value', text: bare, value } : asText
}

/** `x = 5` says 5; `x = y = 5` too. */
function equation(sides: string[], text: string, read: (part: string) => Answer): Answer {
  const right = read(sides.at(-1) as string)
  const zero = sides.length === 2 ? readExpression(difference(sides[0] as string, sides[1] as string)) : null
  return { kind: 'equation', text, left: (sides[0] as string).replace(/\s+/g, ''), right, zero }
}

/** Both readings of an answer with one kind of double sign; null if there are too many. */
function plusMinus(text: string): string[] | null {
  const signs = text.match(/\\(?:pm|mp)(?![a-zA-Z])/g) ?? []
  if (signs.length > 2) return null
  return ['+', '-'].map((upper) =>
    text.replace(/\\(pm|mp)(?![a-zA-Z])/g, (_, sign) => (sign === 'pm' ? upper : upper === '+' ? '-' : '+')),
  )
}
