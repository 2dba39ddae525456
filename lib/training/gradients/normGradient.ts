import { product, sum } from '../../engine/gradientOps'
import { add, meanOfLast, multiply, reshape, scalar, sumOver } from '../../engine/ops'
import { execute, type tf } from '../../engine/tensorflow'

/** `1 / sqrt(mean(x²) + eps)` over the last axis, kept as an axis of one. */
const inverseRms = (x: tf.Tensor, epsilon: number): tf.Tensor =>
  execute('Rsqrt', [add(meanOfLast(execute('Square', [x])), scalar(epsilon))])

/** RMSNorm of rows and the factors that it divided them by, which its gradient needs again. */
export interface Normed {
  normed: tf.Tensor
  inverse: tf.Tensor
}

/** `x · inverse · weight` with `inverse = 1 / sqrt(mean(x²) + eps)` over the last axis. */
export function norm(x: tf.Tensor, weight: tf.Tensor, epsilon: number): Normed {
  const inverse = inverseRms(x, epsilon)
  return { normed: multiply(multiply(x, inverse), weight), inverse }
}

/**
 * Gradients of RMSNorm of `x [rows, width]` with respect to `x`, to which `beside` is added, and to its weight `[width]`:
 * `dx = inverse · (dy · w) - x · inverse³ · mean(dy · w · x)`, `dw = sum over rows of dy · x · inverse`.
 */
export function normGradient(
  x: tf.Tensor,
  inverse: tf.Tensor,
  weight: tf.Tensor,
  dy: tf.Tensor,
  beside?: tf.Tensor,
): { dx: tf.Tensor; dWeight: tf.Tensor } {
  const [rows, width] = x.shape as [number, number]
  const crossed = multiply(dy, x)
  const dWeight = reshape(product(reshape(inverse, [1, rows]), crossed), [width])
  const along = product(crossed, reshape(weight, [width, 1]))
  const direct = multiply(multiply(dy, weight), inverse)
  const back = multiply(x, correction(along, inverse, width))
  return { dx: beside ? sum(beside, direct, back) : add(direct, back), dWeight }
}

/**
 * The same for heads `[rows, heads, width]` with a weight for each head, `[heads, width]`, that all heads share:
 * `dWeight [1, width]` is the gradient of the shared vector.
 */
export function headNormGradient(
  x: tf.Tensor,
  inverse: tf.Tensor,
  weight: tf.Tensor,
  dy: tf.Tensor,
): { dx: tf.Tensor; dWeight: tf.Tensor } {
  const width = x.shape[2]!
  const crossed = multiply(dy, x)
  const dWeight = sumOver(reshape(multiply(crossed, inverse), [-1, width]), 0)
  const along = reshape(sumOver(multiply(crossed, weight), 2), inverse.shape)
  const dx = add(multiply(multiply(dy, weight), inverse), multiply(x, correction(along, inverse, width)))
  return { dx, dWeight: reshape(dWeight, [1, width]) }
}

const correction = (along: tf.Tensor, inverse: tf.Tensor, width: number): tf.Tensor =>
  multiply(multiply(along, scalar(-1 / width)), multiply(inverse, execute('Square', [inverse])))
