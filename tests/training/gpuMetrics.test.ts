import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { GpuMonitor } from '../../lib/device/gpuMonitor'
import { isTiming } from '../../lib/training/runFolder'
import { train } from '../../lib/training/train'
import { temporaryFolder } from '../support/temporaryFolder'
import { resultOf, tinyConfig, withoutTimings } from './tinyRun'

const folder = temporaryFolder()

/** Prints a sample every few milliseconds, as nvidia-smi would. */
const standIn: [string, ...string[]] = [
  process.execPath,
  '-e',
  "setInterval(() => process.stdout.write('40, 2048\\n80, 1024\\n'), 3)",
]

test('where a GPU is watched, lines of metrics say how busy it was and how full, and the run ends as without', async () => {
  const monitor = new GpuMonitor({ gpu: 0, command: standIn })
  assert.notEqual(await monitor.next(), null)
  const { metrics } = await train(tinyConfig(), { run: join(folder, 'watched'), gpuMonitor: monitor })
  const seen = metrics.filter((line) => 'perf/gpu_utilization' in line)
  assert.ok(seen.length > 0)
  for (const line of seen) {
    // Pairs may be torn apart at the ends of a step.
    const busy = Number(line['perf/gpu_utilization'])
    assert.ok(busy >= 0.4 && busy <= 0.8, `${busy}`)
    assert.ok([1024, 2048].includes(Math.round((Number(line['memory/gpu_gb']) * 1e9) / 2 ** 20)))
  }
  for (const name of ['perf/gpu_utilization', 'memory/gpu_gb']) assert.ok(isTiming(name), name)
  await train(tinyConfig(), { run: join(folder, 'plain'), gpuMonitor: null })
  assert.deepEqual(resultOf(join(folder, 'watched')), resultOf(join(folder, 'plain')))
  assert.deepEqual(withoutTimings(seen[0]!), withoutTimings(metrics.find(({ step }) => step === seen[0]!.step)!))
  // The run stopped the program.
  assert.equal(await monitor.next(300), null)
})

test('without a GPU there is nothing of it in the metrics', async () => {
  const { metrics } = await train(tinyConfig({ grpo: null }), { run: join(folder, 'cpu'), gpuMonitor: null })
  assert.ok(metrics.every((line) => !('perf/gpu_utilization' in line) && !('memory/gpu_gb' in line)))
})
