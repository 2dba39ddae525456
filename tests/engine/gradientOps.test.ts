import assert from 'node:assert/strict'
import test from 'node:test'
import { product } from '../../lib/engine/gradientOps'
import { tf } from '../../lib/engine/tensorflow'

test('large products, which take another kernel, are the products of their parts', () => {
  tf.tidy(() => {
    const a = tf.randomNormal([1024, 1024], 0, 1, 'float32', 1)
    const b = tf.randomNormal([1024, 520], 0, 1, 'float32', 2)
    const halves = [0, 520 / 2].map((from) => tf.matMul(a, b.slice([0, from], [1024, 260])))
    const expected = tf.concat(halves, 1)
    const variants = [
      product(a, b),
      product(a.transpose(), b, { transposeA: true }),
      product(a, b.transpose(), { transposeB: true }),
      product(a.transpose(), b.transpose(), { transposeA: true, transposeB: true }),
    ]
    for (const actual of variants) {
      assert.deepEqual(actual.shape, [1024, 520])
      assert.ok(tf.max(tf.abs(tf.sub(actual, expected))).dataSync()[0]! < 1e-3)
    }
  })
})
