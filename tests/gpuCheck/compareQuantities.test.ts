import assert from 'node:assert/strict'
import test from 'node:test'
import { compareQuantities } from '../../lib/gpuCheck/compareQuantities'

const values = (entries: Record<string, number[]>) =>
  Object.fromEntries(Object.entries(entries).map(([name, list]) => [name, Float32Array.from(list)]))
const row = (name: string, ours: number[], reference: number[], precision: 'float32' | 'tf32' = 'float32') =>
  compareQuantities(values({ [name]: ours }), values({ [name]: reference }), precision)[0]!

test('series by their largest difference, gradients by length, heads by Jaccard, gammas by how many are equal', () => {
  // 0.25 of 4; |(0, 0.5)| of |(3, 4)| = 0.1; 2 heads of 4; 3 of 4.
  assert.deepEqual(row('rhythm/spans', [1, 4.25], [1, 4]), {
    precision: 'float32',
    section: 'rhythm',
    quantity: 'spans',
    measure: 'largest',
    value: 0.0625,
    limit: 1e-3,
    agrees: false,
  })
  const gradient = row('GRPO step/gradient', [3, 4.5], [3, 4])
  assert.deepEqual([gradient.measure, gradient.value], ['length', Math.sqrt(0.25 / 25)])
  const heads = row('rhythm/heads local, analysis', [1, 2, 3], [3, 2, 1005])
  assert.deepEqual([heads.measure, heads.value, heads.agrees], ['jaccard', 0.5, false])
  const gamma = row('GRPO step/gamma', [1, 1.5, 1, 1], [1, 1.5, 1, 1.75])
  assert.deepEqual([gamma.measure, gamma.value, gamma.agrees], ['equal', 0.75, false])
})

test('the same numbers agree, zeros too; the limit depends on the precision', () => {
  for (const name of ['rhythm/spans', 'GRPO step/gradient', 'rhythm/heads local, analysis', 'GRPO step/gamma'])
    assert.ok(row(name, [0, 0], [0, 0]).agrees, name)
  assert.equal(row('forward/entropy', [1.01], [1]).agrees, false)
  assert.equal(row('forward/entropy', [1.01], [1], 'tf32').agrees, true)
  assert.equal(row('forward/entropy', [1.05], [1], 'tf32').agrees, false)
})

test('what is not a number agrees with nothing, and can be written as JSON', () => {
  for (const [ours, reference] of [
    [Number.NaN, 1],
    [1, Number.NaN],
    [Number.POSITIVE_INFINITY, 1],
    [1, 0],
  ] as const) {
    for (const name of ['forward/entropy', 'GRPO step/gradient', 'GRPO step/gamma']) {
      const found = row(name, [ours, 2], [reference, 2])
      assert.equal(found.agrees, false, `${name}: ${ours}, ${reference}`)
      assert.ok(Number.isFinite(found.value))
    }
  }
})

test('quantities of one device alone, and of other lengths, are refused', () => {
  assert.throws(() => compareQuantities(values({ 'a/b': [1] }), {}, 'float32'), /a\/b was computed on one device alone/)
  assert.throws(() => row('forward/entropy', [1, 2], [1]), /2 numbers here and 1 on the CPU/)
})
