import assert from 'node:assert/strict'
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
  again.stop()
  assert.equal((await again.follow({ every: 20 })).state, 'stopped')
  await assert.rejects(startBuilt(tinyConfig({ seed: 9 }), where), /begun with another configuration/)
})
