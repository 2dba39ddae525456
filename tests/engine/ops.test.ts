import assert from 'node:assert/strict'
import test from 'node:test'
import { reshape, slice } from '../../lib/engine/ops'
import { tf } from '../../lib/engine/tensorflow'

test('more shapes than are held: every slice is right, and what is held stops growing', () => {
  const row = tf.range(0, 4000)
  const part = (from: number, size: number) => tf.tidy(() => Array.from(slice(row, [from], [size]).dataSync()))
  let held = 0
  for (let i = 0; i < 3900; i++) {
    // The first operand's constant is as old as can be when the second one needs room.
    assert.deepEqual(part(i, 1), [i])
    const size = 1 + ((i * 7) % 90)
    assert.deepEqual(part(0, size).length, size)
    if (i === 2500) held = tf.memory().numTensors
  }
  assert.equal(tf.memory().numTensors, held)
  assert.deepEqual(
    tf.tidy(() => reshape(row, [2, 2000]).shape),
    [2, 2000],
  )
  row.dispose()
})
