import assert from 'node:assert/strict'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { estimateSweep } from '../../lib/sweeps/estimateSweep'
import { planSweep } from '../../lib/sweeps/planSweep'
import { parseSweep, type SweepInput } from '../../lib/sweeps/sweepFile'
import { secondsLeft } from '../../lib/sweeps/sweepView'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyConfig } from '../training/tinyRun'

const folder = temporaryFolder()
const planOf = (run: string) =>
  planSweep(
    parseSweep({
      base: tinyConfig(),
      axes: { 'grpo.credit.strategy': ['uniform', 'coupled'] },
      seeds: 2,
      warmup: { seeds: 1 },
    } as SweepInput),
    { run: join(folder, run), threads: 1 },
  )

/** A run that has made so many steps of two seconds, and half a second of evaluation in each. */
function made(at: string, steps: number, state: 'running' | 'finished') {
  mkdirSync(at, { recursive: true })
  const line = { phase: 'grpo', 'timing_s/step': 2, 'timing_s/evaluation': 0.5 }
  const lines = Array.from({ length: steps }, (_, i) => JSON.stringify({ step: i + 1, phaseStep: i + 1, ...line }))
  writeFileSync(join(at, 'metrics.jsonl'), `${lines.join('\n')}\n`)
  writeFileSync(join(at, 'state.json'), JSON.stringify({ state, step: steps, steps }))
}

test('time left: the work shared out, but no less than the longest warm-up and a cell after it', () => {
  const speed = { warmup: 1, cell: 3 }
  const runs = [
    { kind: 'warmup' as const, steps: 40, step: 10 },
    ...[0, 4, 10].map((step) => ({ kind: 'cell' as const, steps: 10, step })),
  ]
  // 30 + 30 + 18 seconds.
  assert.equal(secondsLeft(runs, speed, 1), 78)
  assert.equal(secondsLeft(runs, speed, 8), 60)
  assert.equal(secondsLeft(runs, { warmup: null, cell: 3 }, 1), null)
  assert.equal(secondsLeft(runs.slice(1), { warmup: null, cell: 3 }, 1), 48)
  assert.equal(secondsLeft([], speed, 1), 0)
})

test('before anything is recorded, shapes and a matrix product give an estimate; nothing is written', async () => {
  const plan = planOf('new')
  const estimate = await estimateSweep(plan, { slots: 2 })
  assert.deepEqual(estimate.warmups, { total: 1, done: 0 })
  assert.deepEqual(estimate.cells, { total: 4, done: 0, reused: 0, failed: 0, begun: 0 })
  assert.equal(estimate.source, 'a rough guess from shapes and a measured matrix product')
  assert.ok(estimate.seconds! > 0 && estimate.bytes > 0)
  assert.ok(!existsSync(plan.folder))
})

test('recorded steps, evaluations among them, give the time of what is left', async () => {
  const plan = planOf('begun')
  made(plan.warmups[0]!.folder, 4, 'finished')
  const [first, second] = plan.cells
  made(first!.folder, 6, 'finished')
  made(second!.folder, 2, 'running')
  const estimate = await estimateSweep(plan, { slots: 1 })
  assert.deepEqual(estimate.warmups, { total: 1, done: 1 })
  assert.deepEqual(estimate.cells, { total: 4, done: 1, reused: 0, failed: 0, begun: 1 })
  // 4 + 6 + 6 steps of 2.5 seconds.
  assert.deepEqual([estimate.seconds, estimate.source], [40, 'recorded steps'])
  for (const { folder: at } of plan.cells) made(at, 6, 'finished')
  const none = await estimateSweep(plan, { slots: 1 })
  assert.deepEqual([none.seconds, none.source, none.bytes], [0, 'nothing to do', 0])
})
