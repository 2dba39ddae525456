import Complex from 'complex.js'
import Fraction from 'fraction.js'
import { type ExpressionNode, latexExpression } from './latexExpression'

/** An expression whose value can be compared. */
export interface MathExpression {
  /** The exact value, where the expression has only rational numbers, + - * / and whole powers. */
  exact: Fraction | null
  /** Value at three fixed points of its variables (all the same without variables): real and imaginary part. */
  points: { re: number; im: number }[]
  variables: Set<string>
}

const MAX_BITS = 4000
const MAX_DIGITS = 300
const POINTS = 3

/** Reads an expression. Null if it is none, or has no finite value. Exact powers stop at 4,000 bits: the time is bounded. */
export function readExpression(latex: string): MathExpression | null {
  const tree = latexExpression(latex)
  if (tree === null) return null
  const variables = new Set<string>()
  const points: Value[] = []
  for (let point = 0; point < (point === 0 || variables.size > 0 ? POINTS : 1); point++) {
    const value = evaluate(tree, point, variables)
    if (value === null || !value.approximate.isFinite()) return null
    points.push(value)
  }
  return { exact: points[0]!.exact, points: points.map(({ approximate: { re, im } }) => ({ re, im })), variables }
}

interface Value {
  exact: Fraction | null
  approximate: Complex
}

/** The value at one of the fixed points; null where there is none (a division by zero, a factorial of a fraction). */
function evaluate(node: ExpressionNode, point: number, variables: Set<string>): Value | null {
  if (node.kind === 'number') return rational(node.written)
  if (node.kind === 'constant') return inexact({ pi: Complex.PI, e: Complex.E, i: Complex.I }[node.name])
  if (node.kind === 'variable') {
    variables.add(node.name)
    return inexact(variableAt(node.name, point))
  }
  const [left, right] = node.args.map((arg) => evaluate(arg, point, variables))
  if (!left || right === null) return null
  const approximate = approximately(node.name, left.approximate, right?.approximate ?? Complex.ZERO)
  if (approximate === null) return null
  return { exact: left.exact && right?.exact ? exactly(node.name, left.exact, right.exact) : null, approximate }
}

const inexact = (approximate: Complex): Value => ({ exact: null, approximate })

function rational(written: string): Value | null {
  if (written.length > MAX_DIGITS) return null
  const exact = new Fraction(written)
  return { exact, approximate: new Complex(exact.valueOf(), 0) }
}

/** A fixed number for each name and point, away from the real line so that sqrt(x^2) is not x. */
function variableAt(name: string, point: number): Complex {
  let hash = point + 1
  for (const character of name) hash = (hash * 131 + character.charCodeAt(0)) % 10_007
  return new Complex(((hash * 7919) % 10_007) / 5_000 - 1.02, ((hash * 104_729) % 10_007) / 7_000 - 0.71)
}

const complexFunctions: Record<string, (z: Complex) => Complex> = {
  sqrt: (z) => z.sqrt(),
  abs: (z) => new Complex(z.abs(), 0),
  ln: (z) => z.log(),
  exp: (z) => z.exp(),
  sin: (z) => z.sin(),
  cos: (z) => z.cos(),
  tan: (z) => z.tan(),
  cot: (z) => z.cot(),
  sec: (z) => z.sec(),
  csc: (z) => z.csc(),
  arcsin: (z) => z.asin(),
  arccos: (z) => z.acos(),
  arctan: (z) => z.atan(),
  sinh: (z) => z.sinh(),
  cosh: (z) => z.cosh(),
  tanh: (z) => z.tanh(),
}

function approximately(name: string, a: Complex, b: Complex): Complex | null {
  if (name === '+') return a.add(b)
  if (name === '-') return a.sub(b)
  if (name === '*') return a.mul(b)
  if (name === '/') return b.isZero() ? null : a.div(b)
  if (name === '^') return a.isZero() && !(b.re > 0) ? null : a.pow(b)
  if (name === 'root') return root(a, b)
  if (name === 'factorial') return isSmall(a) ? new Complex(factorial(a.re), 0) : null
  if (name === 'binom')
    return isSmall(a) && isSmall(b) && b.re <= a.re
      ? new Complex(Math.round(factorial(a.re) / factorial(b.re) / factorial(a.re - b.re)), 0)
      : null
  if (name === 'ln' && a.isZero()) return null
  return (complexFunctions[name] as (z: Complex) => Complex)(a)
}

/** Real for odd roots of negative numbers. */
function root(a: Complex, degree: Complex): Complex | null {
  if (degree.isZero()) return null
  const odd = degree.im === 0 && Math.abs(degree.re % 2) === 1
  if (odd && a.im === 0 && a.re < 0) return a.neg().pow(degree.inverse()).neg()
  return a.isZero() ? a : a.pow(degree.inverse())
}

const isSmall = (z: Complex) => z.im === 0 && Number.isInteger(z.re) && z.re >= 0 && z.re <= 170

function factorial(n: number): number {
  let product = 1
  for (let factor = 2; factor <= n; factor++) product *= factor
  return product
}

/** In exact fractions; null for another operation than + - * / and small whole powers, and where it grows too large. */
function exactly(name: string, left: Fraction, right: Fraction): Fraction | null {
  if (bits(left) + bits(right) > MAX_BITS) return null
  if (name === '+') return left.add(right)
  if (name === '-') return left.sub(right)
  if (name === '*') return left.mul(right)
  if (name === '/') return left.div(right)
  if (name !== '^' || right.d !== 1n || right.n > 1000n || bits(left) * Number(right.n) > MAX_BITS) return null
  return left.pow(right)
}

const bits = (value: Fraction) => 4 * (value.n.toString(16).length + value.d.toString(16).length)

/** Equal exactly where both are rational numbers, else to 11 digits at every point. */
export function sameExpression(a: MathExpression, b: MathExpression): boolean {
  if (a.exact && b.exact) return a.exact.equals(b.exact)
  if (a.variables.size !== b.variables.size || [...a.variables].some((name) => !b.variables.has(name))) return false
  return a.points.every((left, i) => close(left, b.points[i] as { re: number; im: number }))
}

/** Whether two expressions have a constant ratio that is not 0, as the sides of one equation written twice have. */
export function proportional(a: MathExpression, b: MathExpression): boolean {
  if (a.variables.size === 0 || a.points.length !== b.points.length) return false
  const [left, right] = [a, b].map(({ points }) => points.map(({ re, im }) => new Complex(re, im))) as [
    Complex[],
    Complex[],
  ]
  if (left[0]!.abs() < 1e-12 || right[0]!.abs() < 1e-12) return false
  const ratio = right[0]!.div(left[0]!)
  return left.every((value, i) => close(value.mul(ratio), right[i]!))
}

/** The difference of two expressions as one, in LaTeX. */
export const difference = (left: string, right: string): string => `(${left})-(${right})`

function close(a: { re: number; im: number }, b: { re: number; im: number }): boolean {
  const size = Math.max(Math.hypot(a.re, a.im), Math.hypot(b.re, b.im), 1e-3)
  return Math.hypot(a.re - b.re, a.im - b.im) <= 1e-11 * size
}
