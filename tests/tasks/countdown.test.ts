import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { evaluate } from 'mathjs'
import { type RandomStream, randomStream } from '../../lib/random/randomStream'
import { parseArithmetic } from '../../lib/tasks/arithmetic'
import { countdown, verifyCountdown } from '../../lib/tasks/countdown'
import { type CountdownItem, parseCountdown, splitOf } from '../../lib/tasks/countdownItems'
import { itemAt, type TaskSplit, taskItem, taskSplits } from '../../lib/tasks/task'

/** An exact fraction in BigInt, of its own. */
type Ratio = { top: bigint; bottom: bigint }
interface Tree {
  text: string
  value: Ratio | null
  numbers: number[]
  /** 0 a number or in brackets, 1 a product, 2 a sum. */
  level: number
}

function combine(sign: string, a: Ratio | null, b: Ratio | null): Ratio | null {
  if (!a || !b) return null
  if (sign === '+') return { top: a.top * b.bottom + b.top * a.bottom, bottom: a.bottom * b.bottom }
  if (sign === '-') return { top: a.top * b.bottom - b.top * a.bottom, bottom: a.bottom * b.bottom }
  if (sign === '*') return { top: a.top * b.top, bottom: a.bottom * b.bottom }
  return b.top === 0n ? null : { top: a.top * b.bottom, bottom: a.bottom * b.top }
}

/** A random expression whose value and numbers are known as it is built, with the brackets that precedence needs and some more. */
function randomTree(stream: RandomStream, size: number): Tree {
  if (size === 1) {
    const number = stream.below(3) === 0 ? stream.below(1000) : stream.below(12)
    return { text: `${number}`, value: { top: BigInt(number), bottom: 1n }, numbers: [number], level: 0 }
  }
  const split = 1 + stream.below(size - 1)
  const sign = '+-*/'[stream.below(4)] as string
  const level = '+-'.includes(sign) ? 2 : 1
  const bracket = ({ text, level: inner }: Tree, limit: number) =>
    inner > limit || stream.below(5) === 0 ? `(${text})` : text
  const left = randomTree(stream, split)
  const right = randomTree(stream, size - split)
  const blank = [' ', '', '  '][stream.below(3)]
  return {
    text: `${bracket(left, level)}${blank}${sign}${blank}${bracket(right, level - 1)}`,
    value: combine(sign, left.value, right.value),
    numbers: [...left.numbers, ...right.numbers],
    level,
  }
}

/** Whether some expression reaches the target, by trying all pairs; whole or broken values. */
function solvable(values: Ratio[], target: bigint): boolean {
  if (values.length === 1) return values[0]!.top === target * values[0]!.bottom
  return values.some((a, i) =>
    values.some((b, j) => {
      if (i === j) return false
      const rest = values.filter((_, k) => k !== i && k !== j)
      return [...'+-*/'].some((sign) => {
        const value = combine(sign, a, b)
        return value !== null && solvable([...rest, value], target)
      })
    }),
  )
}

const key = ({ nums, target }: CountdownItem) => `${[...nums].sort((a, b) => a - b)}=${target}`
const item = (target: number, ...nums: number[]): CountdownItem => ({ nums, target })

describe('an arithmetic expression', () => {
  test('has the value that it was built with, in 20,000 random ones', () => {
    const stream = randomStream(1)
    for (let i = 0; i < 20_000; i++) {
      const tree = randomTree(stream, 1 + stream.below(7))
      const read = parseArithmetic(tree.text)
      assert.ok(read, tree.text)
      assert.deepEqual(read.numbers, tree.numbers, tree.text)
      if (tree.value === null) assert.equal(read.value, null, tree.text)
      else
        assert.ok(
          read.value && read.value.s * read.value.n * tree.value.bottom === tree.value.top * read.value.d,
          tree.text,
        )
    }
  })

  test('has the value that mathjs computes, as far as its doubles go', () => {
    const stream = randomStream(2)
    for (let i = 0; i < 1000; i++) {
      const { text, value } = randomTree(stream, 2 + stream.below(4))
      if (value === null) continue
      const theirs = evaluate(text) as number
      const ours = parseArithmetic(text)!.value!.valueOf()
      assert.ok(Math.abs(ours - theirs) <= 1e-9 * Math.max(1, Math.abs(theirs)), `${text}: ${ours}, ${theirs}`)
    }
  })

  const refused = [
    '',
    ' ',
    '2**3',
    '7//2',
    '2 ** 3',
    '-3+5',
    '+3',
    '3-(-5)',
    '3--5',
    '3+-5',
    '2^3',
    '07',
    '00',
    '1.5',
    '1e3',
    '0x10',
    '1_000',
    '2(3)',
    '(2)(3)',
    '2 3',
    '()',
    '(1',
    '1)',
    '1+',
    '*2',
    '1,2',
    '١+٢',
    '１+２',
    '3×4',
    '3÷4',
    '1−1',
    '3=3',
    '1+2;',
    'a',
    'Math.PI',
    '1\u00a0+2',
    '1\u0000',
    '9999999999',
    `${'('.repeat(51)}1${')'.repeat(51)}`,
    `1${'+1'.repeat(300)}`,
    '[1]',
    '{1}',
    '5!',
    '5%3',
    '"1"',
  ]
  test('is refused where it is anything but numbers, + - * / and brackets', () => {
    for (const text of refused) assert.equal(parseArithmetic(text), null, JSON.stringify(text))
  })

  test('may have blanks, line ends and needless brackets', () => {
    assert.equal(parseArithmetic(' ( 1 +\t2 )\r\n* 3 \n')?.value?.toFraction(), '9')
    assert.equal(parseArithmetic(`${'('.repeat(50)}7${')'.repeat(50)}`)?.value?.toFraction(), '7')
    assert.equal(parseArithmetic('0*5/3')?.value?.toFraction(), '0')
    assert.equal(parseArithmetic('8/3/2')?.value?.toFraction(), '4/3')
    assert.equal(parseArithmetic('10-3-2')?.value?.toFraction(), '5')
    assert.deepEqual(parseArithmetic('1/(2-2)'), { numbers: [1, 2, 2], value: null })
  })
})

