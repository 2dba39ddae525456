import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type RandomStream, randomStream } from '../../lib/random/randomStream'
import { compactCountdown } from '../../lib/tasks/compactCountdown'
import { countdown } from '../../lib/tasks/countdown'
import { logicGridTask } from '../../lib/tasks/logicGrid'
import { verifyMath } from '../../lib/tasks/math'
import { mathTask } from '../../lib/tasks/mathSets'
import { choiceTask } from '../../lib/tasks/multipleChoice'
import type { Verdict } from '../../lib/tasks/task'

const item = { nums: [3, 4, 8, 1], target: 24 }
const grid = {
  id: 'g',
  puzzle: 'p',
  attributes: ['Name', 'Drink'],
  rows: [
    ['Eric', 'tea'],
    ['Bob', 'milk'],
  ],
} // two houses
const choice = { id: 'c', question: 'q', choices: ['one', 'two'], answer: 'B' }
const countdownTask = countdown({ formatReward: 0.1 })
const compact = compactCountdown()
const choices = choiceTask({})
const grids = logicGridTask({}, { payCells: true })
const answers = ['42', '\\frac{1}{2}', '(1, 2]', 'x^2+1', '\\{1,2\\}', '50\\%', '\\text{yes}']

/** Every verifier by name. */
const verifiers: Record<string, (response: string, i: number) => Verdict> = {
  countdown: (response) => countdownTask.verify(item, response),
  compact: (response) => compact.verify({ nums: [3, 17, 20], target: 40 }, response),
  choice: (response) => choices.verify(choice, response),
  open: (response) => choices.verify({ ...choice, choices: [], answer: 'the moon' }, response),
  grid: (response) => grids.verify(grid, response),
  math: (response, i) =>
    mathTask({}, { lenient: i % 2 === 0 }).verify(
      { id: 'm', question: 'q', answer: answers[i % answers.length]! },
      response,
    ),
}
const names = Object.keys(verifiers)

const pieces = [
  ...[
    '<answer>',
    '</answer>',
    '<think>',
    '</think>',
    '\\boxed{',
    '}',
    '{',
    '(',
    ')',
    '[',
    ']',
    '####',
    '>',
    ';',
    '\n',
    ' ',
  ],
  ...['\\frac', '\\sqrt', '9^', '**', '//', '!', '|', '\\{', '\\}', ',', '\\cup', '\\pm', '=', '\\text{', '\\\\', '&'],
  ...[
    '\\begin{pmatrix}',
    '\\end{pmatrix}',
    'x',
    '\\overline',
    '_',
    '%',
    '\\circ',
    '^',
    '1',
    '24',
    '4.5',
    '999999999999',
  ],
  ...['\\log', '\\sin', '\\binom', '-', '+', '*', '/', '\u0663', '\uff14', '\u0000', '\ud800', 'e', 'i', 'pi', ' and '],
  ...[
    '\\infty',
    '$',
    '.',
    '\\left',
    '\\right',
    '\\in',
    ':',
    'e9',
    '0x1F',
    '__proto__',
    'constructor',
    'process.exit(1)',
  ],
  ...[
    '{"solution":',
    '{"House 1":',
    '"House 2"',
    '"Name":',
    '"Eric"',
    '"',
    'Answer:',
    'B',
    '(b)',
    '8*3',
    '(3+4+1)',
    '\\',
  ],
]

function randomResponse(stream: RandomStream): string {
  const length = 1 + stream.below(stream.below(50) === 0 ? 400 : 25)
  let body = ''
  for (let i = 0; i < length; i++) {
    const piece = pieces[stream.below(pieces.length)]!
    body += stream.below(25) === 0 ? piece.repeat(1 + stream.below(60)) : piece
  }
  const wrapped = [body, `<answer>${body}</answer>`, `\\boxed{${body}}`, `>${body}\n`, `{"House 1": ${body}}`]
  return wrapped[stream.below(wrapped.length)]!
}

function checkVerdict(verdict: Verdict, response: string): void {
  const { reward, correct, wellFormed, answer } = verdict
  assert.ok(reward >= 0 && reward <= 1 && (!correct || (reward === 1 && wellFormed && answer !== null)), response)
}

describe('hostile responses', () => {
  test('100,000 random ones are answered, each in bounded time', { timeout: 60_000 }, () => {
    const stream = randomStream(2026)
    let slowest = 0
    for (let i = 0; i < 100_000; i++) {
      const response = randomResponse(stream)
      const start = performance.now()
      checkVerdict(verifiers[names[i % names.length]!]!(response, i), response)
      slowest = Math.max(slowest, performance.now() - start)
    }
    // A single one takes well below a millisecond; this leaves room for a busy machine.
    assert.ok(slowest < 2000, `${slowest} ms`)
  })

  const shapes = [
    '@',
    '<answer>@</answer>',
    '\\boxed{@}',
    '#### @',
    '>@',
    '\\boxed{1@}',
    '\\boxed{(@)}',
    '{"House 1": @}',
  ]
  test('one piece 30,000 times, or as often as an answer may be long, is answered at once', () => {
    for (const piece of pieces)
      for (const shape of shapes)
        for (const times of [20, 150, 30_000]) {
          const response = shape.replace('@', () => piece.repeat(times))
          for (const name of names) {
            const start = performance.now()
            checkVerdict(verifiers[name]!(response, 1), `${name}: ${shape}, ${piece}`)
            assert.ok(performance.now() - start < 3000, `${name}: ${shape} with ${times} times ${piece}`)
          }
        }
  })

  test('the right answer may be hostile, too', () => {
    const stream = randomStream(7)
    for (let i = 0; i < 5000; i++) {
      const verdict = verifyMath(`\\boxed{${answers[i % answers.length]}}`, randomResponse(stream))
      assert.ok(typeof verdict === 'boolean')
    }
  })

  const towers = ['9^{9^{9^{9^9}}}', '((9^{9})^{9})^{9^9}', '10^{999999999}', '2^{-10^9}', '99999!', '\\binom{10^9}{5}']
  for (const tower of towers)
    test(`${tower} is not computed`, () => {
      const start = performance.now()
      assert.equal(verifyMath(`\\boxed{${tower}}`, '42'), false)
      assert.equal(verifyMath(`\\boxed{${tower}}`, `${tower}+1`), false)
      assert.ok(performance.now() - start < 1000)
    })

  test('text is never run', () => {
    const before = Object.keys(globalThis).length
    for (const code of ['globalThis.hacked=1', '(()=>{throw 1})()', 'process.exit(1)', '__import__("os").system("ls")'])
      for (const name of names)
        for (const shape of shapes)
          checkVerdict(
            verifiers[name]!(
              shape.replace('@', () => code),
              1,
            ),
            code,
          )
    assert.equal(Object.keys(globalThis).length, before)
  })
})
