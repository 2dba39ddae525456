import { ones, reshape } from './ops'
import { execute, executeFast, flag, hasOneDnn, type Tensor, tf, type } from './tensorflow'

interface Attribute {
  name: string
  type: number
  value: unknown
}

interface NativeBackend {
  binding: { TF_ATTR_INT: number; TF_ATTR_TYPE: number; TF_COMPLEX64: number }
  executeMultipleOutputs(name: string, attributes: Attribute[], inputs: Tensor[], outputs: number): Tensor[]
}

const native = tf.backend() as unknown as NativeBackend
const { binding } = native
const complex = (name: string): Attribute => ({ name, type: binding.TF_ATTR_TYPE, value: binding.TF_COMPLEX64 })

/** `tf.tidy` for any structure of tensors and nulls. */
export const tidy = <T>(compute: () => T): T => tf.tidy(compute as never) as T

interface Transposed {
  transposeA?: boolean
  transposeB?: boolean
}

/** Products of the last two axes of `a` and `b`, either of them transposed; leading axes are equal. */
export const batchProduct = (
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false }: Transposed = {},
): Tensor => executeFast('BatchMatMulV2', [a, b], flag('adj_x', transposeA), flag('adj_y', transposeB))

/** From this many multiplications on, oneDNN's batched product is faster for one pair, up to 3.4 times for a head's logits. */
const LARGE_PRODUCT = 2 ** 29

/** Product of two matrices, either of them transposed. */
export function product(a: Tensor, b: Tensor, transposed: Transposed = {}): Tensor {
  const { transposeA = false, transposeB = false } = transposed
  const columns = b.shape[transposeB ? 0 : 1]!
  if (hasOneDnn && a.size * columns >= LARGE_PRODUCT) {
    const whole = batchProduct(reshape(a, [1, ...a.shape]), reshape(b, [1, ...b.shape]), transposed)
    return reshape(whole, whole.shape.slice(1))
  }
  return execute('MatMul', [a, b], flag('transpose_a', transposeA), flag('transpose_b', transposeB))
}

/** Softmax over the last axis. */
export const probabilities = (scores: Tensor): Tensor => executeFast('Softmax', [scores])

/** Sum of tensors of one shape, in one pass. */
export const sum = (...parts: Tensor[]): Tensor =>
  execute('AddN', parts, type('T', 'float32'), { name: 'N', type: binding.TF_ATTR_INT, value: parts.length })

/** Sums of the columns of `x [rows, width]`: `[width]`. */
export const sumOfRows = (x: Tensor): Tensor => reshape(product(ones([1, x.shape[0]!]), x), [x.shape[1]!])

/** Half the sum of squares, a scalar. */
export const halfSquares = (x: Tensor): Tensor => execute('L2Loss', [x])

/** `[count, width]`: at each row the sum of those `values [n, width]` whose entry in `rows [n]` (an `indexTensor`) names it. */
export const sumByRow = (values: Tensor, rows: Tensor, count: number): Tensor =>
  execute('UnsortedSegmentSum', [values, rows, tf.scalar(count, 'int32')])

/** Adds `values [n, width]` to the rows `rows [n]` (an `indexTensor`) of `target [rows, width]` **in place**; no row is named twice. */
export function addToRows(target: Tensor, rows: Tensor, values: Tensor): void {
  // The op returns an alias of its first input.
  execute('InplaceAdd', [target, rows, values]).dispose()
}

/**
 * For logits `[n, classes]` and the class chosen in each row (an `indexTensor`): minus its log-probability, `[n]`, and the gradient of that,
 * probabilities less one at the chosen class, `[n, classes]`.
 */
export const crossEntropy = (logits: Tensor, chosen: Tensor): [Tensor, Tensor] =>
  native.executeMultipleOutputs('SparseSoftmaxCrossEntropyWithLogits', [], [logits, chosen], 2) as [Tensor, Tensor]

/** Neighbouring pairs of the last axis as complex numbers, without a copy: `[..., 2n]` becomes `[..., n]`. */
export const asComplex = (x: Tensor): Tensor => {
  const shape = [...x.shape.slice(0, -1), x.shape[x.rank - 1]! / 2, 2]
  return execute('Bitcast', [reshape(x, shape)], complex('type'))
}

/** `x [..., 2n]`, pairs read as complex numbers, times complex `factors [..., n]`: one pass turns every pair. */
export const timesComplex = (x: Tensor, factors: Tensor): Tensor => {
  const turned = execute('Mul', [asComplex(x), factors])
  return reshape(execute('Bitcast', [turned], type('type', 'float32')), x.shape)
}
