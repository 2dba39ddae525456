import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { attachRun, type startRun } from '../../lib/training/startRun'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyConfig } from './tinyRun'

const { startRun: startBuilt } = require('../../lib/dist/training/startRun.js') as { startRun: typeof startRun }
const folder = temporaryFolder()

test('a run in a process of its own: started, attached to, watched, stopped, taken up again', async () => {
  const where = join(folder, 'run')
  assert.throws(() => attachRun(where), /holds no run/)
  const config = tinyConfig({ supervised: { steps: 40 }, grpo: { steps: 200 }, evaluation: null })
  const run = await startBuilt(config, where)
  const { pid, state, device } = run.status()
  assert.deepEqual([state, device], ['running', 'CPU'])
  assert.equal((await startBuilt(config, where)).status().pid, pid, 'attaches to the run in progress')
  const steps: number[] = []
  let rollouts = 0
  const watched = attachRun(where)
  const end = await watched.follow({
    every: 20,
    onStep: (line, recorded) => {
      steps.push(line.step)
      rollouts += recorded.length
      if (line.phase === 'grpo' && line.phaseStep === 3) watched.stop()
    },
  })
  assert.equal(end.state, 'stopped')
  assert.deepEqual(
    steps,
    Array.from({ length: steps.length }, (_, i) => i + 1),
  )
  assert.ok(rollouts > 0 && (await watched.newestRollouts()).length > 0)
  assert.match(watched.log(), /training on CPU, TensorFlow/)

  const again = await startBuilt(null, where)
  assert.ok(again.status().pid !== pid)
  assert.equal((await again.config()).supervised?.steps, 40)
  const { state: stopped, step } = await again.stop()
  assert.equal(stopped, 'stopped')
  assert.equal(await again.checkpoint(), join(where, 'checkpoints', `step-${step}`))
  assert.equal((await again.stop()).state, 'stopped', 'nothing to wait for')
  await assert.rejects(startBuilt(tinyConfig({ seed: 9 }), where), /begun with another configuration/)
})

test('a process that dies is an error with the signal and its last lines, and the run goes on from its checkpoint', async () => {
  const where = join(folder, 'killed')
  const config = tinyConfig({ supervised: { steps: 4 }, grpo: { steps: 400 }, evaluation: null })
  const run = await startBuilt(config, where)
  const watching = run.follow({
    every: 20,
    onStep: ({ step }) => {
      if (step === 8) process.kill(run.status().pid!, 'SIGKILL')
    },
  })
  await assert.rejects(watching, /ended at step \d+ of 404 without saying why[\s\S]*goes on from its last checkpoint/)
  assert.match(
    (await run.failure()) ?? '',
    /The last lines of .*train\.log:\n[\s\S]*rhythm train was ended by signal 9$/,
  )
  const again = await startBuilt(config, where)
  assert.equal(await again.failure(), null)
  assert.equal((await again.stop()).state, 'stopped')
})

test('what a task throws is told with the last lines of the log', async () => {
  const where = join(folder, 'failing')
  const module = join(folder, 'failing.cjs')
  writeFileSync(
    module,
    "module.exports = { name: 'failing', items: () => [{}], prompt: () => 'a', verify: () => { throw new Error('no verdict today') } }",
  )
  const run = await startBuilt(tinyConfig({ task: { module }, supervised: null, evaluation: null }), where)
  await assert.rejects(run.follow({ every: 20 }), /failed: .*no verdict today[\s\S]*rhythm: .*no verdict today/)
})
