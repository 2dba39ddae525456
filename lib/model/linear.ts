import { bfloat16Product, inFloat32 } from '../engine/bfloat16'
import { add, matMul, reshape, transpose } from '../engine/ops'
import type { tf } from '../engine/tensorflow'

/** A matrix `[out, in]` in bfloat16, and what adapters add to it. */
export interface NarrowMatrix {
  matrix: tf.Tensor
  /** `y += (x aᵀ) bᵀ` in float32, with `a [rank, in]` and `b [out, rank]`, which belong to whoever put them here; null: none. */
  adapter: { a: tf.Tensor; b: tf.Tensor } | null
}

/**
 * Matrices of a layer in bfloat16, which its products use instead of the layer's own. Queries, keys and values stay float32: a sixth of
 * the work, and without them the errors of WAAD and FAI are twice as large.
 */
export interface LayerProducts {
  output: NarrowMatrix
  gate: NarrowMatrix
  up: NarrowMatrix
  /** Gate and up in one, `[2 · intermediate, hidden]`; the two are views of it. One product is faster than two for few rows. */
  gateUp: tf.Tensor
  down: NarrowMatrix
}

/** What a linear map multiplies with: a float32 matrix `[out, in]`, or one in bfloat16. */
export type Factor = tf.Tensor | NarrowMatrix

const isNarrow = (factor: Factor): factor is NarrowMatrix => 'matrix' in factor

/** Up to so many rows, and from so many outputs on, `W · xᵀ` is twice as fast as `x · Wᵀ`, although its result has to be transposed. */
export const MANY_ROWS = 32
const MANY_OUTPUTS = 8192

/** `x Wᵀ + bias`, `[rows, in]` and `W [out, in]`, in the given shape (`[rows, out]` by default). Call it within a `tidy`. */
export function linear(x: tf.Tensor, factor: Factor, bias: tf.Tensor | null = null, shape?: number[]): tf.Tensor {
  // A column has the numbers of a row in the same order.
  if (shape && !bias && x.shape[0] === 1 && !isNarrow(factor)) return reshape(matMul(factor, x, true), shape)
  const product = isNarrow(factor) ? narrow(x, factor) : exact(x, factor)
  const sum = bias ? add(product, bias) : product
  return shape ? reshape(sum, shape) : sum
}

const narrow = (x: tf.Tensor, factor: NarrowMatrix): tf.Tensor =>
  withAdapter(bfloat16Product(x, factor.matrix, { transposeB: true }), x, factor)

/** `product` of `x` with a matrix, and what its adapter adds. */
export const withAdapter = (product: tf.Tensor, x: tf.Tensor, { adapter }: NarrowMatrix): tf.Tensor =>
  adapter ? add(product, matMul(matMul(inFloat32(x), adapter.a, true), adapter.b, true)) : product

function exact(x: tf.Tensor, weight: tf.Tensor): tf.Tensor {
  const rows = x.shape[0]!
  const columns = rows === 1 || (rows < MANY_ROWS && weight.shape[0]! >= MANY_OUTPUTS)
  return columns ? columnsToRows(matMul(weight, x, true)) : matMul(x, weight, true)
}

/** `[out, rows]` to `[rows, out]`. */
export function columnsToRows(x: tf.Tensor): tf.Tensor {
  const [out, rows] = x.shape as [number, number]
  return rows === 1 ? reshape(x, [1, out]) : transpose(x, [1, 0])
}
