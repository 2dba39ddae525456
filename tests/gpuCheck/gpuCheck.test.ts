import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { parseGpuCheck, readGpuCheck } from '../../lib/device/checkReport'
import { Interrupted } from '../../lib/engine/cooperate'
import { usablePrecision } from '../../lib/engine/precision'
import { doPart } from '../../lib/gpuCheck/checkPart'
import { CHECK_PLANS, CHECKED_MODELS } from '../../lib/gpuCheck/checkShapes'
import { type RunPart, runPartInProcess } from '../../lib/gpuCheck/partProcess'
import { runGpuCheck } from '../../lib/gpuCheck/runCheck'
import { DoesNotFit, speedSettings } from '../../lib/gpuCheck/speedSettings'
import { temporaryFolder } from '../support/temporaryFolder'

const CLI = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')
const folder = temporaryFolder()
const hasBf16 = usablePrecision('bf16', undefined, () => {}) === 'bf16'
// The test of the command is about the CPU, wherever it runs.
const env = { ...process.env, CUDA_VISIBLE_DEVICES: '-1' }
/** Parts in this process: faster, and what they find is the same. */
const here: RunPart = (request) => doPart(request, () => {})

test('gpu-check without a GPU: it says so first, does everything at small size, and writes a report', () => {
  const file = join(folder, 'new', 'check.json')
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [CLI, 'gpu-check', '--size', 'tiny', '--output', file],
    { encoding: 'utf8', env },
  )
  assert.equal(status, 0, `${stdout}\n${stderr}`)
  assert.match(stdout, /^no GPU is used: this is a check of the CPU/)
  assert.match(stdout, /26 of 26 quantities agree/)
  const report = readGpuCheck(file)
  assert.deepEqual([report.device.kind, report.size, report.peak], ['CPU', 'tiny', null])
  assert.ok(report.parts.every(({ state }) => state === 'done'))
  // Not every processor has bfloat16 products: one that has not says so.
  const precisions = [...new Set(report.rates.map(({ precision }) => precision))]
  assert.deepEqual(precisions, hasBf16 ? ['float32', 'bf16'] : ['float32'])
  assert.deepEqual([...new Set(report.agreement.map(({ precision }) => precision))], precisions)
  assert.equal(
    report.notes.some((note) => /precision bf16: .* float32 is used/.test(note)),
    !hasBf16,
  )
  assert.ok(report.rates.every(({ flops }) => flops > 1e6))
  assert.deepEqual([...new Set(report.agreement.map(({ section }) => section))].sort(), [
    ...['GRPO step', 'LoRA step', 'decoding', 'forward', 'moments in bf16', 'rhythm'],
  ])
  const [speed] = report.speed
  assert.deepEqual(
    report.speed.map(({ precision }) => precision),
    hasBf16 ? ['bf16', 'float32'] : ['float32'],
  )
  assert.deepEqual(
    speed!.decoding.map(({ batch }) => batch),
    [1, 8],
  )
  assert.ok(speed!.decoding.every(({ tokensPerSecond, utilization }) => tokensPerSecond > 1 && utilization === null))
  const { seconds, total, creditShare, observing } = speed!.step
  for (const phase of ['gen', 'old_log_prob', 'credit', 'update_actor']) assert.ok(seconds[`timing_s/${phase}`]! > 0)
  assert.ok(Math.abs(creditShare * total - observing - seconds['timing_s/credit']!) < 1e-9)
  assert.ok(speed!.memory.measuredBytes! > 1e6 && speed!.memory.plannedBytes > 1e6)
})

test('a part that fails is reported with its reason, and the others are done', async () => {
  const lines: string[] = []
  const report = await runGpuCheck({
    size: 'tiny',
    onLine: (line) => lines.push(line),
    runPart: (request, options) => {
      if (request.part === 'rates') return Promise.reject(new Error('no kernel for MatMul'))
      return here(request, options)
    },
  })
  for (const { part, state, message } of report.parts) {
    const rates = part.startsWith('matrix products')
    assert.deepEqual([state, message], rates ? ['failed', 'no kernel for MatMul'] : ['done', null], part)
  }
  assert.deepEqual(report.parts.slice(-1), [{ ...report.parts.at(-1), part: 'speed of tiny (float32)' }])
  assert.ok(lines.includes('  FAILED: no kernel for MatMul'))
  assert.equal(report.speed[0]!.training.shareOfMeasured, null)
  assert.doesNotThrow(() => parseGpuCheck(JSON.parse(JSON.stringify(report))))
})

