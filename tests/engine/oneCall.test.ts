import assert from 'node:assert/strict'
import test from 'node:test'
import { toBfloat16, toFloat32 } from '../../lib/engine/bfloat16'
import { sum } from '../../lib/engine/gradientOps'
import { inOneCall, inOneCallWith, opByOp } from '../../lib/engine/oneCall'
import {
  add,
  concat,
  indexTensor,
  multiply,
  reshape,
  rmsNorm,
  scalar,
  slice,
  take,
  writeRows,
} from '../../lib/engine/ops'
import { isBfloat16, makesFunctions, nativeTensors, type Tensor, tf, upload } from '../../lib/engine/tensorflow'

test('this build of the binding makes functions', () => assert.ok(makesFunctions))

test('a function gives what its ops give for the numbers at hand, several results, and calls for its ops no more', () => {
  const held = nativeTensors()
  let calls = 0
  for (let round = 1; round <= 4; round++) {
    tf.tidy(() => {
      const [a, b] = [tf.tensor1d([1, 2, 3]), tf.scalar(round)]
      const [sum, product] = inOneCall('sum and product', [a, b], () => {
        calls++
        return [add(a, b), multiply(multiply(a, b), scalar(10))]
      })
      assert.deepEqual(
        [sum!, product!].map((x) => Array.from(x.dataSync())),
        [
          [1 + round, 2 + round, 3 + round],
          [10 * round, 20 * round, 30 * round],
        ],
      )
    })
  }
  assert.equal(calls, 1)
  // The constant ten, and what it took to make functions: nothing else is held.
  assert.ok(nativeTensors() - held <= 1, `${nativeTensors() - held} tensors more`)
})

test('reads and writes of one memory keep their order, through every name that it has', () => {
  const step = (target: Tensor, alias: Tensor, at: Tensor, values: Tensor) => {
    const before = slice(alias, [0, 0], [1, 2])
    writeRows(target, at as tf.Tensor1D, values)
    const between = multiply(alias, scalar(1))
    writeRows(target, at as tf.Tensor1D, multiply(values, scalar(2)))
    return [multiply(before, scalar(1)), between, multiply(alias, scalar(1))]
  }
  for (let round = 0; round < 3; round++) {
    tf.tidy(() => {
      const target = tf.tensor2d([
        [1, 1],
        [2, 2],
        [3, 3],
      ])
      const alias = reshape(target, [3, 2])
      const at = indexTensor([round])
      const values = tf.tensor2d([[10 + round, 20]])
      // As if run twice in the first round, which changes nothing but what was read before.
      const results = inOneCall('in place', [target, alias, at, values], () => step(target, alias, at, values))
      const rows = results.map((x) => x.arraySync() as number[][])
      const written = (row: number[]) => [1, 2, 3].map((v, i) => (i === round ? row : [v, v]))
      if (round > 0) assert.deepEqual(rows[0], [[1, 1]])
      assert.deepEqual(rows[1], written([10 + round, 20]))
      assert.deepEqual(rows[2], written([20 + 2 * round, 40]))
      assert.deepEqual(target.arraySync(), written([20 + 2 * round, 40]))
    })
  }
})

test('bfloat16 goes in and comes out; inputs that are not read, or twice the same, do no harm', () => {
  for (let round = 0; round < 3; round++) {
    tf.tidy(() => {
      const narrow = toBfloat16(tf.tensor1d([1.5, 2]))
      const same = tf.tensor1d([4, 4])
      const other = round === 2 ? tf.tensor1d([5, 5]) : same
      const [sum, back] = inOneCall('bfloat16', [narrow, tf.scalar(7), same, other], () => [
        toBfloat16(add(toFloat32(narrow), same)),
        add(toFloat32(narrow), other),
      ])
      assert.ok(isBfloat16(sum!) && !isBfloat16(back!))
      assert.deepEqual(Array.from(toFloat32(sum!).dataSync()), [5.5, 6])
      // In the last round the two tensors are no longer one.
      assert.deepEqual(Array.from(back!.dataSync()), round === 2 ? [6.5, 7] : [5.5, 6])
    })
  }
})

test('what was said of the results when they were recorded holds for later calls; kept ones are free to go', () => {
  const a = tf.tensor1d([1, 2])
  const run = () => {
    const [results, said] = tf.tidy(() => {
      const [made, layout] = inOneCallWith('said', [a], () => [
        [tf.keep(add(a, a)), multiply(a, a)],
        ['sum', 'product'],
      ])
      return [made.map((x) => Array.from(x.dataSync())), layout] as never
    }) as unknown as [number[][], string[]]
    assert.deepEqual(results, [
      [2, 4],
      [1, 4],
    ])
    assert.deepEqual(said, ['sum', 'product'])
  }
  const held = nativeTensors()
  for (let i = 0; i < 3; i++) run()
  assert.ok(nativeTensors() - held <= 1)
  a.dispose()
})

test('an input may be among the results, and lives on', () => {
  const a = tf.tensor1d([1, 2])
  for (let i = 0; i < 3; i++) {
    tf.tidy(() => {
      const [same, twice] = inOneCall('handed back', [a], () => [a, add(a, a)])
      assert.deepEqual(Array.from(same!.dataSync()), [1, 2])
      assert.deepEqual(Array.from(twice!.dataSync()), [2, 4])
    })
    assert.ok(!a.isDisposed)
  }
  a.dispose()
})

