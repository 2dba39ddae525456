import { declareConstant, forgetConstant } from './oneCall'
import {
  deviceReport,
  execute,
  executeAll,
  executeFast,
  flag,
  integer,
  type Tensor,
  text,
  tf,
  type,
  typeOf,
} from './tensorflow'

/** Products with fewer rows than this on either side are faster without oneDNN. */
export const ONE_DNN_ROWS = 64
/** The same for batched products and softmax: a decoding step has a row a head. */
const ONE_DNN_BATCH_ROWS = 16

/** `a [m, k] · b [k, n]`, or `b [n, k]` with `transposeB`. TensorFlow's MatMul: faster than tfjs's batched one for few rows. */
export const matMul = (a: Tensor, b: Tensor, transposeB = false): tf.Tensor2D => {
  const narrow = Math.min(a.shape[0]!, b.shape[transposeB ? 0 : 1]!)
  const run = narrow < ONE_DNN_ROWS ? execute : executeFast
  return run('MatMul', [a, b], flag('transpose_a', false), flag('transpose_b', transposeB))
}

const forRows = (a: Tensor) => (a.shape[a.rank - 2]! < ONE_DNN_BATCH_ROWS ? execute : executeFast)

/** Products of the last two axes, the leading axes broadcast. */
export const batchMatMul = (a: Tensor, b: Tensor, transposeB = false): Tensor =>
  forRows(a)('BatchMatMulV2', [a, b], flag('adj_x', false), flag('adj_y', transposeB))

export const add = (a: Tensor, b: Tensor): Tensor => execute('AddV2', [a, b])
export const subtract = (a: Tensor, b: Tensor): Tensor => execute('Sub', [a, b])
export const multiply = (a: Tensor, b: Tensor): Tensor => execute('Mul', [a, b])
export const lessEqual = (a: Tensor, b: Tensor): Tensor => execute('LessEqual', [a, b])
/** `a` where the condition holds, `b` elsewhere. */
export const select = (condition: Tensor, a: Tensor, b: Tensor): Tensor => execute('SelectV2', [condition, a, b])
/** `x · sigmoid(gate)` in one pass: what TensorFlow calls the gradient of softplus. */
export const timesSigmoid = (x: Tensor, gate: Tensor): Tensor => execute('SoftplusGrad', [x, gate])
export const silu = (a: Tensor): Tensor => timesSigmoid(a, a)
/** Over the last axis. */
export const softmax = (a: Tensor): Tensor => forRows(a)('Softmax', [a])

/** Axes, permutations, shapes and small scalars, kept outside every `tidy`, least recently used first. */
const constants = new Map<string, Tensor>()
const MOST_CONSTANTS = 2000

function constant(values: readonly number[], kind: 'int32' | 'float32' | 'indices', shape = [values.length]): Tensor {
  const key = `${kind}${values}:${shape}`
  const known = constants.get(key)
  const make = () => (kind === 'indices' ? indexTensor(values, shape) : tf.tensor([...values], shape, kind))
  const held = known && !known.isDisposed ? known : tf.keep(make())
  if (held !== known && kind !== 'indices') declareConstant(held, values, kind)
  constants.delete(key)
  constants.set(key, held)
  if (constants.size > MOST_CONSTANTS) {
    // Never one that the op at hand has just asked for: those are the newest.
    const [oldest, tensor] = constants.entries().next().value as [string, Tensor]
    constants.delete(oldest)
    forgetConstant(tensor)
    tensor.dispose()
  }
  return held
}

/** A float32 scalar constant. */
export const scalar = (value: number): Tensor => constant([value], 'float32', [])

/**
 * Whole numbers for an op that reads them where it computes: rows to take or to write, chosen classes, bits. TensorFlow keeps those of JavaScript in host
 * memory and hands them to a GPU anew for every op that reads them, each time waiting for all work before; these are handed over once,
 * as the bits of float32 numbers. (Axes, shapes and seeds are read on the host.) The caller's `tidy` or `Scope` owns the result.
 */
export function indexTensor(values: ArrayLike<number>, shape: readonly number[] = [values.length]): tf.Tensor1D {
  const bits = indexBits(values, shape)
  if (bits.dtype === 'int32') return bits as tf.Tensor1D
  try {
    return asIndices(bits)
  } finally {
    bits.dispose()
  }
}

/** What becomes an `indexTensor` by `asIndices`: how a function of `inOneCall` takes one, since TensorFlow hands functions whole numbers in host memory. */
export function indexBits(values: ArrayLike<number>, shape: readonly number[] = [values.length]): Tensor {
  const whole = Int32Array.from(values)
  return deviceReport().device === 'CPU'
    ? tf.tensor(whole, [...shape], 'int32')
    : tf.tensor(new Float32Array(whole.buffer), [...shape])
}

/** The numbers of `indexBits`: on a CPU the tensor itself, else one that the caller's `tidy` owns. */
export const asIndices = (bits: Tensor): tf.Tensor1D =>
  bits.dtype === 'int32' ? (bits as tf.Tensor1D) : execute('Bitcast', [bits], type('type', 'int32'))

