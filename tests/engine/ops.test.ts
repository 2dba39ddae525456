import assert from 'node:assert/strict'
import test from 'node:test'
import { diagonals, reshape, slice } from '../../lib/engine/ops'
import { tf } from '../../lib/engine/tensorflow'

test('more shapes than are held: every slice is right, and what is held stops growing', () => {
  const row = tf.range(0, 4000)
  const part = (from: number, size: number) => tf.tidy(() => Array.from(slice(row, [from], [size]).dataSync()))
  // Two new constants a slice; one more in between, so that room runs out at the first of the two and at the second.
  const round = (length: number) => {
    for (let i = 0; i < length; i++) assert.deepEqual(part(i, 4000 - i)[0], i)
  }
  round(1100)
  const held = tf.memory().numTensors
  assert.deepEqual(
    tf.tidy(() => reshape(row, [2, 2000]).shape),
    [2, 2000],
  )
  round(2100)
  assert.equal(tf.memory().numTensors, held)
  row.dispose()
})

test('diagonals are those of the last rows of a matrix, with zeros before its first column', () => {
  // Rows 1 and 2 of three queries: row 1 sees keys 0 and 1, row 2 keys 0 to 2.
  const a = tf.tensor3d([
    [
      [1, 2, 0],
      [3, 4, 5],
    ],
  ])
  // By distance: to itself, one back, two back. Row 1 has no key two back.
  assert.deepEqual(diagonals(a, 1, 3).arraySync(), [
    [
      [2, 5],
      [1, 4],
      [0, 3],
    ],
  ])
  assert.deepEqual(diagonals(a, 1, 1).arraySync(), [[[2, 5]]])
})
