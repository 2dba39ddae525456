import Fraction from 'fraction.js'

/** An arithmetic expression as it was read. */
export interface Arithmetic {
  /** The numbers in the order in which they are written. */
  numbers: number[]
  /** The exact value; null where the expression divides by zero. */
  value: Fraction | null
}

/** Longest expression that is read, in characters, and deepest nesting of parentheses. */
const MAX_LENGTH = 500
const MAX_DEPTH = 50
const MAX_DIGITS = 9

/**
 * Reads an expression of whole numbers, + - * /, parentheses and blanks, and computes it in exact fractions. Null for
 * anything else: signs before a number, `**` and `//`, decimal points, leading zeros, digits outside ASCII, a product
 * without its sign, and what is longer than 500 characters, deeper than 50 parentheses or has numbers of 10 digits.
 * The time is linear in the length.
 */
export function parseArithmetic(text: string): Arithmetic | null {
  if (text.length > MAX_LENGTH) return null
  const tokens = tokenize(text)
  if (tokens === null) return null
  const numbers: number[] = []
  let position = 0
  let failed = false

  function operand(depth: number): Fraction | null {
    const token = tokens![position++]
    if (typeof token === 'number') {
      numbers.push(token)
      return new Fraction(token)
    }
    if (token !== '(' || depth === MAX_DEPTH) return fail()
    const value = sum(depth + 1)
    return tokens![position++] === ')' ? value : fail()
  }
  function product(depth: number): Fraction | null {
    let value = operand(depth)
    for (let sign = tokens![position]; !failed && (sign === '*' || sign === '/'); sign = tokens![position]) {
      position++
      value = apply(sign, value, operand(depth))
    }
    return value
  }
  function sum(depth: number): Fraction | null {
    let value = product(depth)
    for (let sign = tokens![position]; !failed && (sign === '+' || sign === '-'); sign = tokens![position]) {
      position++
      value = apply(sign, value, product(depth))
    }
    return value
  }
  function fail(): null {
    failed = true
    return null
  }
  const value = sum(0)
  return failed || position !== tokens.length ? null : { numbers, value }
}

/** Numbers, signs and parentheses; null if there is anything else but blanks. */
function tokenize(text: string): (number | string)[] | null {
  const tokens: (number | string)[] = []
  for (const [token, digits] of text.matchAll(/([0-9]+)|[-+*/()]|[ \t\r\n]+|[\s\S]/g)) {
    if (digits !== undefined) {
      if (digits.length > MAX_DIGITS || (digits.length > 1 && digits[0] === '0')) return null
      tokens.push(Number(digits))
    } else if ('+-*/()'.includes(token)) tokens.push(token)
    else if (!/^[ \t\r\n]/.test(token)) return null
  }
  return tokens
}

/** Null stands for a value that does not exist: something was divided by zero. */
function apply(sign: string, left: Fraction | null, right: Fraction | null): Fraction | null {
  if (left === null || right === null) return null
  if (sign === '+') return left.add(right)
  if (sign === '-') return left.sub(right)
  if (sign === '*') return left.mul(right)
  return right.equals(0) ? null : left.div(right)
}
