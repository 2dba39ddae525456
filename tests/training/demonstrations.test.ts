import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import type { Demonstration, Task } from '../../lib/tasks/task'
import { DemonstrationBatches, demonstrationSource } from '../../lib/training/demonstrations'
import { parseConfig } from '../../lib/training/readConfig'
import { initialModel } from '../../lib/training/trainedModel'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyConfig } from './tinyRun'

const folder = temporaryFolder()
/** Prompt `a`, response of 1 to 7 ones: all different lengths within a bucket of 7. */
const written = (index: number): Demonstration => ({ prompt: 'a', response: '1'.repeat(1 + ((index * 3) % 7)) })

async function batches(changes: object) {
  const config = parseConfig(tinyConfig({ supervised: { batch: 2, bucketSteps: 3, ...changes } }))
  const model = await initialModel(config.model, 0, join(folder, 'tokenizer'))
  return new DemonstrationBatches(model, config.supervised!, 5, written)
}

test('a bucket holds its demonstrations once, similar lengths together; any step can be asked for first', async () => {
  const source = await batches({})
  const bucket = [3, 4, 5].map((step) => source.at(step).pairs)
  const lengths = bucket.map((pairs) => pairs.map(({ ids }) => ids.length))
  // Demonstrations 6 to 11: responses of 5, 1, 4, 7, 3, 6 ones, with prompt and end two tokens more.
  assert.deepEqual(lengths.map((l) => [...l].sort()).sort(), [
    [3, 5],
    [6, 7],
    [8, 9],
  ])
  assert.deepEqual((await batches({})).at(4).pairs, bucket[1])
  assert.ok(bucket.flat().every(({ ids, promptLength }) => promptLength === 1 && ids[0] === 0 && ids.at(-1) === 4))
})

test('those beyond maxTokens are left out and counted; without it one that does not fit is an error', async () => {
  const source = await batches({ maxTokens: 7 })
  const { leftOut } = source.at(3)
  assert.equal(leftOut, 2)
  assert.equal([3, 4, 5].flatMap((step) => source.at(step).pairs).length, 4)
  const long = await batches({ maxTokens: 3 })
  assert.throws(() => long.at(3), /maxTokens 3 leaves 1 of 6 demonstrations/)
  const config = parseConfig(tinyConfig())
  const model = await initialModel(config.model, 0, join(folder, 'tokenizer'))
  const endless = new DemonstrationBatches(model, config.supervised!, 5, () => ({
    prompt: 'a',
    response: '1'.repeat(99),
  }))
  assert.throws(() => endless.at(0), /demonstration 0 has 101 tokens, the model's context is 40/)
  assert.throws(() => parseConfig(tinyConfig({ supervised: { maxTokens: 41 } })), /supervised\.maxTokens is 41/)
})

test('a file of demonstrations is read in a new order each epoch; its mistakes have a line', () => {
  const file = join(folder, 'pairs.jsonl')
  const task = { name: 'none' } as Task<unknown>
  writeFileSync(file, ['a', 'b', 'c'].map((prompt) => `${JSON.stringify({ prompt, response: '1' })}\n`).join('\n'))
  const source = demonstrationSource(task, file, 1)
  const epochs = Array.from({ length: 8 }, (_, e) => [0, 1, 2].map((i) => source(e * 3 + i).prompt).join(''))
  assert.ok(epochs.every((epoch) => [...epoch].sort().join('') === 'abc') && new Set(epochs).size > 1)
  writeFileSync(file, '{"prompt": "a", "response": "b"}\n{"prompt": "a"}\n')
  assert.throws(() => demonstrationSource(task, file, 1), /line 2: expected \{"prompt"/)
  assert.throws(() => demonstrationSource(task, 'task', 1), /the task none writes no demonstrations/)
})
