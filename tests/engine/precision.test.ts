import assert from 'node:assert/strict'
import test from 'node:test'
import { type Multiplier, thisMultiplier, usablePrecision } from '../../lib/engine/precision'

const processor = (...instructions: string[]): Multiplier => ({
  device: 'CPU',
  name: 'Example 9000',
  instructions,
  computeCapability: null,
})
const gpu = (computeCapability: number | null): Multiplier => ({
  device: 'GPU',
  name: 'Example GPU',
  instructions: [],
  computeCapability,
})

function used(wanted: 'float32' | 'bf16', multiplier: Multiplier): [string, string[]] {
  const lines: string[] = []
  return [usablePrecision(wanted, multiplier, (line) => lines.push(line)), lines]
}

test('bf16 is used where there are instructions for it', () => {
  assert.deepEqual(used('bf16', processor('avx2', 'avx512_bf16')), ['bf16', []])
  assert.deepEqual(used('bf16', processor('amx_bf16')), ['bf16', []])
  assert.deepEqual(used('bf16', gpu(8)), ['bf16', []])
  assert.deepEqual(used('bf16', gpu(9)), ['bf16', []])
  assert.deepEqual(used('bf16', gpu(null)), ['bf16', []])
})

test('elsewhere float32 is used, and one line names what was found', () => {
  for (const [multiplier, found] of [
    [processor('avx2', 'avx512f', 'avx512_vnni'), /Example 9000.*neither avx512_bf16 nor amx_bf16.*float32 is used/],
    [gpu(7.5), /Example GPU.*7\.5.*float32 is used/],
  ] as const) {
    const [precision, lines] = used('bf16', multiplier)
    assert.equal(precision, 'float32')
    assert.equal(lines.length, 1)
    assert.match(lines[0]!, found)
  }
  assert.deepEqual(used('float32', processor()), ['float32', []])
})

test('this machine is named', () => {
  const { device, name, instructions } = thisMultiplier()
  assert.ok(name.length > 0)
  if (device === 'CPU') assert.ok(instructions.includes('sse2'), instructions.join(' '))
})
