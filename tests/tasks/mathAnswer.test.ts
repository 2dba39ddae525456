import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { finalAnswer, sameAnswer, verifyMath } from '../../lib/tasks/math'

// Worked by hand.
const equal: [string, string][] = [
  ['42', '42'],
  ['042', '42'],
  ['-7', '\u22127'],
  ['+3', '3'],
  ['1,234,567', '1234567'],
  ['1{,}234', '1234'],
  ['12\\,000', '12000'],
  ['10,\\!080', '10080'],
  ['\\$1,250.50', '1250.5'],
  ['$18', '18'],
  ['18.00', '18'],
  ['.5', '0.5'],
  ['0.5', '\\frac{1}{2}'],
  ['\\frac12', '1/2'],
  ['\\dfrac{7}{20}', '0.35'],
  ['\\tfrac{14}{40}', '7/20'],
  ['-\\frac{3}{4}', '\\frac{-3}{4}'],
  ['\\frac{3}{-4}', '-0.75'],
  ['1\\frac{1}{2}', '\\frac{3}{2}'],
  ['1 1/2', '1.5'],
  ['-2\\frac13', '-\\frac{7}{3}'],
  ['0.\\overline{3}', '\\frac13'],
  ['0.1\\overline{6}', '1/6'],
  ['50\\%', '50'],
  ['50\\%', '0.5'],
  ['12.5%', '\\frac{1}{8}'],
  ['25', '25 \\%'],
  ['90^\\circ', '90'],
  ['90^{\\circ}', '90\\text{ degrees}'],
  ['45\u00b0', '45'],
  ['5\\text{ cm}', '5'],
  ['5 \\mathrm{cm}^2', '5'],
  ['38 jars', '38'],
  ['5 m', '5'],
  ['12.5 litres per hour', '12.5'],
  ['60 km/h', '60'],
  ['1,200 \\text{ square units}', '1200'],
  ['\\sqrt{12}', '2\\sqrt{3}'],
  ['\\sqrt 2', '\\sqrt{2}'],
  ['\\frac{\\sqrt{2}}{2}', '\\frac{1}{\\sqrt{2}}'],
  ['\\sqrt[3]{27}', '3'],
  ['sqrt(8)', '2\u221a2'],
  ['3\\pi', '\\pi\\cdot 3'],
  ['\\frac{4}{3}\\pi', '\\frac{4\\pi}{3}'],
  ['2\u03c0', '2\\pi'],
  ['2^{10}', '1024'],
  ['2^10', '1024'],
  ['10^{-3}', '0.001'],
  ['2^{3^2}', '512'],
  ['1.5\\times10^{3}', '1500'],
  ['e^{2}\\cdot e', 'e^3'],
  ['5!', '120'],
  ['\\binom{5}{2}', '10'],
  ['\\log_2 8', '3'],
  ['\\log 1000', '3'],
  ['\\ln(e^4)', '4'],
  ['\\sin 30^\\circ', '\\frac12'],
  ['\\cos\\frac{\\pi}{3}', '0.5'],
  ['\\sin^2 x + \\cos^2 x', '\\sin^2(x)+\\cos^2(x)'],
  ['3+4i', '4i+3'],
  ['(1+i)^2', '2i'],
  ['|{-5}|', '5'],
  ['x^2+2x+1', '(x+1)^2'],
  ['(x-1)(x+1)', 'x^2-1'],
  ['\\frac{x}{2}+\\frac{x}{3}', '\\frac{5x}{6}'],
  ['x(x+1)', 'x^2+x'],
  ['2a_1+a_{1}', '3a_1'],
  ['-x^2', '-(x^2)'],
  ['x=5', '5'],
  ['x = y = 5', '5'],
  ['f(x)=2x+1', '1+2x'],
  ['y=2x+3', '2x-y+3=0'],
  ['x\\in[0,1]', '[0,1]'],
  ['(1,2)', '\\left( 1, 2 \\right)'],
  ['(\\frac12, 0.75)', '(0.5,\\frac{3}{4})'],
  ['[0,\\infty)', '\\left[0,+\\infty\\right)'],
  ['(-\\infty,1)\\cup(2,3)', '(2,3) \\cup (-\\infty, 1)'],
  ['\\{1,2,3\\}', '\\{3,1,2\\}'],
  ['1, 2', '2,1'],
  ['1 \\text{ and } 2', '2, 1'],
  ['-1 or 3', '3, -1'],
  ['\\pm 3', '3, -3'],
  ['1\\pm\\sqrt{2}', '1-\\sqrt2, 1+\\sqrt2'],
  ['\\begin{pmatrix}1\\\\2\\end{pmatrix}', '\\begin{pmatrix} 1.0 \\\\ \\frac42 \\end{pmatrix}'],
  ['\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}', '\\begin{bmatrix} 1 & 2 \\\\ 3 & 4 \\end{bmatrix}'],
  ['\\emptyset', '\\{\\}'],
  ['\\text{(B)}', 'B'],
  ['(b)', '\\textbf{(B)}'],
  ['\\text{Yes}', 'yes'],
  ['42.', '42'],
  ['\\(42\\)', '$42$'],
  ['{42}', '42'],
  ['\\boxed{42}', '42'],
  ['12:30', '12:30'],
  ['x \\geq 2', 'x\\ge2'],
  ['12345678901234567890123456789', '12,345,678,901,234,567,890,123,456,789'],
]
const unequal: [string, string][] = [
  ['42', '43'],
  ['42', '-42'],
  ['0.33', '1/3'],
  ['0.3333333333', '\\frac13'],
  ['3.14', '\\pi'],
  ['1.414', '\\sqrt2'],
  ['12345678901234567890123456789', '12345678901234567890123456788'],
  ['\\frac12', '\\frac21'],
  ['\\frac{1}{2}', '12'],
  ['1\\frac12', '\\frac12'],
  ['50\\%', '5'],
  ['50\\%', '50.5'],
  ['0.5', '50'],
  ['5\\text{ cm}', '6'],
  ['5 cm', '5 m'],
  ['3 pi', '3'],
  ['5x', '5'],
  ['3i', '3'],
  ['2\\sqrt3', '\\sqrt6'],
  ['2^{10}', '210'],
  ['2^{3^2}', '64'],
  ['x^2', 'x^3'],
  ['x', 'y'],
  ['x^2+1', '(x+1)^2'],
  ['\\sqrt{x^2}', 'x'],
  ['\\ln x', '\\log x'],
  ['3+4i', '3-4i'],
  ['(1,2)', '(2,1)'],
  ['(1,2)', '[1,2]'],
  ['(1,2)', '(1,2,3)'],
  ['(1,2]', '[1,2)'],
  ['[0,\\infty)', '[0,-\\infty)'],
  ['\\{1,2\\}', '\\{1,2,2\\}'],
  ['1,2', '1,3'],
  ['1,234', '234'],
  ['(1,234)', '1234'],
  ['\\pm 3', '3'],
  ['y=2x+3', 'y=2x-3'],
  ['x=5', 'x=6'],
  ['\\begin{pmatrix}1\\\\2\\end{pmatrix}', '\\begin{pmatrix}2\\\\1\\end{pmatrix}'],
  ['\\begin{pmatrix}1&2\\end{pmatrix}', '\\begin{pmatrix}1\\\\2\\end{pmatrix}'],
  ['\\text{B}', '\\text{C}'],
  ['\\text{Yes}', 'No'],
  ['blue', 'lube'],
  ['\\Delta', '\\delta'],
  ['3:4', '3/4'],
  ['x>2', 'x<2'],
  ['52_8', '52'],
  ['9^{9^{9^9}}', '9^{9^{9^8}}'],
  ['\uff14\uff12', '42'],
  ['', ''],
  ['4 2', '42'],
  ['1/0', '2/0'],
  ['\\frac{1}{0}', '0'],
]

