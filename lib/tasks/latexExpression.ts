/** An expression in mathjs's notation: numbers are `n0`, `n1`, …, and variables have names that begin with `v_`. */
export interface PlainExpression {
  text: string
  /** What is written for `n0`, `n1`, …, a repeating decimal as `0.1(6)`. */
  numbers: string[]
  variables: Set<string>
}

const MAX_LENGTH = 400
const MAX_DEPTH = 30

const TOKEN =
  /\s+|\d+(?:\.\d*)?\\overline\{?\d+\}?|\d+(?:\.\d+)?|\.\d+|\\[a-zA-Z]+|\\[\s\S]|[a-zA-Z]+|\*\*|[-+*/^_!|()[\]{}]|[\s\S]/g

const FUNCTIONS = new Set('sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log lg exp sqrt'.split(' '))
const GREEK = new Set(
  'alpha beta gamma delta epsilon theta lambda mu nu rho sigma tau phi varphi psi omega Delta Omega'.split(' '),
)
const SIGNS: Record<string, string> = { '\\cdot': '*', '\\times': '*', '\\ast': '*', '\\div': '/', '**': '^' }

/** Thrown inside: the text is no expression that is understood. */
class NoExpression extends Error {}

/**
 * Translates an expression in LaTeX or plain notation (`\frac{1}{2}x`, `2\sqrt{3}`, `x^2/4`). Null for what is none or is
 * not understood, and beyond 400 characters or 30 levels. Products need no sign; `1/2x` is (1/2)x; a whole number before a
 * fraction of whole numbers is a mixed number. The time is linear in the length.
 */
export function latexExpression(latex: string): PlainExpression | null {
  if (latex.length > MAX_LENGTH) return null
  try {
    return new Translator(latex).whole()
  } catch (error) {
    if (error instanceof NoExpression) return null
    throw error
  }
}

class Translator {
  private readonly tokens: string[]
  private position = 0
  private depth = 0
  private readonly numbers: string[] = []
  private readonly variables = new Set<string>()

  constructor(latex: string) {
    this.tokens = (latex.match(TOKEN) ?? []).flatMap((token) => (token.trim() === '' ? [] : splitWord(token)))
  }

  whole(): PlainExpression {
    const text = this.sum()
    if (this.position < this.tokens.length) throw new NoExpression()
    return { text, numbers: this.numbers, variables: this.variables }
  }

  private get next(): string | undefined {
    return this.tokens[this.position]
  }

  private expect(token: string): void {
    if (this.tokens[this.position++] !== token) throw new NoExpression()
  }

  private deeper<T>(read: () => T): T {
    if (++this.depth > MAX_DEPTH) throw new NoExpression()
    const result = read()
    this.depth--
    return result
  }

  private sum(): string {
    let text = this.next === '-' || this.next === '+' ? '' : this.product()
    while (this.next === '+' || this.next === '-') text += `${this.tokens[this.position++]}${this.product()}`
    return `(${text})`
  }

  private product(): string {
    let text = this.power()
    for (;;) {
      const sign = SIGNS[this.next ?? ''] ?? this.next
      if (sign === '*' || sign === '/') {
        this.position++
        const minus = this.next === '-'
        if (minus) this.position++
        text += `${sign}${minus ? '(-1)*' : ''}${this.power()}`
      } else if (this.beginsOperand()) text += `*${this.power()}`
      else return text
    }
  }

