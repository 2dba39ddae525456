import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { kurtosis } from '../../lib/rhythm/kurtosis'

test('by hand: of 0, 0, 0, 1 the central moments are 3/16 and 21/256', () => {
  assert.ok(Math.abs(kurtosis([0, 0, 0, 1])! - (21 / 256 / (3 / 16) ** 2 - 3)) < 1e-12)
  assert.equal(kurtosis([1, 2]), -2)
})

test('agrees with scipy.stats.kurtosis, undefined values included', () => {
  const rows: { x: number[]; kurtosis: number | null }[] = JSON.parse(
    readFileSync(join(__dirname, '..', 'fixtures', 'scipy', 'kurtosis.json'), 'utf8'),
  )
  assert.ok(rows.length > 80 && rows.some((row) => row.kurtosis === null))
  for (const { x, kurtosis: expected } of rows) {
    const actual = kurtosis(x)
    if (expected === null) assert.equal(actual, null, String(x))
    else
      assert.ok(Math.abs(actual! - expected) <= 1e-10 * Math.max(1, Math.abs(expected)), `${x}: ${actual}, ${expected}`)
  }
})

test('is null for nothing, one value, and constants in either precision', () => {
  assert.equal(kurtosis([]), null)
  assert.equal(kurtosis([3]), null)
  assert.equal(kurtosis(new Array(7).fill(0.1)), null)
  assert.equal(kurtosis(new Float32Array(7).fill(0.1)), null)
})
