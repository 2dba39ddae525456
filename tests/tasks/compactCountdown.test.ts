import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { randomStream } from '../../lib/random/randomStream'
import { characterAlphabet } from '../../lib/tasks/characters'
import { COMPACT_PROMPT_LENGTH, compactAlphabet, compactCountdown } from '../../lib/tasks/compactCountdown'
import { branchesOf } from '../../lib/tasks/compactItems'
import { countdownTrace } from '../../lib/tasks/countdownTraces'
import { taskItem, taskSplits } from '../../lib/tasks/task'

const task = compactCountdown()
const prompt = (split: 'train' | 'validation' | 'test', seed: number, i: number) =>
  task.prompt(taskItem(task, split, seed, i)) as string
const sortedKey = (text: string) =>
  text.slice(0, 8).split(' ').filter(Boolean).map(Number).sort().join() + text.slice(8)

describe('compact items', () => {
  test('are numbers of 1 to 20 and targets of 1 to 99, in prompts of 12 characters', () => {
    for (const split of taskSplits)
      for (let i = 0; i < task.items(split, 3).length; i += split === 'train' ? 40 : 1) {
        const { nums, target } = taskItem(task, split, 3, i)
        assert.ok(nums.length === 3 && nums.every((n) => Number.isInteger(n) && n >= 1 && n <= 20))
        assert.ok(Number.isInteger(target) && target >= 1 && target <= 99)
        assert.match(prompt(split, 3, i), /^[ \d]\d [ \d]\d [ \d]\d=[ \d]\d:$/)
        assert.equal(prompt(split, 3, i).length, COMPACT_PROMPT_LENGTH)
      }
    assert.equal(task.prompt({ nums: [3, 17, 20], target: 5 }), ' 3 17 20= 5:')
  })

  test('do not repeat within a split, and no split has those of another, whatever the seeds', () => {
    const all = (split: 'train' | 'validation' | 'test', seed: number) =>
      Array.from({ length: task.items(split, seed).length }, (_, i) => prompt(split, seed, i))
    const train = all('train', 1)
    assert.equal(train.length, 20_000)
    assert.equal(new Set(train).size, 20_000)
    const trainKeys = new Set(train.map(sortedKey))
    for (const [split, seed] of [
      ['test', 1],
      ['test', 2],
      ['validation', 1],
      ['validation', 9],
    ] as const) {
      const keys = all(split, seed).map(sortedKey)
      assert.equal(new Set(keys).size, 512)
      assert.ok(keys.every((key) => !trainKeys.has(key)))
    }
    const test1 = new Set(all('test', 1).map(sortedKey))
    assert.ok(all('validation', 2).every((text) => !test1.has(sortedKey(text))))
  })

  test('are the same again and alone', () => {
    const again = compactCountdown()
    for (const i of [511, 3, 100]) assert.deepEqual(taskItem(again, 'test', 6, i), taskItem(task, 'test', 6, i))
    assert.notDeepEqual(
      Array.from({ length: 20 }, (_, i) => prompt('train', 1, i)),
      Array.from({ length: 20 }, (_, i) => prompt('train', 2, i)),
    )
  })
})

/** Reads a search with a regular expression and plain arithmetic, independently of how it was written. */
function checkSearch(text: string, nums: number[], target: number): number {
  const match = /^((?:[^;>]+;)+)>([\d+\-*/()]+)\n$/.exec(text)
  assert.ok(match, text)
  const branches = match[1]!.slice(0, -1).split(';')
  const ends = branches.map((branch) => {
    const steps = branch.split(',').map((step) => /^(\d+)([-+*/])(\d+)=(\d+)$/.exec(step)!)
    assert.equal(steps.length, 2, branch)
    let left = [...nums]
    let value = Number.NaN
    for (const [, a, sign, b, c] of steps as unknown as string[][]) {
      for (const used of [Number(a), Number(b)]) {
        assert.ok(left.includes(used), `${used} of ${left} in ${branch}`)
        left.splice(left.indexOf(used), 1)
      }
      const [x, y] = [Number(a), Number(b)]
      value = sign === '+' ? x + y : sign === '-' ? x - y : sign === '*' ? x * y : x / y
      assert.equal(Number(c), value, branch)
      assert.ok(Number.isInteger(value) && value >= 0 && value <= 99, branch)
      left = [...left, value]
    }
    assert.equal(left.length, 1)
    return value
  })
  assert.ok(ends.slice(0, -1).every((value) => value !== target))
  assert.equal(ends.at(-1), target)
  assert.equal(Function(`return ${match[2]}`)(), target) // The test's own expression of digits and signs only.
  return branches.length
}

