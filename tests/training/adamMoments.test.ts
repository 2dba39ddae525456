import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { nativeTensors, tf } from '../../lib/engine/tensorflow'
import { SafetensorsFile } from '../../lib/model/safetensors'
import { randomStream } from '../../lib/random/randomStream'
import type { MomentType } from '../../lib/training/adamMoments'
import { AdamW } from '../../lib/training/adamw'
import { parseConfig } from '../../lib/training/readConfig'
import { type TrainOptions, train } from '../../lib/training/train'
import { assertClose } from '../oracle/close'
import { temporaryFolder } from '../support/temporaryFolder'
import { resultOf, tinyConfig } from './tinyRun'

test('a weight that is cut into pieces moves like its numbers by themselves', () => {
  // On a CPU a piece holds 262 rows; the last has fewer.
  const [rows, columns] = [600, 1000]
  const weight = tf.zeros([rows, columns])
  const gradient = tf.randomNormal([rows, columns], 0, 1, 'float32', 4)
  const optimizer = new AdamW({ weightDecay: 0.1 })
  for (let step = 0; step < 2; step++) optimizer.step([{ name: 'w', weight, gradient }], 0.1)
  const [w, g] = [weight.dataSync(), gradient.dataSync()]
  for (const i of [0, 999, 261_999, 262_000, 523_999, 524_000, rows * columns - 1]) {
    // With an unchanging gradient the corrected moments are g and g² at every step.
    const move = (0.1 * g[i]!) / (Math.abs(g[i]!) + 1e-8)
    assertClose([w[i]!], [-move - 0.01 * -move - move], 3e-6, `number ${i}`)
  }
  optimizer.dispose()
  tf.dispose([weight, gradient])
})

/** Runs `steps` updates with a gradient of zero from these moments, and returns the second ones. */
async function decayed(steps: number, start: number, count: number, beta2: number): Promise<Float32Array> {
  const weight = tf.zeros([count])
  const gradient = tf.zeros([count])
  const optimizer = new AdamW({ state: 'bf16', seed: 9, beta2 })
  await optimizer.restore(1, [{ name: 'w', weight }], async (name) =>
    new Float32Array(count).fill(name === 'v.w' ? start : 0),
  )
  for (let step = 0; step < steps; step++) optimizer.step([{ name: 'w', weight, gradient }], 0)
  const { tensors } = optimizer.state()
  const values = tensors
    .find(({ name }) => name === 'v.w')!
    .load()
    .slice()
  optimizer.dispose()
  tf.dispose([weight, gradient])
  return values
}

test('second moments in bf16 fade as they should, where rounding to the nearest would hold them still for ever', async () => {
  const values = await decayed(300, 1, 4096, 0.999)
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length
  // Each number wanders by less than 300^½ · 2⁻⁹ = 3.4 %, their mean by 0.05 %.
  assertClose([mean], [0.999 ** 300], 0.003)
  // All are bfloat16 numbers.
  assert.ok(new Uint32Array(values.buffer).every((bits) => (bits & 0xffff) === 0))
})

/** Mean square error of a linear regression before and after training. */
function regression(state: MomentType): [number, number] {
  const random = randomStream(1)
  const normal = (rows: number, columns: number) =>
    tf.tensor2d(
      Float32Array.from({ length: rows * columns }, () => random.normal()),
      [rows, columns],
    )
  const [x, truth] = [normal(128, 32), normal(32, 16)]
  const y = tf.matMul(x, truth)
  const weight = tf.zeros([32, 16])
  const error = () => tf.tidy(() => tf.mean(tf.square(tf.sub(tf.matMul(x, weight as tf.Tensor2D), y))).dataSync()[0]!)
  const optimizer = new AdamW({ state, seed: 2 })
  const first = error()
  for (let step = 0; step < 250; step++) {
    const gradient = tf.tidy(() =>
      tf.mul(tf.matMul(x, tf.sub(tf.matMul(x, weight as tf.Tensor2D), y), true), 2 / (128 * 16)),
    )
    optimizer.step([{ name: 'w', weight, gradient }], 0.1 * (1 - step / 250))
    gradient.dispose()
  }
  const last = error()
  optimizer.dispose()
  tf.dispose([x, truth, y, weight])
  return [first, last]
}

test('training with moments in bf16 converges as with float32', () => {
  const [start, exact] = regression('float32')
  const [, narrow] = regression('bf16')
  const held = nativeTensors()
  assert.ok(exact < 1e-6 * start, `float32: ${start} to ${exact}`)
  assert.ok(narrow < 1e-6 * start, `bf16: ${start} to ${narrow}, float32 ${exact}`)
  assert.deepEqual(regression('bf16'), [start, narrow])
  assert.equal(nativeTensors(), held)
})

test('a run with moments in bf16 saves half as much, and goes on to the same bits after a stop', async () => {
  const folder = temporaryFolder()
  const optimizer = { learningRate: 1e-2, beta2: 0.95, state: 'bf16' }
  const config = tinyConfig({ supervised: { steps: 3, optimizer }, grpo: { steps: 3, optimizer }, evaluation: null })
  const run = (name: string, given: object | null, options: Partial<TrainOptions> = {}) =>
    train(given, { run: join(folder, name), ...options })
  const { checkpoint } = await run('whole', config)
  const file = await SafetensorsFile.open(join(checkpoint, 'optimizer.safetensors'))
  assert.ok(file.names().length > 0 && file.names().every((name) => file.dtype(name) === 'BF16'))
  await file.close()
  const stop = new AbortController()
  await run('stopped', config, { signal: stop.signal, onStep: ({ step }) => step === 4 && stop.abort('enough') })
  assert.equal((await run('stopped', null)).state, 'finished')
  assert.deepEqual(resultOf(join(folder, 'stopped')), resultOf(join(folder, 'whole')))
  await assert.rejects(
    run('stopped', tinyConfig({ supervised: { steps: 3, optimizer }, grpo: { steps: 3 }, evaluation: null })),
    /different: grpo\.optimizer\.state \("bf16", now "float32"\)/,
  )
  assert.throws(
    () => parseConfig(tinyConfig({ grpo: { optimizer: { state: 'int8' } } })),
    /grpo\.optimizer\.state: .*"float32"\|"bf16".*\(got "int8"\)/,
  )
})