describe('two final answers', () => {
  test('are the same where they mean the same, in either order', () => {
    for (const [a, b] of equal)
      for (const [one, other] of [
        [a, b],
        [b, a],
      ] as const)
        assert.equal(sameAnswer(one, other), true, `${one} is ${other}`)
  })

  test('are different where they mean something else', () => {
    for (const [a, b] of unequal)
      for (const [one, other] of [
        [a, b],
        [b, a],
      ] as const)
        assert.equal(sameAnswer(one, other), false, `${one} is not ${other}`)
  })
})

describe('the final answer of a response', () => {
  const cases: [response: string, answer: string | null][] = [
    ['So it is \\boxed{42}.', '42'],
    ['First \\boxed{1}, then \\boxed{2}\n', '2'],
    ['\\boxed{\\frac{1}{2}}', '\\frac{1}{2}'],
    ['\\boxed{\\{1, 2\\}}', '\\{1, 2\\}'],
    ['\\boxed{\\boxed{3}}', '\\boxed{3}'],
    ['\\boxed {4}', '4'],
    ['\\boxed 5', '5'],
    ['\\fbox{6}', '6'],
    ['\\boxed{7} and then \\boxed{8', '7'],
    ['\\boxed{9', null],
    ['\\boxed{}', null],
    ['\\boxedx{9}', null],
    ['3 * 14 = 42\n#### 42\n', '42'],
    ['#### 1,000\nmore', '1,000'],
    ['#### 1\n\\boxed{2}', '2'],
    ['The answer is 42', null],
    ['', null],
  ]
  for (const [response, answer] of cases)
    test(`of ${JSON.stringify(response)} is ${answer}`, () => assert.equal(finalAnswer(response), answer))

  test('may be the last number, if asked for', () => {
    const lenient = (response: string) => finalAnswer(response, { lenient: true })
    assert.equal(lenient('So 48 - 10 = 38 jars are left.'), '38')
    assert.equal(lenient('That is 50 - 12.5'), '12.5')
    assert.equal(lenient('The answer is **1,250** dollars.'), '1,250')
    assert.equal(lenient('It is 7/20 of the cake.'), '7/20')
    assert.equal(lenient('It is $\\frac{7}{20}$.'), '\\frac{7}{20}')
    assert.equal(lenient('The temperature is -4 degrees.'), '-4')
    assert.equal(lenient('x = -4'), '-4')
    assert.equal(lenient('Therefore 15%.'), '15%')
    assert.equal(lenient('\\boxed{3} on line 5'), '3')
    assert.equal(lenient('no number'), null)
  })
})

test('a response is right, wrong, or without an answer', () => {
  assert.equal(verifyMath('\\boxed{\\frac{7}{20}}', '0.35'), true)
  assert.equal(verifyMath('\\boxed{0.36}', '7/20'), false)
  assert.equal(verifyMath('It is 0.35', '7/20'), null)
  assert.equal(verifyMath('It is 0.35 litres', '7/20', { lenient: true }), true)
  assert.equal(verifyMath('#### 18', 'She has 9 * 2 = 18.\n#### 18'), true)
  assert.equal(verifyMath('\\boxed{18}', 'so \\boxed{18.0}'), true)
  assert.equal(verifyMath('Janet sells 9 eggs.\n#### $18\n', '18'), true)
})
