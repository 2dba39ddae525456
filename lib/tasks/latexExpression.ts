/** An expression as a tree. `number` is as written, a repeating decimal as `0.1(6)`; `call` has an operation or a function. */
export type ExpressionNode =
  | { kind: 'number'; written: string }
  | { kind: 'constant'; name: 'pi' | 'e' | 'i' }
  | { kind: 'variable'; name: string }
  | { kind: 'call'; name: string; args: ExpressionNode[] }

const MAX_LENGTH = 400
const MAX_DEPTH = 30

const TOKEN =
  /\s+|\d+\.\d*\\overline\{?\d+\}?|\d+(?:\.\d+)?|\.\d+|\\[a-zA-Z]+|\\[\s\S]|[a-zA-Z]+|\*\*|[-+*/^_!|()[\]{}]|[\s\S]/g

const FUNCTIONS = new Set('sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log lg exp sqrt'.split(' '))
const GREEK = new Set(
  'alpha beta gamma delta epsilon theta lambda mu nu rho sigma tau phi varphi psi omega Delta Omega'.split(' '),
)
const SIGNS: Record<string, string> = { '\\cdot': '*', '\\times': '*', '\\ast': '*', '\\div': '/', '**': '^' }

/** Thrown inside: the text is no expression that is understood. */
class NoExpression extends Error {}

/**
 * Reads an expression in LaTeX or plain notation (`\\frac{1}{2}x`, `2\\sqrt{3}`, `x^2/4`). Null for what is none or is not
 * understood, and beyond 400 characters or 30 levels. Products need no sign; `1/2x` is (1/2)x; a whole number before a
 * fraction of whole numbers is a mixed number. The time is linear in the length.
 */
export function latexExpression(latex: string): ExpressionNode | null {
  if (latex.length > MAX_LENGTH) return null
  try {
    return new ExpressionReader(latex).whole()
  } catch (error) {
    if (error instanceof NoExpression) return null
    throw error
  }
}

const call = (name: string, ...args: ExpressionNode[]): ExpressionNode => ({ kind: 'call', name, args })
const number = (written: string): ExpressionNode => ({ kind: 'number', written })

class ExpressionReader {
  private readonly tokens: string[]
  private position = 0
  private depth = 0

  constructor(latex: string) {
    this.tokens = (latex.match(TOKEN) ?? []).flatMap((token) => (token.trim() === '' ? [] : splitWord(token)))
  }

