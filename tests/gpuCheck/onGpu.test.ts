/** What the check does where there is a GPU, with a stand-in for nvidia-smi, and TensorFlow on the CPU that takes itself for a GPU. */
import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import test, { after, before } from 'node:test'
import { gpuCheckTables } from '../../lib/device/checkTables'
import { tf } from '../../lib/engine/tensorflow'
import { doPart } from '../../lib/gpuCheck/checkPart'
import type { RunPart } from '../../lib/gpuCheck/partProcess'
import { runGpuCheck } from '../../lib/gpuCheck/runCheck'
import { gpuCheckFigure } from '../../lib/plots'
import { deviceAtHand } from '../../lib/training/plan/plannedDevice'
import { temporaryFolder } from '../support/temporaryFolder'

const folder = temporaryFolder()
const backend = tf.backend() as unknown as { isUsingGpuDevice: boolean }
const original = { path: process.env.PATH, visible: process.env.CUDA_VISIBLE_DEVICES, gpu: backend.isUsingGpuDevice }

/** Answers what is asked of nvidia-smi here; watched, it is 75 % busy and holds 2 GiB, then 5 GiB. */
const NVIDIA_SMI = `#!/bin/sh
case "$*" in
  *-lms*) echo '75, 2048'; sleep 0.5; while echo '75, 5120'; do sleep 0.05; done ;;
  *--query-gpu=index*) echo '0, GPU-1234, NVIDIA A100-SXM4-80GB, 550.54.15, 81920, 8.0' ;;
  *--query-compute-apps*) echo "GPU-1234, $PPID, 900"; echo 'GPU-1234, 7, 1024' ;;
  *--query-gpu=name*) echo 'NVIDIA A100-SXM4-80GB, 8.0' ;;
  *) echo '| NVIDIA-SMI 550.54.15   Driver Version: 550.54.15   CUDA Version: 12.4 |' ;;
esac
`

before(() => {
  writeFileSync(join(folder, 'nvidia-smi'), NVIDIA_SMI)
  chmodSync(join(folder, 'nvidia-smi'), 0o755)
  process.env.PATH = `${folder}${delimiter}${original.path}`
  delete process.env.CUDA_VISIBLE_DEVICES
  backend.isUsingGpuDevice = true
})

after(() => {
  process.env.PATH = original.path
  if (original.visible !== undefined) process.env.CUDA_VISIBLE_DEVICES = original.visible
  backend.isUsingGpuDevice = original.gpu
})

test('on a GPU: TF32, full float32 and bf16, compared with the CPU, MFU by the data sheet, memory and load as nvidia-smi sees them', async () => {
  const asked: { part: string; precision?: string; env: Record<string, string> }[] = []
  const here: RunPart = (request, { env }) => {
    asked.push({ part: request.part, precision: request.precision, env })
    return doPart(request, () => {})
  }
  const report = await runGpuCheck({ size: 'tiny', runPart: here })
  assert.deepEqual(
    report.parts.filter(({ state }) => state !== 'done'),
    [],
  )
  const { device, peak } = report
  assert.deepEqual(
    [device.kind, device.name, device.driver, device.driverCuda, device.computeCapability, device.memoryBytes],
    ['GPU', 'NVIDIA A100-SXM4-80GB', '550.54.15', '12.4', 8, 80 * 2 ** 30],
  )
  assert.equal(peak!.bf16, 312e12)
  // The reference alone is without the GPU; full float32 alone is without TF32.
  const withEnv = (name: string, value: string) =>
    asked.filter(({ env }) => env[name] === value).map(({ part, precision }) => [part, precision])
  assert.deepEqual(withEnv('CUDA_VISIBLE_DEVICES', '-1'), [['quantities', 'float32']])
  assert.deepEqual(withEnv('NVIDIA_TF32_OVERRIDE', '0'), [
    ['rates', 'float32'],
    ['quantities', 'float32'],
  ])
  assert.ok(asked.every(({ env }) => env.CUDA_DEVICE_ORDER === 'PCI_BUS_ID'))
  assert.deepEqual([...new Set(report.agreement.map(({ precision }) => precision))], ['tf32', 'float32', 'bf16'])
  assert.deepEqual(
    report.speed.map(({ precision }) => precision),
    ['bf16', 'tf32'],
  )
  const [bf16, tf32] = report.speed
  for (const { memory } of report.speed) {
    // 5 GiB at most, of which 2 were there before, or less where the step was over sooner.
    assert.ok([0, 3 * 2 ** 30].includes(memory.measuredBytes!), `${memory.measuredBytes}`)
    assert.equal(memory.gpuUtilization, 0.75)
  }
  // The same operations a second are a smaller share of bf16's rate, which is twice TF32's.
  const flops = ({ training }: typeof bf16, rate: number) => (training.utilization! * rate) / training.tokensPerSecond
  assert.ok(Math.abs(flops(bf16, 312e12) / flops(tf32, 156e12) - 1) < 1e-9)
  assert.ok(gpuCheckTables(report).training.every((row) => row['MFU %']! > 0))
  assert.equal((gpuCheckFigure(report).layout.shapes as object[]).length, 3)
})

test('a run on a GPU is planned for the memory of the GPU in use', async () => {
  // 0.92 of 80 GiB, without what another process and this one's tensors hold of it.
  const tensor = tf.zeros([1000, 1000])
  assert.equal(deviceAtHand().availableBytes, 0.92 * 80 * 2 ** 30 - 2 ** 30 - tf.memory().numBytes)
  assert.ok(tf.memory().numBytes >= 4e6)
  tensor.dispose()
  assert.equal(deviceAtHand().memoryIsReturned, true)
  process.env.CUDA_VISIBLE_DEVICES = '7'
  assert.equal(deviceAtHand().availableBytes, null)
  delete process.env.CUDA_VISIBLE_DEVICES
})
