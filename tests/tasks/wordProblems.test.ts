// The problems of data/problems: every solution recomputed in exact fractions, every number in it accounted for.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { all, create, type Fraction, type MathJsStatic } from 'mathjs'
import { type Problem, readProblems } from '../../lib/tasks/problems'

const math = create(all, { number: 'Fraction' }) as MathJsStatic

/** The exact value of an arithmetic expression; throws on anything else. */
function value(expression: string): Fraction {
  assert.match(expression, /^[\d.+\-*/() ]+$/, `no plain arithmetic: ${expression}`)
  return math.fraction(math.evaluate(bracketed(expression))) as Fraction
}
/** `5/24` without spaces is one number, as the problems' README says. */
const bracketed = (expression: string) => expression.replace(/(?<![\d.])(\d+\/\d+)(?![\d.])/g, '($1)')
const operands = (expression: string): string[] => expression.match(/\d+\/\d+|\d+(?:\.\d+)?/g) ?? []
const equal = (a: Fraction, b: Fraction) => math.equal(a, b) === true

const WORDS: Record<string, number[]> = { half: [2], third: [3], quarter: [4], twice: [2], doubles: [2], once: [1] }
'one two three four five six seven eight nine ten eleven twelve'.split(' ').forEach((word, i) => {
  WORDS[word] = [i + 1]
})
'first second third fourth fifth sixth'.split(' ').forEach((word, i) => {
  WORDS[word] = [i + 1]
})

/** The numbers that a text names, in digits (1,200; 0.75; 3/4; 19:40) or words. A percent sign brings 100 with it. */
function numbersIn(text: string): Fraction[] {
  const digits = operands(text.replace(/(?<=\d),(?=\d{3})/g, ''))
  const words = text.toLowerCase().match(/[a-z]+/g) ?? []
  const found = [...digits, ...words.flatMap((word) => WORDS[word] ?? [])].map(String)
  if (/%|percent/.test(text)) found.push('100')
  return found.flatMap((number) => (number.includes('/') ? [number, ...number.split('/')] : [number])).map(value)
}

/** Operands of the solution that are neither in the text nor in the facts nor an earlier line's result; `1` is any whole. */
function unaccounted({ context = '', question, facts = [], solution = [] }: Problem): string[] {
  const known = [value('1'), ...[context, question, ...facts].flatMap(numbersIn)]
  const isKnown = (number: string) => known.some((each) => equal(each, value(number)))
  const found: string[] = []
  for (const line of solution) {
    const [left, right] = line.split(' = ')
    for (const operand of operands(left!))
      if (!isKnown(operand) && !(operand.includes('/') && operand.split('/').every(isKnown)))
        found.push(`${operand} in ${line}`)
    known.push(value(right!))
  }
  return found
}

const MULTIPLE_SPACES = / {2}|^ | $/

describe('our own problems', async () => {
  const problems = await readProblems()

  test('there are at least 100, with unique ids and texts, of two to six steps', () => {
    assert.ok(problems.length >= 100, `${problems.length}`)
    for (const of of [(p: Problem) => p.id, (p: Problem) => `${p.context} ${p.question}`, (p: Problem) => p.context])
      assert.equal(new Set(problems.map(of)).size, problems.length)
    const bySteps = [2, 3, 4, 5, 6].map((steps) => problems.filter((problem) => problem.steps === steps).length)
    assert.equal(
      bySteps.reduce((a, b) => a + b),
      problems.length,
    )
    assert.ok(Math.min(...bySteps) >= 10, `problems of 2 to 6 steps: ${bySteps}`)
    assert.ok(new Set(problems.map((problem) => problem.topic)).size >= 15)
  })

  for (const problem of problems)
    test(`${problem.id} (${problem.topic})`, () => {
      const { context = '', question, answer, unit, steps, solution = [] } = problem
      assert.equal(solution.length, steps)
      for (const line of solution) {
        const sides = line.split(' = ')
        assert.equal(sides.length, 2, line)
        const [left, right] = sides as [string, string]
        assert.match(left, / [-+*/] /, `nothing is computed in ${line}`)
        assert.match(right, /^(\d+(\.\d+)?|\d+\/\d+)$/, line)
        assert.ok(equal(value(left), value(right)), `${line}, but the left side is ${math.format(value(left))}`)
      }
      const result = solution.at(-1)?.split(' = ')[1]
      assert.equal(result, answer)
      assert.match(answer, /^(0|[1-9]\d*)(\.\d*[1-9])?$|^\d+\/\d+$/, 'no needless zeros')
      assert.deepEqual(unaccounted(problem), [])

      // Every step serves a later one, so that `steps` says what the problem takes.
      const results = solution.map((line) => line.split(' = ')[1]!)
      results.slice(0, -1).forEach((each, i) => {
        const later = solution.slice(i + 1).map((line) => line.split(' = ')[0]!)
        const used = later.some((left) => operands(left).includes(each))
        assert.ok(used, `${solution[i]} is not used`)
      })

      assert.match(context, /[.]$/)
      assert.match(question, /^[A-Z].*\?$/)
      assert.doesNotMatch(context, MULTIPLE_SPACES)
      assert.doesNotMatch(question, MULTIPLE_SPACES)
      assert.ok(unit === null || (typeof unit === 'string' && unit.length > 0))
    })
})

describe('the check itself', () => {
  test('reads fractions without spaces as one number', () => {
    assert.ok(equal(value('9 / 3/4'), value('12')))
    assert.ok(equal(value('7/12 * 12'), value('7')))
    assert.ok(equal(value('0.1 + 0.2'), value('0.3')))
    assert.throws(() => value('sqrt(4)'))
  })
  test('notices a number from nowhere', () => {
    const problem = { id: 'x', context: 'A third of 12 pears and 1,200 figs.', question: 'How many?', answer: '5' }
    assert.deepEqual(unaccounted({ ...problem, solution: ['12 / 3 = 4', '4 + 1200 = 1204'] }), [])
    assert.deepEqual(unaccounted({ ...problem, solution: ['12 / 3 = 4', '4 + 5 = 9'] }), ['5 in 4 + 5 = 9'])
  })
})
