import Fraction from 'fraction.js'
import type { Complex, EvalFunction, MathNode } from 'mathjs'
import { latexExpression } from './latexExpression'

/** An expression whose value can be compared. */
export interface MathExpression {
  /** The exact value, where the expression has only rational numbers, + - * / and whole powers. */
  exact: Fraction | null
  /** Value at three fixed points of its variables (all the same without variables): real and imaginary part. */
  points: { re: number; im: number }[]
  variables: Set<string>
}

/** Loaded when first needed: it takes some tenths of a second. */
function mathjs(): typeof import('mathjs') {
  return require('mathjs')
}

const MAX_BITS = 4000
const MAX_DIGITS = 300
const POINTS = 3

/** Reads an expression. Null if it is none, or has no finite value. The time is bounded: powers are not computed beyond 4,000 bits exactly. */
export function readExpression(latex: string): MathExpression | null {
  const simple = plainNumber(latex)
  if (simple) return { exact: simple, points: pointsOf(simple), variables: new Set() }
  const plain = latexExpression(latex)
  if (plain === null || plain.numbers.some((number) => number.length > MAX_DIGITS)) return null
  const numbers = plain.numbers.map((number) => new Fraction(number.replace(/\.$/, '')))
  let tree: MathNode
  let compiled: EvalFunction
  try {
    tree = mathjs().parse(plain.text)
    compiled = tree.compile()
  } catch {
    return null // What the translation lets through and mathjs does not read is no expression.
  }
  const { variables } = plain
  const points: MathExpression['points'] = []
  for (let point = 0; point < (variables.size === 0 ? 1 : POINTS); point++) {
    const value = valueAt(compiled, numbers, variables, point)
    if (value === null) return null
    points.push(value)
  }
  return { exact: variables.size === 0 ? exactValue(tree, numbers) : null, points, variables }
}

/** Equal exactly where both are rational numbers, else to 11 digits at every point. */
export function sameExpression(a: MathExpression, b: MathExpression): boolean {
  if (a.exact && b.exact) return a.exact.equals(b.exact)
  if (a.variables.size !== b.variables.size || [...a.variables].some((name) => !b.variables.has(name))) return false
  return a.points.every((left, i) => close(left, b.points[i] as { re: number; im: number }))
}

/** Whether two expressions have a constant ratio that is not 0, as the sides of one equation written twice have. */
export function proportional(a: MathExpression, b: MathExpression): boolean {
  const { complex, divide, multiply } = mathjs()
  const value = ({ re, im }: { re: number; im: number }) => complex(re, im)
  if (a.variables.size === 0 || a.points.length !== b.points.length) return false
  if (Math.hypot(a.points[0]!.re, a.points[0]!.im) < 1e-12) return false
  const ratio = divide(value(b.points[0]!), value(a.points[0]!)) as Complex
  if (Math.hypot(ratio.re, ratio.im) < 1e-12) return false
  return a.points.every((point, i) => close(multiply(value(point), ratio) as Complex, b.points[i]!))
}

/** The difference of two expressions as one, in LaTeX. */
export const difference = (left: string, right: string): string => `(${left})-(${right})`

function close(a: { re: number; im: number }, b: { re: number; im: number }): boolean {
  const size = Math.max(Math.hypot(a.re, a.im), Math.hypot(b.re, b.im), 1e-3)
  return Math.hypot(a.re - b.re, a.im - b.im) <= 1e-11 * size
}

/** Most answers: a whole number, a decimal, or a quotient of whole numbers. */
function plainNumber(text: string): Fraction | null {
  const match = /^\s*([+-]?)\s*(\d{1,300}(?:\.\d{0,300})?|\.\d{1,300})(?:\s*\/\s*(\d{1,300}))?\s*$/.exec(text)
  if (!match) return null
  const [, sign, top, bottom] = match as unknown as [string, string, string, string | undefined]
  if (bottom !== undefined && (/^0+$/.test(bottom) || top.includes('.'))) return null
  const value = new Fraction(top.replace(/\.$/, '')).div(bottom ?? 1)
  return sign === '-' ? value.neg() : value
}

const pointsOf = (value: Fraction) => [{ re: value.valueOf(), im: 0 }]

function valueAt(compiled: EvalFunction, numbers: readonly Fraction[], variables: Set<string>, point: number) {
  const { complex } = mathjs()
  const scope: Record<string, unknown> = { ...functions() }
  numbers.forEach((number, i) => {
    scope[`n${i}`] = number.valueOf()
  })
  // A fixed number for each name and point, away from the real line so that sqrt(x^2) is not x.
  for (const name of variables) {
    let hash = point + 1
    for (const character of name) hash = (hash * 131 + character.charCodeAt(0)) % 10_007
    scope[name] = complex(((hash * 7919) % 10_007) / 5_000 - 1.02, ((hash * 104_729) % 10_007) / 7_000 - 0.71)
  }
  let value: unknown
  try {
    value = compiled.evaluate(scope)
  } catch {
    return null // A function outside its domain, e.g. the factorial of a complex number.
  }
  const { re, im } = typeof value === 'number' ? { re: value, im: 0 } : ((value ?? {}) as Complex)
  return Number.isFinite(re) && Number.isFinite(im) ? { re, im } : null
}

/** Functions that mathjs lacks under these names, or computes in unbounded time. */
function functions(): Record<string, unknown> {
  const { acos, asin, atan, factorial, log, log10, pow } = mathjs()
  const small = (n: unknown) => typeof n === 'number' && Number.isInteger(n) && n >= 0 && n <= 170
  const fact = (n: number) => (small(n) ? factorial(n) : Number.NaN)
  return {
    fact,
    binomial: (n: number, k: number) =>
      small(n) && small(k) && k <= n ? Math.round(fact(n) / fact(k) / fact(n - k)) : Number.NaN,
    root: (x: number, n: number) => (typeof x === 'number' && x < 0 && n % 2 === 1 ? -pow(-x, 1 / n) : pow(x, 1 / n)),
    ln: (x: number) => log(x),
    lg: (x: number) => log10(x),
    arcsin: asin,
    arccos: acos,
    arctan: atan,
  }
}

/** The value in exact fractions; null if it has another operation than + - * / and small whole powers, or is too large. */
function exactValue(node: MathNode, numbers: readonly Fraction[]): Fraction | null {
  const {
    content,
    args = [],
    op,
    name,
    value,
  } = node as unknown as {
    content?: MathNode
    args?: MathNode[]
    op?: string
    name?: string
    value?: unknown
  }
  if (content) return exactValue(content, numbers)
  if (node.type === 'ConstantNode') return typeof value === 'number' ? new Fraction(value) : null
  if (node.type === 'SymbolNode') return numbers[Number(/^n(\d+)$/.exec(name ?? '')?.[1] ?? Number.NaN)] ?? null
  if (node.type !== 'OperatorNode') return null
  const [left, right] = args.map((arg) => exactValue(arg, numbers))
  if (!left || right === null) return null
  if (!right) return op === '-' ? left.neg() : op === '+' ? left : null
  if (bits(left) + bits(right) > MAX_BITS) return null
  if (op === '+') return left.add(right)
  if (op === '-') return left.sub(right)
  if (op === '*') return left.mul(right)
  if (op === '/') return right.equals(0) ? null : left.div(right)
  if (op !== '^' || right.d !== 1n || right.n > 1000n || bits(left) * Number(right.n) > MAX_BITS) return null
  if (left.equals(0) && right.compare(0) <= 0) return null
  return left.pow(right)
}

const bits = (value: Fraction) => value.n.toString(16).length * 4 + value.d.toString(16).length * 4
