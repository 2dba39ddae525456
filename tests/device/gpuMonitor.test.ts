import assert from 'node:assert/strict'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { GpuMonitor } from '../../lib/device/gpuMonitor'

/** A program that prints these lines, and then stays. */
const printing = (text: string): [string, ...string[]] => [
  process.execPath,
  '-e',
  `process.stdout.write(${JSON.stringify(text)}); setTimeout(() => {}, 60000)`,
]

test('utilisation is the mean and memory the largest of what was seen since the last look', async () => {
  const monitor = new GpuMonitor({ gpu: 0, command: printing('0, 1024\n50, 3072\n100, 2048\n[N/A], 100') })
  try {
    assert.deepEqual(await monitor.next(), { utilization: 0.5, peakBytes: 3 * 2 ** 30 })
    assert.equal(monitor.take(), null)
  } finally {
    monitor.stop()
  }
})

test('a GPU that does not tell its utilisation still tells its memory', async () => {
  const monitor = new GpuMonitor({ gpu: 0, command: printing('[N/A], 512\nerror\n') })
  try {
    assert.deepEqual(await monitor.next(), { utilization: 0, peakBytes: 2 ** 29 })
  } finally {
    monitor.stop()
  }
})

test('a program that is not there sees nothing, and nothing fails', async () => {
  const monitor = new GpuMonitor({ gpu: 0, command: ['no-such-program-anywhere'] })
  await sleep(50)
  assert.equal(await monitor.next(100), null)
  monitor.stop()
})

test('a program that ends at once is not waited for', async () => {
  const monitor = new GpuMonitor({ gpu: 0, command: [process.execPath, '-e', ''] })
  const started = performance.now()
  assert.equal(await monitor.next(20_000), null)
  assert.ok(performance.now() - started < 15_000)
  monitor.stop()
})
