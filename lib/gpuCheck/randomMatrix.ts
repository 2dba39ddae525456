import { multiply, scalar } from '../engine/ops'
import { execute, tf, type } from '../engine/tensorflow'

const TYPES = [type('dtype', 'float32'), type('T', 'int32'), type('Tseed', 'int32')]

/** Normally distributed numbers, of mean 0 and deviation 0.02, drawn on the device itself: billions in seconds. Each `number` names a matrix of its own. */
export function randomMatrix(rows: number, columns: number, number: number): tf.Tensor2D {
  return tf.tidy(() => {
    const [shape, seed] = [tf.tensor1d([rows, columns], 'int32'), tf.tensor1d([1, number], 'int32')]
    return multiply(execute('StatelessRandomNormal', [shape, seed], ...TYPES), scalar(0.02)) as tf.Tensor2D
  })
}
