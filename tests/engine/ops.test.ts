import assert from 'node:assert/strict'
import test from 'node:test'
import { diagonals, indexTensor, reshape, slice, take, takeColumns, writeRows } from '../../lib/engine/ops'
import { nativeTensors, tf } from '../../lib/engine/tensorflow'
import { asOnGpu } from '../support/asOnGpu'

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

test('indices arrive as they are, also as the bits of float32 numbers for a GPU: negative ones, and what reads as no number or next to none', async () => {
  const values = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 0x7fc00001, 0x7f800001, 0x00000005]
  const held = nativeTensors()
  for (const read of [() => indexTensor(values), () => indexTensor(values, [4, 2])]) {
    for (const tensor of [read(), await asOnGpu(read)]) {
      assert.equal(tensor.dtype, 'int32')
      assert.deepEqual(Array.from(tensor.dataSync()), values)
      tensor.dispose()
    }
  }
  assert.equal(nativeTensors(), held)
})

test('entries are taken along an axis, a column of each row is, and rows are written in place', async () => {
  const a = tf.tensor2d([
    [1, 2, 3],
    [4, 5, 6],
  ])
  const check = () => {
    tf.tidy(() => {
      assert.deepEqual(take(a, indexTensor([1, 0, 1])).arraySync(), [
        [4, 5, 6],
        [1, 2, 3],
        [4, 5, 6],
      ])
      assert.deepEqual(take(a, indexTensor([2, 0]), 1).arraySync(), [
        [3, 1],
        [6, 4],
      ])
      assert.deepEqual(takeColumns(a, indexTensor([2, 1], [2, 1])).arraySync(), [[3], [5]])
      const target = tf.zeros([3, 2])
      writeRows(target, indexTensor([2, 0]), tf.tensor2d([7, 8, 9, 10], [2, 2]))
      assert.deepEqual(target.arraySync(), [
        [9, 10],
        [0, 0],
        [7, 8],
      ])
    })
  }
  check()
  await asOnGpu(check)
  a.dispose()
})
