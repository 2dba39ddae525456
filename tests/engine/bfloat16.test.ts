import assert from 'node:assert/strict'
import test from 'node:test'
import { bfloat16Product, roundStochastically, toBfloat16, toFloat32 } from '../../lib/engine/bfloat16'
import { add } from '../../lib/engine/ops'
import { isBfloat16, nativeTensors, tf } from '../../lib/engine/tensorflow'
import { randomStream } from '../../lib/random/randomStream'

/** The neighbours of a float32 among numbers whose lower 16 bits are zero, towards zero and away from it. */
function neighbours(x: number): [number, number] {
  const bits = new Uint32Array(Float32Array.of(x).buffer)[0]!
  const float = (of: number) => new Float32Array(Uint32Array.of(of).buffer)[0]!
  const inner = (bits & 0xffff0000) >>> 0
  return bits === inner ? [x, x] : [float(inner), float(inner + 0x10000)]
}

const NUMBERS = [
  1, -1, 1.001, -1.001, 3.3, -2.7, 0.1, 1e-8, -1e-8, 1e-30, 12345.678, 1e30,
  // Just below and above a power of two, where the distance of neighbours doubles.
  1.999999, 2.000001, -3.9999, 0.50001, 0.49999,
  // Exactly a bfloat16, a power of two among them, and zero.
  0.5, -4, 1.5, 3.140625, 0,
].map(Math.fround)
const DRAWS = 20_000

test('a number is rounded to one of its neighbours, and on average to itself', () => {
  const x = tf.tidy(() => tf.tile(tf.tensor2d(NUMBERS, [NUMBERS.length, 1]), [1, DRAWS]))
  const rounded = roundStochastically(x, 7)
  const rows = rounded.arraySync() as number[][]
  tf.dispose([x, rounded])
  for (const [i, number] of NUMBERS.entries()) {
    const [inner, outer] = neighbours(number)
    assert.ok(
      rows[i]!.every((value) => value === inner || value === outer),
      `${number} became ${rows[i]!.find((value) => value !== inner && value !== outer)}, expected ${inner} or ${outer}`,
    )
    const distance = outer - inner
    const mean = rows[i]!.reduce((sum, value) => sum + value, 0) / DRAWS
    // Five standard errors of a coin.
    assert.ok(Math.abs(mean - number) <= Math.abs(distance) * (5 * Math.sqrt(0.25 / DRAWS)), `${number}: mean ${mean}`)
  }
})

test('the same seed rounds the same way, another one otherwise', () => {
  const x = tf.randomUniform([1000], 1, 2, 'float32', 3)
  const [a, b, c] = [5, 5, 6].map((seed) => {
    const rounded = roundStochastically(x, seed)
    const values = rounded.dataSync()
    rounded.dispose()
    return values
  })
  assert.deepEqual(a, b)
  assert.notDeepEqual(a, c)
  x.dispose()
})

test('a bfloat16 tensor holds the nearest numbers, ties to even, and is owned like any other', () => {
  const [held, native] = [tf.memory().numTensors, nativeTensors()]
  // 1 + 2⁻⁸ lies between 1 and 1 + 2⁻⁷; so does 1 + 3 · 2⁻⁸, whose even neighbour is 1 + 2⁻⁶.
  const values = [1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1.01, -1.01, 0, 1e-20]
  const nearest = (value: number) => {
    const [inner, outer] = neighbours(value)
    return Math.abs(value - inner) <= Math.abs(outer - value) ? inner : outer
  }
  tf.tidy(() => {
    const narrow = toBfloat16(tf.tensor1d(values))
    assert.ok(isBfloat16(narrow))
    const wide = toFloat32(narrow)
    assert.ok(!isBfloat16(wide))
    assert.deepEqual(
      [...wide.dataSync()],
      [1, 1, 1 + 2 ** -6, ...values.slice(3).map((value) => nearest(Math.fround(value)))],
    )
    assert.deepEqual(wide.shape, [7])
    // Never taken for what tfjs believes it to be.
    assert.throws(() => narrow.dataSync(), /TF_DataType/)
    assert.throws(() => add(narrow, wide), /bfloat16/)
    assert.throws(() => tf.add(narrow, wide), /bfloat16/)
  })
  const x = tf.tensor1d(values)
  const narrow = toBfloat16(x)
  tf.dispose([x, narrow])
  assert.throws(() => toFloat32(narrow))
  assert.equal(tf.memory().numTensors, held)
  assert.equal(nativeTensors(), native)
})

test('a product in bfloat16 rounds its operands and once what comes out; nothing else is left, whatever goes wrong', () => {
  const random = randomStream(5)
  const numbers = (rows: number, columns: number) =>
    Array.from({ length: rows }, () => Array.from({ length: columns }, () => Math.fround(random.normal())))
  const turned = (x: number[][]) => x[0]!.map((_, i) => x.map((row) => row[i]!))
  const [m, k, n] = [5, 64, 7]
  const [a, b] = [numbers(m, k), numbers(k, n)]
  const round = (x: number) => {
    const [inner, outer] = neighbours(x)
    return Math.abs(x - inner) <= Math.abs(outer - x) ? inner : outer
  }
  const exact = a.map((row) =>
    turned(b).map((column) => row.reduce((sum, x, i) => sum + round(x) * round(column[i]!), 0)),
  )
  const before = nativeTensors()
  for (const [transposeA, transposeB] of [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ] as const) {
    tf.tidy(() => {
      const left = tf.tensor2d(transposeA ? turned(a) : a)
      const right = toBfloat16(tf.tensor2d(transposeB ? turned(b) : b))
      const held = nativeTensors()
      const product = bfloat16Product(left, right, { transposeA, transposeB })
      // The product, and the float32 operand that TensorFlow now has.
      assert.equal(nativeTensors(), held + 2)
      ;(product.arraySync() as number[][]).forEach((row, i) => {
        row.forEach((value, j) => {
          const [inner, outer] = neighbours(exact[i]![j]!)
          const spacing = Math.abs(outer - inner) || Math.abs(value) * 2 ** -7
          assert.ok(Math.abs(value - exact[i]![j]!) <= spacing * 0.51, `${value}, expected ${exact[i]![j]}`)
          assert.equal(value, round(value))
        })
      })
      assert.throws(
        () => bfloat16Product(left, left, { transposeA, transposeB: transposeA }),
        /Matrix size-incompatible/,
      )
      assert.equal(nativeTensors(), held + 2)
    })
  }
  assert.equal(nativeTensors(), before)
})
