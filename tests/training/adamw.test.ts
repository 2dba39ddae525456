import assert from 'node:assert/strict'
import test from 'node:test'
import { tf } from '../../lib/engine/tensorflow'
import { AdamW, type AdamWOptions, clipScale } from '../../lib/training/adamw'
import { learningRate } from '../../lib/training/learningRate'
import { assertClose } from '../oracle/close'

/** AdamW as the paper writes it (Algorithm 2 of Loshchilov and Hutter), in 64 bits. */
function adamwByHand(
  weights: number[],
  gradients: number[][],
  rates: number[],
  options: Required<Pick<AdamWOptions, 'beta1' | 'beta2' | 'epsilon' | 'weightDecay'>>,
) {
  const { beta1, beta2, epsilon, weightDecay } = options
  const m = weights.map(() => 0)
  const v = weights.map(() => 0)
  const w = [...weights]
  for (const [step, gradient] of gradients.entries())
    for (let i = 0; i < w.length; i++) {
      m[i] = beta1 * m[i]! + (1 - beta1) * gradient[i]!
      v[i] = beta2 * v[i]! + (1 - beta2) * gradient[i]! ** 2
      const corrected = m[i]! / (1 - beta1 ** (step + 1))
      const root = Math.sqrt(v[i]! / (1 - beta2 ** (step + 1)))
      w[i] = w[i]! - rates[step]! * weightDecay * w[i]! - (rates[step]! * corrected) / (root + epsilon)
    }
  return w
}

const START = [0.5, -1, 2, 3e-4, -0.2, 1]
const GRADIENTS = [
  [1, -2, 0.1, 0, 1e-4, 3],
  [0.5, 2, 0.2, 0, 1e-4, -3],
  [-1, 1, 0.3, 1, 1e-4, 0],
]
const RATES = [1e-2, 2e-2, 5e-3]

function run(options: AdamWOptions, shape: number[]): number[] {
  const weight = tf.tensor(START, shape)
  const optimizer = new AdamW(options)
  for (const [i, values] of GRADIENTS.entries()) {
    const gradient = tf.tensor(values, shape)
    optimizer.step([{ name: 'w', weight, gradient }], RATES[i]!)
    gradient.dispose()
  }
  const result = Array.from(weight.dataSync())
  optimizer.dispose()
  weight.dispose()
  return result
}

test('updates are those of the algorithm, epsilon and decoupled decay included', () => {
  for (const options of [
    { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
    { beta1: 0.9, beta2: 0.95, epsilon: 1e-2, weightDecay: 0 },
    { beta1: 0.8, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.3 },
  ])
    assertClose(run(options, [2, 3]), adamwByHand(START, GRADIENTS, RATES, options), 1e-6, JSON.stringify(options))
})

test('decay spares vectors unless it is told otherwise', () => {
  const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.3 }
  assertClose(run(options, [6]), adamwByHand(START, GRADIENTS, RATES, { ...options, weightDecay: 0 }), 1e-6)
  assertClose(run({ ...options, decay: 'all' }, [6]), adamwByHand(START, GRADIENTS, RATES, options), 1e-6)
})

test('weights change in place: another tensor of the same memory sees it; nothing is left behind', () => {
  const before = tf.memory().numTensors
  const weight = tf.tensor2d(START, [2, 3])
  const alias = weight.reshape([6])
  const gradient = tf.ones([2, 3])
  const optimizer = new AdamW()
  optimizer.step([{ name: 'w', weight, gradient }], 0.1)
  assertClose(
    Array.from(alias.dataSync()),
    START.map((w) => w - 0.1),
    1e-5,
  )
  const held = tf.memory().numTensors
  optimizer.step([{ name: 'w', weight, gradient }], 0.1)
  assert.ok(tf.memory().numTensors <= held + 3, 'constants of the first steps only')
  tf.dispose([weight, alias, gradient])
  optimizer.dispose()
  assert.ok(tf.memory().numTensors <= before + 8)
})

test('a restored optimizer goes on to the same bits', async () => {
  const gradients = GRADIENTS.map((values) => tf.tensor1d(values))
  const straight = tf.tensor1d(START)
  const first = new AdamW()
  for (const [i, gradient] of gradients.entries()) first.step([{ name: 'w', weight: straight, gradient }], RATES[i]!)

  const resumed = tf.tensor1d(START)
  const second = new AdamW()
  for (const i of [0, 1]) second.step([{ name: 'w', weight: resumed, gradient: gradients[i]! }], RATES[i]!)
  const saved = new Map(second.state().tensors.map(({ name, load }) => [name, load().slice()]))
  const third = new AdamW()
  await third.restore(second.state().updates, [{ name: 'w', weight: resumed }], async (name) => saved.get(name)!)
  third.step([{ name: 'w', weight: resumed, gradient: gradients[2]! }], RATES[2]!)
  assert.deepEqual(resumed.dataSync(), straight.dataSync())
  await assert.rejects(
    third.restore(1, [{ name: 'w', weight: resumed }], async () => new Float32Array(2)),
    /m\.w has 2 numbers, the weight 6/,
  )
})

test('a gradient scale is a gradient of another size; clipping brings the norm to its bound', () => {
  assert.equal(clipScale(0.5, 1), 1)
  assert.equal(clipScale(7, null), 1)
  assertClose([clipScale(4, 1)], [0.25], 1e-6)
  const scaled = tf.tensor1d([1, 2])
  const plain = tf.tensor1d([1, 2])
  const [g, half] = [tf.tensor1d([2, -4]), tf.tensor1d([1, -2])]
  new AdamW({ epsilon: 1 }).step([{ name: 'w', weight: scaled, gradient: g }], 0.1, 0.5)
  new AdamW({ epsilon: 1 }).step([{ name: 'w', weight: plain, gradient: half }], 0.1)
  assert.deepEqual(scaled.dataSync(), plain.dataSync())
})

test('options out of range are refused by name', () => {
  assert.throws(() => new AdamW({ beta1: 1 }), /beta1 is 1; expected a number in \[0, 1\)/)
  assert.throws(() => new AdamW({ weightDecay: -1 }), /weightDecay is -1/)
})

test('learning rates: warm-up, constant, linear and cosine, by hand', () => {
  const rates = (schedule: 'constant' | 'linear' | 'cosine', finalShare: number) =>
    Array.from({ length: 7 }, (_, update) =>
      learningRate({ rate: 8, warmupUpdates: 2, schedule, finalShare }, update, 7),
    )
  assertClose(rates('constant', 0), [4, 8, 8, 8, 8, 8, 8])
  assertClose(rates('linear', 0.5), [4, 8, 8, 7, 6, 5, 4])
  assertClose(rates('cosine', 0), [4, 8, 8, 4 + 2 * Math.SQRT2, 4, 4 - 2 * Math.SQRT2, 0])
  assertClose([learningRate({ rate: 1, warmupUpdates: 0, schedule: 'linear', finalShare: 0 }, 0, 1)], [1])
})
