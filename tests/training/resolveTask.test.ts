import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { taskItem } from '../../lib/tasks/task'
import { parseConfig } from '../../lib/training/readConfig'
import { resolveTask } from '../../lib/training/resolveTask'
import { temporaryFolder } from '../support/temporaryFolder'
import { TASK } from './tinyRun'

const folder = temporaryFolder()
const file = (name: string, ...lines: object[]) => {
  writeFileSync(join(folder, name), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return `./${name}`
}
const resolved = async (task: object) => {
  const config = parseConfig({ model: { from: 'm' }, grpo: { steps: 1 }, task }, folder)
  return resolveTask(config.task)
}

test('tasks by name, their files relative to the configuration', async () => {
  const train = file('train.jsonl', { problem: 'What is 1 + 1?', answer: '2' })
  const held = file('test.jsonl', { problem: 'What is 3 / 6?', answer: '\\frac{1}{2}' })
  const { task, hash } = await resolved({ name: 'math', options: { train, test: held, prompt: 'text' } })
  assert.equal(hash, null)
  assert.equal(task.verify(taskItem(task, 'test', 0, 0), 'so \\boxed{0.5}').correct, true)
  assert.match(String(task.prompt(taskItem(task, 'train', 0, 0))), /1 \+ 1/)

  const from = file('countdown.jsonl', ...[1, 2, 3, 4, 5, 6, 7, 8].map((n) => ({ nums: [n, 9, 30], target: n + 39 })))
  const countdown = (await resolved({ name: 'countdown', options: { from } })).task
  assert.equal(countdown.verify({ nums: [1, 9, 30], target: 40 }, '<answer>1+9+30</answer>').reward, 1)
  assert.ok(countdown.items('train', 0).length <= 8)
})

test('tasks by module and by object have a hash; what is no task is refused by what it lacks', async () => {
  const { task, hash } = await resolved({ module: TASK, options: { reward: 2 } })
  assert.match(hash!, /^[0-9a-f]{64}$/)
  assert.equal(task.verify({}, '11').reward, 2)
  const given = await resolveTask({ name: 'countdown', options: {} }, task)
  assert.equal(given.task, task)
  await assert.rejects(resolved({ name: 'countdwon' }), /task\.name: no task "countdwon"; expected one of countdown, /)
  await assert.rejects(resolved({ name: 'countdown', options: { prompt: 'x' } }), /task\.options: invalid prompt "x"/)
  await assert.rejects(resolved({ name: 'math', options: { train: 7 } }), /train is 7: expected a file/)
  await assert.rejects(resolved({ module: './none.cjs' }), /cannot read the module/)
  writeFileSync(join(folder, 'no.cjs'), 'module.exports = { name: "no", items() {}, prompt() {} }')
  await assert.rejects(resolved({ module: './no.cjs' }), /it has no function verify/)
})
