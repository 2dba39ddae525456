import assert from 'node:assert/strict'
import test from 'node:test'
import { progressWords } from '../../lib/notebook/progress'
import { evaluationsLeft, phaseViews } from '../../lib/notebook/trainingProgress'
import { parseConfig } from '../../lib/training/readConfig'
import type { MetricsLine } from '../../lib/training/runFolder'
import { tinyConfig } from '../training/tinyRun'

const config = parseConfig(tinyConfig({ supervised: { steps: 4 }, grpo: { steps: 100, evaluateEvery: 25 } }))
const evaluated = { 'eval/avg@2': 0.25, 'eval/avg@2_low': 0.2, 'eval/avg@2_high': 0.3, 'timing_s/evaluation': 7 }
const warm = [1, 2, 3, 4].map(
  (step): MetricsLine => ({
    ...{ step, phase: 'supervised', phaseStep: step, loss: 2, 'timing_s/step': 3 },
    ...(step === 4 ? evaluated : {}),
  }),
)
/** The first 20 steps took 10 s each, the others 2. */
const grpo = (steps: number) =>
  Array.from(
    { length: steps },
    (_, i): MetricsLine => ({
      ...{ step: 5 + i, phase: 'grpo', phaseStep: 1 + i, reward: 0.5, entropy: 0.25 },
      'timing_s/step': i < 20 ? 10 : 2,
    }),
  )

test('each phase has its bar: what was done, its time, and the time left by the newest steps and the evaluations to come', () => {
  const [first, second] = phaseViews(config, [...warm, ...grpo(40)], 'running')
  assert.equal(progressWords(first!), '4/4 steps in 0:19 · loss 2.000, avg@2 25.0 % [20.0, 30.0]')
  // 60 steps of 2 s, evaluations after steps 50, 75 and 100 of 7 s.
  assert.equal(second!.left, 60 * 2 + 3 * 7)
  assert.equal(second!.elapsed, 20 * 10 + 20 * 2)
  assert.equal(second!.note, 'reward 0.500, entropy 0.250')
})

test('of a phase that has not begun nothing is told; a run that does not train any more is stopped', () => {
  const [first, second] = phaseViews(config, warm.slice(0, 2), 'running')
  assert.equal(first!.left, 2 * 3 + 0)
  assert.deepEqual([second!.done, second!.left, second!.state], [0, null, 'running'])
  const [, stopped] = phaseViews(config, [...warm, ...grpo(10)], 'stopped')
  assert.deepEqual([stopped!.state, stopped!.left], ['stopped', null])
  assert.equal(phaseViews({ ...config, supervised: null }, [], 'starting').length, 1)
})

test('evaluations to come', () => {
  assert.equal(evaluationsLeft(0, 100, 25), 4)
  assert.equal(evaluationsLeft(25, 100, 25), 3)
  assert.equal(evaluationsLeft(99, 100, 25), 1)
  assert.equal(evaluationsLeft(0, 90, 25), 4) // 25, 50, 75 and the last
  assert.equal(evaluationsLeft(80, 90, 25), 1)
  assert.equal(evaluationsLeft(3, 10, 0), 1)
  assert.equal(evaluationsLeft(10, 10, 5), 0)
})
