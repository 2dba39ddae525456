import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { parseGpuCheck, readGpuCheck } from '../../lib/device/checkReport'
import { gpuCheckTables } from '../../lib/device/checkTables'
import { gpuCheck } from '../../lib/notebook/gpuCheck'
import { temporaryFolder } from '../support/temporaryFolder'
import { EXAMPLE_REPORT } from './exampleReport'

const folder = temporaryFolder()

test('the rows of a report, in the units that their columns name', () => {
  const { device, rates, agreement, decoding, training, parts } = gpuCheckTables(parseGpuCheck(EXAMPLE_REPORT))
  const value = (of: string) => device.find(({ what }) => what === of)?.value
  assert.equal(value('computes on'), 'GPU: NVIDIA H100 80GB HBM3, 86 GB')
  assert.equal(value('driver'), '550.54.15, for CUDA up to 12.4')
  assert.equal(value('peak rates'), 'float32 67, TF32 494.7, bf16 989.4 TFLOP/s (data sheet of H100, dense)')
  assert.equal(value('note'), 'a note')
  // 247.35 of 494.7, 33.5 of 67.
  assert.deepEqual(
    rates.map((row) => [row['TFLOP/s'], row['% of peak']]),
    [
      [200, (100 * 200) / 494.7],
      [247.35, 50],
      [33.5, 50],
    ],
  )
  assert.deepEqual(
    agreement.map(({ limit, agrees }) => [limit, agrees]),
    [
      ['≤ 0.02', true],
      ['≥ 0.9', false],
    ],
  )
  assert.deepEqual([decoding[0]!['ms a token'], decoding[0]!['MFU %']], [10, 5])
  assert.equal(training[0]!.settings, 'recompute=true, lora.rank=16')
  assert.deepEqual(
    [
      training[0]!['credit %'],
      training[0]!['memory GB'],
      training[0]!['planned GB'],
      training[0]!['% of products here'],
    ],
    [3, 22, 23, null],
  )
  assert.equal(parts[1]!.message, 'OOM when allocating tensor')
})

test('a report of a device without a data sheet has no utilisation', () => {
  const { device, rates } = gpuCheckTables({ ...EXAMPLE_REPORT, peak: null })
  assert.ok(rates.every((row) => row['% of peak'] === null))
  assert.equal(device.find(({ what }) => what === 'peak rates')!.value, 'not known for this device')
})

test('gpuCheck prints the tables outside a notebook, failures among them, and gives the report', async (t) => {
  const file = join(folder, 'check.json')
  writeFileSync(file, JSON.stringify(EXAMPLE_REPORT))
  const printed: string[] = []
  t.mock.method(console, 'log', (text: string) => printed.push(text))
  assert.deepEqual(await gpuCheck(file), EXAMPLE_REPORT)
  const text = printed.join('\n')
  for (const expected of [
    /What was checked/,
    /8192 × 8192 .* 50\.0/,
    /Failed or left out/,
    /OOM when allocating/,
    /figure: /,
  ])
    assert.match(text, expected)
})

test('a missing report says which command writes one', () => {
  assert.throws(() => readGpuCheck(join(folder, 'none.json')), /none\.json.*npm run gpu-check writes one/)
})
