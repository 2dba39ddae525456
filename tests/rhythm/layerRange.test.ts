import assert from 'node:assert/strict'
import test from 'node:test'
import { resolveLayers } from '../../lib/rhythm/layerRange'

test('rl-five: evenly spaced from floor(L/3) to floor(2L/3), halves up, duplicates dropped', () => {
  assert.deepEqual(resolveLayers('rl-five', 30), [10, 13, 15, 18, 20])
  assert.deepEqual(resolveLayers('rl-five', 4), [1, 2])
  assert.deepEqual(resolveLayers('rl-five', 36), [12, 15, 18, 21, 24])
  // 28 layers: 9 to 18, steps of 2.25: 9, 11.25, 13.5, 15.75, 18.
  assert.deepEqual(resolveLayers('rl-five', 28), [9, 11, 14, 16, 18])
  assert.deepEqual(resolveLayers('rl-five', 1), [0])
  assert.deepEqual(resolveLayers('rl-five', 2), [0, 1])
})

test('the thirds split the layers without gap or overlap', () => {
  for (let count = 3; count < 100; count++) {
    const thirds = (['bottom', 'middle', 'top'] as const).flatMap((range) => resolveLayers(range, count))
    assert.deepEqual(thirds, resolveLayers('all', count))
  }
  assert.deepEqual(resolveLayers('middle', 4), [1])
  assert.deepEqual(resolveLayers('top', 4), [2, 3])
})

test('a list is sorted and freed of duplicates; what the model lacks is refused', () => {
  assert.deepEqual(resolveLayers([3, 1, 3], 4), [1, 3])
  assert.throws(() => resolveLayers([4], 4), /layer 4 does not exist: the model has layers 0-3/)
  assert.throws(() => resolveLayers([], 4), /empty/)
  assert.throws(() => resolveLayers('bottom', 2), /empty/)
  assert.throws(() => resolveLayers('centre' as 'all', 4), /unknown layer range 'centre'/)
  assert.throws(() => resolveLayers('all', 0), /layer count/)
})
