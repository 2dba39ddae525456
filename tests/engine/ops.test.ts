import assert from 'node:assert/strict'
import test from 'node:test'
import { reshape, slice } from '../../lib/engine/ops'
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