describe('demonstrations', () => {
  test('are true searches that end in a right answer, within the alphabet', () => {
    let short = 0
    let total = 0
    for (let i = 0; i < 3000; i++) {
      const { prompt: asked, response } = task.demonstration(5, i)
      const given = taskItem(task, 'train', 5, i)
      assert.equal(asked, task.prompt(given))
      total += checkSearch(response, given.nums, given.target)
      assert.deepEqual(task.verify(given, response), {
        reward: 1,
        correct: true,
        wellFormed: true,
        answer: response.slice(response.indexOf('>') + 1, -1),
      })
      assert.equal(compactAlphabet.decode(compactAlphabet.encode(response)), response)
      if (response.length <= 48) short++
    }
    // Each branch is a correct one with chance 0.5, and some random ones are correct: a little under 2 branches, and three
    // branches or more, which no longer fit 48 characters, in a little under a quarter of the searches.
    assert.ok(total / 3000 > 1.7 && total / 3000 < 2, `${total / 3000}`)
    assert.ok(short / 3000 > 0.7 && short / 3000 < 0.9, `${short / 3000}`)
  })

  test('go on without end over the training items, never the same search twice, and are the same again', () => {
    const first = task.demonstration(5, 0)
    const second = task.demonstration(5, 20_000)
    const third = task.demonstration(5, 40_000)
    assert.equal(second.prompt, first.prompt)
    assert.ok(second.response !== first.response || third.response !== first.response)
    assert.deepEqual(compactCountdown().demonstration(5, 20_000), second)
  })

  test('with a chance of 1 have one branch', () => {
    const sure = compactCountdown({ correctChance: 1 })
    for (let i = 0; i < 200; i++) assert.ok(sure.demonstration(1, i).response.split(';').length === 2)
  })

  test('cannot be written where there is no solution', () => {
    assert.throws(() => countdownTrace({ nums: [1, 1, 1], target: 99 }, randomStream(0), 0.5), /reaches 99 from 1,1,1/)
  })
})

test('the branches of 2, 3, 20 are those worked by hand', () => {
  const shown = new Set(branchesOf([2, 3, 20]).map(({ expression, value }) => `${expression}=${value}`))
  for (const branch of [
    '(2+3)*20=100',
    '3-2-20=-19',
    '20/3*2=13',
    '(3+2)*20=100',
    '2+3+20=25',
    '20+(3+2)=25',
    '2*3+20=26',
  ])
    assert.ok(!shown.has(branch), branch)
  for (const branch of ['3*2+20=26', '20-(3+2)=15', '20/(3-2)=20', '20*2+3=43', '(20-2)/3=6', '20/2*3=30'])
    assert.ok(shown.has(branch), branch)
})

test('the answer is what follows the last mark, up to a line end', () => {
  const given = { nums: [3, 17, 20], target: 40 }
  const paid = (response: string) => task.verify(given, response).reward
  assert.equal(paid('3+17=20,20+20=40;>3+17+20\n'), 1)
  assert.equal(paid('>3+17+20'), 1)
  assert.equal(paid('>1>3+17+20\n\n'), 1)
  assert.equal(paid('>3+17+20\n>3+17\n'), 0)
  assert.equal(paid('>3+17+2'), 0)
  assert.equal(paid('3+17+20\n'), 0)
  assert.equal(paid('>'), 0)
})

describe('the alphabet', () => {
  test('has 23 characters; a line end ends a response', () => {
    assert.equal(compactAlphabet.size, 23)
    assert.equal(new Set(compactAlphabet.characters).size, 23)
    assert.deepEqual(compactAlphabet.encode('\n'), [compactAlphabet.endId])
    assert.deepEqual(compactAlphabet.encode('07'), [0, 7])
  })

  test('refuses other characters and ids', () => {
    assert.throws(() => compactAlphabet.encode('1a'), /character 1, "a"/)
    assert.throws(() => compactAlphabet.decode([23]), /not a token id: 23; expected an integer from 0 to 22/)
    assert.throws(() => compactAlphabet.decode([0.5]), /not a token id/)
    assert.throws(() => characterAlphabet('aab', 'b'), /each character once/)
    assert.throws(() => characterAlphabet('ab', 'c'), /lacks its end/)
  })
})

test('options out of range are refused by name', () => {
  assert.throws(() => compactCountdown({ correctChance: 0 }), /invalid correctChance 0/)
  assert.throws(() => compactCountdown({ sizes: { test: 5000 } }), /invalid sizes\.test 5000: expected a whole number/)
})