  whole(): ExpressionNode {
    const node = this.sum()
    if (this.position < this.tokens.length) throw new NoExpression()
    return node
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

  private take(token: string): boolean {
    const taken = this.next === token
    if (taken) this.position++
    return taken
  }

  private sum(): ExpressionNode {
    let node = this.next === '-' || this.next === '+' ? number('0') : this.product()
    while (this.next === '+' || this.next === '-')
      node = call(this.tokens[this.position++] as string, node, this.product())
    return node
  }

  private product(): ExpressionNode {
    let node = this.power()
    for (;;) {
      const sign = SIGNS[this.next ?? ''] ?? this.next
      if (sign === '*' || sign === '/') {
        this.position++
        const minus = this.take('-')
        const right = this.power()
        node = call(sign, node, minus ? call('-', number('0'), right) : right)
      } else if (this.beginsOperand()) node = call('*', node, this.power())
      else return node
    }
  }

  /** Whether what follows multiplies what came before. Two numbers side by side are no product. */
  private beginsOperand(): boolean {
    const { next } = this
    if (next === undefined || /^(?:[-+*/^_!|)\]}]|\*\*|\\\})$/.test(next)) return false
    if (/^[\d.]/.test(next) && /^[\d.]/.test(this.tokens[this.position - 1] ?? '')) throw new NoExpression()
    return true
  }

  private power(): ExpressionNode {
    let base = this.operand()
    for (;;) {
      if (this.take('!')) base = call('factorial', base)
      else if (this.take('^') || this.take('**')) base = this.exponent(base)
      else return base
    }
  }

  private exponent(base: ExpressionNode): ExpressionNode {
    const following = this.tokens.slice(this.position, this.position + 3).join('')
    if (following.startsWith('\\circ') || following === '{\\circ}') {
      this.position += following === '{\\circ}' ? 3 : 1
      return call('/', call('*', base, { kind: 'constant', name: 'pi' }), number('180'))
    }
    const minus = this.take('-')
    let raised = this.argument()
    if (this.take('^') || this.take('**')) raised = this.deeper(() => this.exponent(raised))
    return call('^', base, minus ? call('-', number('0'), raised) : raised)
  }

  /** What a command or an exponent takes: a group, a number, or one symbol. */
  private argument(): ExpressionNode {
    return this.deeper(() => (this.next === '{' ? this.group('{', '}') : this.operand()))
  }

  private group(open: string, close: string): ExpressionNode {
    return this.deeper(() => {
      this.expect(open)
      const node = this.sum()
      this.expect(close)
      return node
    })
  }

  private operand(): ExpressionNode {
    const token = this.next
    if (token === undefined) throw new NoExpression()
    if (token === '(' || token === '[' || token === '{')
      return this.group(token, { '(': ')', '[': ']', '{': '}' }[token])
    if (token === '|') return call('abs', this.group('|', '|'))
    this.position++
    if (/^\.?\d/.test(token)) return this.mixedNumber(token)
    const name = token.replace('\\', '')
    if (name === 'frac' || name === 'binom') return this.twoArguments(name)
    if (name === 'sqrt') return this.root()
    if (FUNCTIONS.has(name)) return this.deeper(() => this.call(name))
    if (name === 'pi' || token === 'e' || token === 'i') return { kind: 'constant', name: name as 'pi' | 'e' | 'i' }
    if (/^[a-zA-Z]$/.test(token) || (token.startsWith('\\') && GREEK.has(name))) return this.variable(name)
    throw new NoExpression()
  }

  private mixedNumber(token: string): ExpressionNode {
    const repeating = /^(\d+\.\d*)\\overline\{?(\d+)\}?$/.exec(token)
    const whole = number(repeating ? `${repeating[1]}(${repeating[2]})` : token)
    const rest = this.tokens.slice(this.position, this.position + 7).join('')
    if (!/^\d+$/.test(token) || !/^\\frac(?:\{\d+\}\{\d+\}|\d\{?\d+\}?|\{\d+\}\d)/.test(rest)) return whole
    this.position++
    return call('+', whole, this.twoArguments('frac'))
  }

  private twoArguments(name: string): ExpressionNode {
    this.splitDigits()
    const first = this.argument()
    this.splitDigits()
    const second = this.argument()
    return call(name === 'frac' ? '/' : name, first, second)
  }

  /** `\frac12` is one half: an argument without braces is one digit. */
  private splitDigits(): void {
    const token = this.next
    if (token && /^\d\d+$/.test(token)) this.tokens.splice(this.position, 1, token[0] as string, token.slice(1))
  }

  private root(): ExpressionNode {
    const degree = this.next === '[' ? this.group('[', ']') : null
    const radicand = this.next === '(' ? this.group('(', ')') : this.argument()
    return degree === null ? call('sqrt', radicand) : call('root', radicand, degree)
  }

  private call(name: string): ExpressionNode {
    const base = name === 'log' && this.take('_') ? this.argument() : null
    const exponent = this.take('^') ? this.argument() : null
    // Without brackets the argument is the product that follows, up to a sign or the next function.
    const bracketed = this.next === '(' || this.next === '{'
    let inside = this.power()
    while (!bracketed && this.continuesArgument()) inside = call('*', inside, this.power())
    const ln = (node: ExpressionNode) => call('ln', node)
    const value = base
      ? call('/', ln(inside), ln(base))
      : name === 'log' || name === 'lg'
        ? call('/', ln(inside), ln(number('10')))
        : call(name, inside)
    return exponent ? call('^', value, exponent) : value
  }

  private continuesArgument(): boolean {
    return this.beginsOperand() && !FUNCTIONS.has((this.next as string).replace('\\', '')) && this.next !== '('
  }

  private variable(name: string): ExpressionNode {
    if (this.next !== '_') return { kind: 'variable', name }
    const rest = this.tokens.slice(this.position, this.position + 8).join('')
    const subscript = /^_(?:\{([a-zA-Z0-9]+)\}|([a-zA-Z0-9]))/.exec(rest)
    if (!subscript) throw new NoExpression()
    for (let read = ''; read.length < subscript[0].length; ) read += this.tokens[this.position++]
    return { kind: 'variable', name: `${name}_${subscript[1] ?? subscript[2]}` }
  }
}

/** A run of letters is a name that is known (`pi`, `sqrt`), or the product of its letters if there are at most three. */
function splitWord(token: string): string[] {
  if (!/^[a-zA-Z]{2,}$/.test(token) || FUNCTIONS.has(token) || token === 'pi') return [token]
  return token.length <= 3 ? [...token] : [token]
}