test('a section that fails on the device leaves the other sections compared', async () => {
  const report = await runGpuCheck({
    size: 'tiny',
    models: [],
    runPart: (async (request, options) => {
      const result = await here(request, options)
      // As a device without a kernel for the cache would answer.
      return request.part === 'quantities' && !request.file.endsWith('cpu.safetensors')
        ? { errors: { decoding: 'no OpKernel for InplaceUpdate' } }
        : result
    }) as RunPart,
  })
  const { parts, agreement } = report
  const compared = parts.filter(({ part }) => part.startsWith('agreement'))
  assert.equal(compared.length, hasBf16 ? 2 : 1)
  for (const { state, message } of compared)
    assert.deepEqual([state, message], ['failed', 'decoding: no OpKernel for InplaceUpdate'])
  assert.ok(agreement.length > 10 && agreement.every(({ section, agrees }) => section !== 'decoding' && agrees))
})

test('a device that computes something else is told', async () => {
  const report = await runGpuCheck({
    size: 'tiny',
    models: [],
    runPart: (request, options) =>
      // Another decoder: what the device computes has nothing to do with the reference.
      request.part === 'quantities' && request.file.endsWith('cpu.safetensors')
        ? here(request, options)
        : here(request.part === 'quantities' ? { ...request, seed: 9 } : request, options),
  })
  const found = report.parts.find(({ part }) => part === 'agreement with the CPU (float32)')!
  assert.equal(found.state, 'failed')
  assert.match(found.message!, /off: .*gradient 1\.\d+ \(limit 0\.001\)/)
})

test('an interrupt ends the check, without a report', async () => {
  const stop = new AbortController()
  const work = runGpuCheck({
    size: 'tiny',
    signal: stop.signal,
    onLine: (line) => line.includes('reference on the CPU') && stop.abort(),
    runPart: (request, options) =>
      request.part === 'rates' ? Promise.resolve([] as never) : runPartInProcess(request, options),
  })
  await assert.rejects(work, Interrupted)
})

test('a process of a part that fails, crashes or takes too long is told by what it said', async () => {
  const limits = { env: { CUDA_VISIBLE_DEVICES: '-1' }, limit: 60, onProgress: () => {} }
  const speed = { part: 'speed', size: 'tiny', precision: 'float32', measuredRate: null } as const
  await assert.rejects(
    runPartInProcess({ ...speed, model: 'qwen9' }, limits),
    /no model qwen9; expected one of qwen3-0\.6b.* \(exit code 1\)/,
  )
  await assert.rejects(
    runPartInProcess({ ...speed, model: 'tiny' }, { ...limits, limit: 0.01 }),
    /it took longer than 0\.01 s/,
  )
  await assert.rejects(
    doPart({ part: 'quantities', size: 'tiny', file: join(folder, 'none', 'x') }, () => {}),
    /none/,
  )
  assert.ok(!existsSync(join(folder, 'none')))
})

test('a model is trained in the first way that fits by the plan, or not at all', () => {
  const model = CHECKED_MODELS['qwen3-4b']!
  const { step } = CHECK_PLANS.full
  const settings = (gigabytes: number) => speedSettings(model, step, { available: gigabytes * 1e9 }).settings
  const ways = [1000, 75, 60, 40].map((gigabytes) => settings(gigabytes))
  assert.deepEqual(ways[0], ['all weights'])
  assert.deepEqual(ways.at(-1), ['recompute=true', 'lora.rank=16'])
  for (const gigabytes of [1000, 75, 60, 40]) {
    const { peak } = speedSettings(model, step, { available: gigabytes * 1e9 })
    assert.ok(peak.bytes <= gigabytes * 1e9)
  }
  // Weights alone take 16 GB.
  assert.throws(
    () => settings(16),
    (error) => error instanceof DoesNotFit && /needs .* GB by the plan/.test(error.message),
  )
})

test('a file of another form is refused by name', () => {
  assert.throws(() => parseGpuCheck({ format: 'x' }, 'a.json'), /a\.json is no report of gpu-check: format/)
  assert.throws(() => parseGpuCheck(null, 'a.json'), /a\.json is no report of gpu-check: the file/)
})