  /** Whether what follows multiplies what came before. Two numbers side by side are no product. */
  private beginsOperand(): boolean {
    const { next } = this
    if (next === undefined || /^(?:[-+*/^_!|)\]}]|\*\*|\\\})$/.test(next)) return false
    if (/^[\d.]/.test(next) && /^[\d.]/.test(this.tokens[this.position - 1] ?? '')) throw new NoExpression()
    return true
  }

  private power(): string {
    let base = this.operand()
    for (;;) {
      if (this.next === '!') {
        this.position++
        base = `fact(${base})`
      } else if (this.next === '^' || this.next === '**') {
        this.position++
        base = this.exponent(base)
      } else return base
    }
  }

  private exponent(base: string): string {
    const isDegree = ['\\circ', '{\\circ}'].find((degree) =>
      this.tokens.slice(this.position).join('').startsWith(degree),
    )
    if (isDegree) {
      this.position += isDegree === '\\circ' ? 1 : 3
      return `(${base}*pi/180)`
    }
    const minus = this.next === '-'
    if (minus) this.position++
    let raised = this.argument()
    if (this.next === '^' || this.next === '**') {
      this.position++
      raised = this.deeper(() => this.exponent(raised))
    }
    return `(${base})^(${minus ? '-' : ''}${raised})`
  }

  /** What a command or an exponent takes: a group, a number, or one symbol. */
  private argument(): string {
    return this.deeper(() => (this.next === '{' ? this.group('{', '}') : this.operand()))
  }

  private group(open: string, close: string): string {
    return this.deeper(() => {
      this.expect(open)
      const text = this.sum()
      this.expect(close)
      return text
    })
  }

  private operand(): string {
    const token = this.next
    if (token === undefined) throw new NoExpression()
    if (token === '(' || token === '[' || token === '{')
      return this.group(token, { '(': ')', '[': ']', '{': '}' }[token])
    if (token === '|') return `abs${this.group('|', '|')}`
    this.position++
    if (/^[\d.]/.test(token)) return this.mixedNumber(token)
    const name = token.replace('\\', '')
    if (name === 'frac' || name === 'binom') return this.twoArguments(name)
    if (name === 'sqrt') return this.root()
    if (FUNCTIONS.has(name)) return this.deeper(() => this.call(name))
    if (name === 'pi' || token === 'e' || token === 'i') return name
    if (/^[a-zA-Z]$/.test(token) || (token.startsWith('\\') && GREEK.has(name))) return this.variable(name)
    throw new NoExpression()
  }

  private number(token: string): string {
    const repeating = /^(\d+(?:\.\d*)?)\\overline\{?(\d+)\}?$/.exec(token)
    const written = repeating ? `${repeating[1]}(${repeating[2]})` : token
    return `n${this.numbers.push(written) - 1}`
  }

  private mixedNumber(token: string): string {
    const whole = this.number(token)
    const rest = this.tokens.slice(this.position, this.position + 7).join('')
    if (!/^\d+$/.test(token) || !/^\\frac(?:\{\d+\}\{\d+\}|\d\{?\d+\}?|\{\d+\}\d)/.test(rest)) return whole
    this.position++
    return `(${whole}+${this.twoArguments('frac')})`
  }

  private twoArguments(name: string): string {
    if (name === 'frac') this.splitDigits()
    const first = this.argument()
    if (name === 'frac') this.splitDigits()
    const second = this.argument()
    return name === 'frac' ? `(${first}/${second})` : `binomial(${first},${second})`
  }

  /** `\frac12` is one half: an argument without braces is one digit. */
  private splitDigits(): void {
    const token = this.next
    if (token && /^\d\d+$/.test(token)) this.tokens.splice(this.position, 1, token[0] as string, token.slice(1))
  }

  private root(): string {
    if (this.next === '(') return `sqrt${this.group('(', ')')}`
    const degree = this.next === '[' ? this.group('[', ']') : null
    const radicand = this.argument()
    return degree === null ? `sqrt(${radicand})` : `root(${radicand},${degree})`
  }

  private call(name: string): string {
    let base = ''
    let exponent = ''
    if (name === 'log' && this.next === '_') {
      this.position++
      base = this.argument()
    }
    if (this.next === '^') {
      this.position++
      exponent = this.argument()
    }
    // Without brackets the argument is the product that follows, up to a sign or the next function.
    let inside = this.next === '(' || this.next === '{' ? this.power() : ''
    while (inside === '' || (!/[)}]/.test(this.tokens[this.position - 1] as string) && this.continuesArgument()))
      inside += `${inside && '*'}${this.power()}`
    const value = base ? `(ln(${inside})/ln(${base}))` : name === 'log' ? `lg(${inside})` : `${name}(${inside})`
    return exponent ? `(${value})^${exponent}` : value
  }

  private continuesArgument(): boolean {
    return this.beginsOperand() && !FUNCTIONS.has((this.next as string).replace('\\', '')) && this.next !== '('
  }

  private variable(name: string): string {
    let full = `v_${name}`
    if (this.next === '_') {
      const subscript = /^_(?:\{([a-zA-Z0-9]+)\}|([a-zA-Z0-9]))/.exec(
        this.tokens.slice(this.position, this.position + 8).join(''),
      )
      if (!subscript) throw new NoExpression()
      for (let read = ''; read.length < subscript[0].length; ) read += this.tokens[this.position++]
      full += `_${subscript[1] ?? subscript[2]}`
    }
    this.variables.add(full)
    return full
  }
}

/** A run of letters is a name that is known (`pi`, `sqrt`), or the product of its letters if there are at most three. */
function splitWord(token: string): string[] {
  if (!/^[a-zA-Z]{2,}$/.test(token) || FUNCTIONS.has(token) || token === 'pi') return [token]
  return token.length <= 3 ? [...token] : [token]
}