describe('the verdict on a response', () => {
  const task = countdown({ formatReward: 0.1 })
  const cases: [given: CountdownItem, response: string, reward: number, wellFormed: boolean][] = [
    [item(24, 8, 3, 1), 'so <answer>8*3*1</answer>', 1, true],
    [item(24, 8, 3, 1), '</think>\n<answer>\n8 * 3 / 1\n</answer>\n\n', 1, true],
    [item(24, 3, 3, 8, 8), '<answer>8/(3-8/3)</answer>', 1, true],
    [item(24, 8, 3, 1), '<answer>8*3</answer>', 0.1, true],
    [item(24, 8, 3, 1), '<answer>8*3*1*1</answer>', 0.1, true],
    [item(24, 8, 3, 1), '<answer>8+3+1</answer>', 0.1, true],
    [item(24, 8, 3, 1), '<answer>24</answer>', 0.1, true],
    [item(24, 8, 3, 1), '<answer>8*3/(1-1)</answer>', 0.1, true],
    [item(24, 8, 3, 1), '<answer>8*3*1 = 24</answer>', 0, false],
    [item(24, 8, 3, 1), '<answer>8*3**1</answer>', 0, false],
    [item(8, 24, 3, 1), '<answer>24//3*1</answer>', 0, false],
    [item(24, 8, 3, 1), '8*3*1', 0, false],
    [item(24, 8, 3, 1), '<answer>8*3*1', 0, false],
    [item(24, 8, 3, 1), '8*3*1</answer>', 0, false],
    [item(24, 8, 3, 1), '<answer>8*3*1</answer> no: <answer>8+3+1</answer>', 0.1, true],
    [item(24, 8, 3, 1), '<answer>8+3+1</answer> no: <answer>8*3*1</answer>', 1, true],
    [item(24, 8, 3, 1), '<answer>8*3*1</answer> or <answer>8', 1, true],
    [item(24, 8, 3, 1), '<answer> <answer>8*3*1</answer>', 1, true],
    [item(24, 8, 3, 1), '', 0, false],
    [item(1, 1, 3, 3), '<answer>1/3*3</answer>', 1, true],
    [item(33, 100, 3, 0), '<answer>100/3+0</answer>', 0.1, true],
  ]
  for (const [given, response, reward, wellFormed] of cases)
    test(`${JSON.stringify(response)} for ${key(given)} is paid ${reward}`, () => {
      const verdict = task.verify(given, response)
      assert.equal(verdict.reward, reward)
      assert.equal(verdict.correct, reward === 1)
      assert.equal(verdict.wellFormed, wellFormed)
    })

  test('agrees with the values of random expressions, right and off by one', () => {
    const stream = randomStream(3)
    let right = 0
    for (let i = 0; i < 5000; i++) {
      const { text, value, numbers } = randomTree(stream, 2 + stream.below(3))
      if (value === null || value.top % value.bottom !== 0n) continue
      const target = Number(value.top / value.bottom)
      assert.equal(verifyCountdown({ nums: numbers, target }, text).reward, 1, text)
      assert.equal(verifyCountdown({ nums: numbers, target: target + 1 }, text).reward, 0, text)
      assert.equal(verifyCountdown({ nums: [...numbers, 1], target }, text).correct, false, text)
      assert.equal(verifyCountdown({ nums: [...numbers.slice(1), numbers[0]! + 1], target }, text).correct, false, text)
      right++
    }
    assert.ok(right > 1000)
  })

  test('pays nothing for the form alone by default', () => {
    assert.equal(countdown().verify(item(24, 8, 3, 1), '<answer>8+3+1</answer>').reward, 0)
  })
})