test('a module that is loaded anew, as a notebook does after an edit, makes functions of its own', () => {
  const path = require.resolve('../../lib/engine/oneCall')
  const a = tf.tensor1d([1, 2])
  const lines: string[] = []
  const { write } = process.stderr
  process.stderr.write = ((line: string) => lines.push(line)) as unknown as typeof write
  try {
    for (const factor of [2, 3]) {
      delete require.cache[path]
      const anew = require(path) as typeof import('../../lib/engine/oneCall')
      assert.notEqual(anew.inOneCall, inOneCall)
      const [sum] = anew.inOneCall('anew', [a], () => [factor === 2 ? add(a, a) : add(a, add(a, a))])
      assert.deepEqual(Array.from(sum!.dataSync()), [factor, 2 * factor])
      sum!.dispose()
    }
  } finally {
    process.stderr.write = write
  }
  assert.deepEqual(lines, [])
  a.dispose()
})

test('a tensor that is no input is refused, before its numbers are taken for all time; nothing is left of it', () => {
  const a = tf.tensor1d([1, 2])
  const hidden = tf.tensor1d([3, 4])
  const attempt = () => tf.tidy(() => inOneCall('hidden', [a], () => [add(a, hidden)]))
  assert.throws(attempt, /AddV2 reads a tensor \(its input 1\) that is neither among the inputs nor a constant/)
  const fresh = () => tf.tidy(() => inOneCall('fresh', [a], () => [add(a, tf.tensor1d([5, 6]))]))
  const failing = () => tf.tidy(() => inOneCall('fails', [a], () => [add(a, reshape(a, [3]))]))
  // Once before counting: constants stay.
  assert.throws(failing, /reshape|Reshape/)
  const held = nativeTensors()
  assert.throws(attempt, /neither among the inputs/)
  assert.throws(fresh, /neither among the inputs/)
  assert.throws(failing, /reshape|Reshape/)
  assert.equal(nativeTensors(), held)
  tf.dispose([a, hidden])
})

test('ops that take lists: sums of several, and parts put together', () => {
  for (let round = 1; round < 4; round++) {
    tf.tidy(() => {
      const [a, b] = [tf.tensor1d([1, 2]), tf.tensor1d([round, 10])]
      const [joined, total] = inOneCall('lists', [a, b], () => [concat([a, b, a], 0), sum(a, b, b)])
      assert.deepEqual(Array.from(joined!.dataSync()), [1, 2, round, 10, 1, 2])
      assert.deepEqual(Array.from(total!.dataSync()), [1 + 2 * round, 22])
    })
  }
})

test('what TensorFlow makes no function of runs op by op, and one line says why', () => {
  // A convolution has lists of numbers among its attributes, which functions here do not take.
  const image = tf.tensor4d([1, 2, 3, 4], [1, 2, 2, 1])
  const kernel = tf.tensor4d([10], [1, 1, 1, 1])
  const run = () =>
    tf.tidy(() => {
      const [result] = inOneCall('refused', [image, kernel], () => [
        tf.conv2d(image as tf.Tensor4D, kernel as tf.Tensor4D, 1, 'valid'),
      ])
      return Array.from(result!.dataSync())
    })
  const lines: string[] = []
  const { write } = process.stderr
  process.stderr.write = ((line: string) => lines.push(line)) as unknown as typeof write
  for (const tensor of [image, kernel]) upload(tensor)
  const held = nativeTensors()
  try {
    for (let i = 0; i < 3; i++) assert.deepEqual(run(), [10, 20, 30, 40])
  } finally {
    process.stderr.write = write
  }
  assert.equal(nativeTensors(), held)
  assert.equal(lines.length, 1)
  assert.match(lines[0]!, /^TensorFlow makes no function of \d+ ops, which now run one by one, slower: .+\n$/)
  tf.dispose([image, kernel])
})

test('more functions than are held: each is right, the oldest is made anew, and one that is used stays', () => {
  const a = tf.tensor1d([1, 2, 3])
  const calls = new Map<number, number>()
  // Two hundred ops each, so that some sixty are held.
  const times = (factor: number) =>
    tf.tidy(() => {
      const compute = () => {
        calls.set(factor, (calls.get(factor) ?? 0) + 1)
        let sum = multiply(a, scalar(factor))
        for (let i = 0; i < 100; i++) sum = multiply(add(sum, a), scalar(1))
        return [sum]
      }
      return Array.from(inOneCall(`times ${factor}`, [a], compute)[0]!.dataSync())
    })
  const expected = (factor: number) => [1, 2, 3].map((x) => x * (factor + 100))
  for (let round = 0; round < 2; round++) {
    for (let factor = 0; factor < 100; factor++) {
      assert.deepEqual(times(factor), expected(factor))
      assert.deepEqual(times(0), expected(0))
    }
  }
  assert.deepEqual(times(99), expected(99))
  assert.equal(calls.get(0), 1)
  assert.equal(calls.get(1), 2)
  assert.equal(calls.get(99), 2)
  assert.deepEqual(
    opByOp(() => times(99)),
    expected(99),
  )
  assert.equal(calls.get(99), 3)
  a.dispose()
})

test('a constant that has made room for others stays in the functions that read it', () => {
  const a = tf.tensor2d([
    [3, 4],
    [6, 8],
  ])
  const weight = tf.tensor1d([1, 2])
  const norm = () =>
    tf.tidy(() => {
      const [result] = inOneCall('norm', [a, weight], () => [rmsNorm(a, weight, 0)])
      return Array.from(take(result!, indexTensor([1])).dataSync())
    })
  // Root mean square of 6 and 8: √50.
  const expected = [6 / Math.sqrt(50), 16 / Math.sqrt(50)]
  const check = () => assert.ok(norm().every((x, i) => Math.abs(x - expected[i]!) < 1e-6))
  check()
  const row = tf.range(0, 4000)
  for (let i = 0; i < 1500; i++) tf.tidy(() => slice(row, [i], [4000 - i]))
  check()
  tf.dispose([a, weight, row])
})