/** As `indexTensor`, of a few numbers that are needed again and again: kept outside every `tidy`, and not the caller's to dispose. */
export const constantIndices = (values: readonly number[], shape?: number[]): Tensor =>
  constant(values, 'indices', shape)

/** Entries `indices [n]` of `a` along an axis (an `indexTensor`), in that order; an entry may be taken twice. */
export const take = (a: Tensor, indices: Tensor, axis = 0): Tensor =>
  execute('GatherV2', [a, indices, constant([axis], 'int32', [])])

/** Of each row of `a [rows, width]` the number in the column that `columns [rows, 1]` (an `indexTensor`) names: `[rows, 1]`. */
export const takeColumns = (a: Tensor, columns: Tensor): Tensor =>
  execute('GatherV2', [a, columns, constant([1], 'int32', [])], integer('batch_dims', 1))

/** Mean over the last axis, kept as an axis of one. */
export const meanOfLast = (a: Tensor): Tensor => execute('Mean', [a, constant([-1], 'int32')], flag('keep_dims', true))

/** Sum over one axis. */
export const sumOver = (a: Tensor, axis: number): Tensor =>
  execute('Sum', [a, constant([axis], 'int32')], flag('keep_dims', false))

/** Reorders the axes. */
export const transpose = (a: Tensor, order: number[]): Tensor => execute('Transpose', [a, constant(order, 'int32')])

/** The same numbers in another shape, without a copy. A third of the cost of tfjs's own. */
export const reshape = (a: Tensor, shape: readonly number[]): Tensor =>
  execute('Reshape', [a, constant(shape, 'int32')])

/** The part of `size` that begins at `begin`. */
export const slice = (a: Tensor, begin: readonly number[], size: readonly number[]): Tensor =>
  execute('Slice', [a, constant(begin, 'int32'), constant(size, 'int32')])

const TWO_PARTS = [integer('num_split', 2), type('Tlen', 'int32')]

/** The two parts of `a` along an axis that have so many numbers each: one op where `slice` takes two. */
export const splitInTwo = (a: Tensor, axis: number, first: number, second: number): [Tensor, Tensor] => {
  const places = [constant([first, second], 'int32'), constant([axis], 'int32', [])]
  return executeAll('SplitV', [a, ...places], 2, ...TWO_PARTS) as [Tensor, Tensor]
}

/** Tensors one after the other along an axis; one alone is returned itself. */
export const concat = (parts: readonly Tensor[], axis: number): Tensor => {
  if (parts.length === 1) return parts[0]!
  // TensorFlow does not infer these of a list.
  const attributes = [typeOf('T', parts[0]!), integer('N', parts.length), type('Tidx', 'int32')]
  return execute('ConcatV2', [...parts, constant([axis], 'int32', [])], ...attributes)
}

/** A tensor of ones. */
export const ones = (shape: readonly number[]): Tensor => execute('Fill', [constant(shape, 'int32'), scalar(1)])

/** Zeros around `a`: so many before and after the numbers of each axis. */
export const pad = (a: Tensor, around: readonly (readonly [before: number, after: number])[]): Tensor =>
  execute('PadV2', [a, constant(around.flat(), 'int32', [around.length, 2]), scalar(0)])

/**
 * Diagonals of the last two axes: of `a [..., rows, columns]` the numbers `a[..., r, last - d + r]` for d from 0 to `count` - 1, as
 * `[..., count, rows]`, with zeros where the column would be below 0. Every row needs a column `last + r`.
 */
export const diagonals = (a: Tensor, last: number, count: number): Tensor => {
  const band = [constant([last - count + 1, last], 'int32'), scalar(0)]
  // TensorFlow leaves out the axis of a single diagonal.
  return reshape(execute('MatrixDiagPartV3', [a, ...band], text('align', 'RIGHT_RIGHT')), [
    ...a.shape.slice(0, -2),
    count,
    a.shape[a.rank - 2]!,
  ])
}

/** Rotates the last axis by half its length: `[x1, x2]` becomes `[x2, x1]`. Several times faster than TensorFlow's Roll. */
export const swapHalves = (a: Tensor): Tensor => {
  const width = a.shape[a.rank - 1]!
  const halves = reshape(a, [-1, 2, width / 2])
  return reshape(execute('ReverseV2', [halves, constant([1], 'int32')]), a.shape)
}

/** Writes rows `values [n, width]` at `rows [n]` (an `indexTensor`) into `target [rows, width]` **in place**, without a copy. */
export function writeRows(target: Tensor, rows: tf.Tensor1D, values: Tensor): void {
  // The op returns an alias of its first input.
  execute('InplaceUpdate', [target, rows, values]).dispose()
}

/** RMSNorm over the last axis: `x / sqrt(mean(x²) + eps) · weight`. */
export const rmsNorm = (x: Tensor, weight: Tensor, epsilon: number): Tensor => {
  const meanSquare = meanOfLast(execute('Square', [x]))
  return multiply(multiply(x, execute('Rsqrt', [add(meanSquare, scalar(epsilon))])), weight)
}