describe('items', () => {
  const task = countdown()

  test('have the sizes of the protocol, and ranges as asked', () => {
    assert.deepEqual(
      taskSplits.map((split) => task.items(split, 0).length),
      [20_000, 512, 512],
    )
    const small = countdown({ counts: [4], numbers: [5, 30], targets: [50, 60], sizes: { test: 40 } }).items('test', 3)
    for (let i = 0; i < small.length; i++) {
      const { nums, target } = itemAt(small, i, 'small')
      assert.ok(nums.length === 4 && nums.every((n) => n >= 5 && n <= 30) && target >= 50 && target <= 60)
    }
  })

  test('are the same alone, in any order, and again; other seeds give others', () => {
    const items = countdown().items('train', 7)
    const backwards = Array.from({ length: 50 }, (_, i) => items.at(49 - i)).reverse()
    backwards.forEach((made, i) => {
      assert.deepEqual(taskItem(task, 'train', 7, i), made)
    })
    const other = Array.from({ length: 50 }, (_, i) => key(taskItem(task, 'train', 8, i)))
    assert.ok(other.filter((k, i) => k === key(backwards[i]!)).length < 3)
  })

  test('all have a solution, found by trying every combination', () => {
    for (const split of taskSplits)
      for (let i = 0; i < 100; i++) {
        const { nums, target } = taskItem(task, split, 11, i)
        const values = nums.map((n) => ({ top: BigInt(n), bottom: 1n }))
        assert.ok(solvable(values, BigInt(target)), `${nums} ${target}`)
      }
  })

  test('of two splits are different, whatever the seeds and the order of the numbers', () => {
    const keys = (split: TaskSplit, seed: number, count: number) =>
      Array.from({ length: count }, (_, i) => key(taskItem(task, split, seed, i)))
    const held = new Set([...keys('test', 0, 512), ...keys('validation', 0, 512)])
    const test0 = new Set(keys('test', 5, 512))
    for (const k of keys('validation', 1, 512)) assert.ok(!test0.has(k))
    for (const k of keys('train', 0, 20_000)) assert.ok(!held.has(k))
    for (const k of keys('train', 1, 2000)) assert.ok(!held.has(k) && !test0.has(k))
    assert.equal(splitOf(item(24, 8, 3, 1)), splitOf(item(24, 1, 8, 3)))
  })

  test('may come from the published file, each in one split', () => {
    const lines = Array.from({ length: 400 }, (_, i) => `{"nums": [${i + 1}, 2, 3], "target": ${i + 6}, "id": ${i}}`)
    const from = parseCountdown(`\uFEFF${lines.join('\r\n')}\n\n`, 'file')
    assert.deepEqual(from[3], { nums: [4, 2, 3], target: 9 })
    const given = countdown({ from: [...from, { nums: [3, 2, 1], target: 6 }] })
    const all = taskSplits.flatMap((split) =>
      Array.from({ length: given.items(split, 4).length }, (_, i) => key(taskItem(given, split, 4, i))),
    )
    assert.equal(all.length, 400)
    assert.deepEqual(new Set(all), new Set(from.map(key)))
    assert.notDeepEqual(given.items('train', 4).at(0), given.items('train', 5).at(0))
  })

  test('are refused with file and line where they are none', () => {
    const refuse = (text: string, message: RegExp) => assert.throws(() => parseCountdown(text, 'f.jsonl'), message)
    refuse('{"nums": [1, 2], "target": 3}\nnope', /f\.jsonl, line 2: it is not JSON/)
    refuse('{"nums": [1], "target": 3}', /f\.jsonl, line 1: expected \{"nums"/)
    refuse('{"nums": [1, -2], "target": 3}', /line 1/)
    refuse('{"nums": [1, 2.5], "target": 3}', /line 1/)
    refuse('{"nums": [1, 2]}', /line 1/)
    refuse('null', /line 1/)
    refuse('\n', /empty/)
  })
})

test('options and indices out of range are refused by name', () => {
  assert.throws(() => countdown({ counts: [] }), /counts is empty/)
  assert.throws(() => countdown({ counts: [1] }), /invalid counts 1/)
  assert.throws(() => countdown({ numbers: [10, 5] }), /invalid numbers\[1\] 5/)
  assert.throws(() => countdown({ sizes: { test: 0 } }), /invalid sizes\.test 0/)
  assert.throws(() => countdown({ formatReward: 1 }), /invalid formatReward 1/)
  assert.throws(() => countdown({ prompt: 'tex' as 'text' }), /invalid prompt "tex"/)
  assert.throws(() => countdown().items('tset' as 'test', 0), /invalid split "tset"/)
  assert.throws(() => taskItem(countdown(), 'test', 0, 512), /no item 512: expected a whole number from 0 to 511/)
  assert.throws(
    () =>
      countdown({ numbers: [1, 1], targets: [90, 99] })
        .items('test', 0)
        .at(0),
    /widen the ranges/,
  )
})

test('a prompt gives numbers and target and asks for the tags', () => {
  const given = item(98, 44, 19, 35)
  const text = countdown().prompt(given) as string
  assert.match(text, /44, 19, 35.*98.*<think> <\/think>.*<answer> <\/answer>[\s\S]*<think>$/)
  const [turn] = countdown({ prompt: 'chat' }).prompt(given) as { role: string; content: string }[]
  assert.equal(turn?.role, 'user')
  assert.match(turn?.content ?? '', /44, 19, 35.*98/)
})
