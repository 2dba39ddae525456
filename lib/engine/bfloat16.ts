import { add, multiply, scalar } from './ops'
import { execute, type Tensor, tf, type } from './tensorflow'

/** The binding's raw calls. tfjs has no such number type: a tensor is an id, and those that an op returns belong to the caller. */
interface RawBackend {
  binding: {
    TF_ATTR_TYPE: number
    TF_ATTR_BOOL: number
    TF_FLOAT: number
    executeOp(name: string, attributes: object[], ids: number[], outputs: number): { id: number }[]
    deleteTensor(id: number): void
  }
  getInputTensorIds(tensors: Tensor[]): number[]
  createOutputTensor(metadata: object): Tensor
  executeSingleOutput(name: string, attributes: object[], inputs: Tensor[]): Tensor
}

const backend = tf.backend() as unknown as RawBackend
const { binding } = backend
/** TensorFlow's number of the type. */
const BFLOAT16 = 14

function cast(id: number, from: number, to: number): { id: number } {
  const attribute = (name: string, value: number) => ({ name, type: binding.TF_ATTR_TYPE, value })
  const truncate = { name: 'Truncate', type: binding.TF_ATTR_BOOL, value: false }
  return binding.executeOp('Cast', [attribute('SrcT', from), attribute('DstT', to), truncate], [id], 1)[0]!
}

/** A tensor of bfloat16 numbers: the exponents of float32, 7 bits of mantissa, half the memory. Lives until `dispose`. */
export class Bfloat16Tensor {
  /** How many are alive in this process. */
  static held = 0
  private id: number | null

  /** Takes the values of a float32 tensor, each rounded to the nearest. */
  constructor(values: Tensor) {
    this.id = cast(backend.getInputTensorIds([values])[0]!, binding.TF_FLOAT, BFLOAT16).id
    Bfloat16Tensor.held++
  }

  /** The same values in float32; the caller owns the tensor. */
  toFloat32(): Tensor {
    if (this.id === null) throw new Error('a bfloat16 tensor was used after it was disposed')
    return backend.createOutputTensor(cast(this.id, BFLOAT16, binding.TF_FLOAT))
  }

  dispose(): void {
    if (this.id === null) return
    binding.deleteTensor(this.id)
    this.id = null
    Bfloat16Tensor.held--
  }
}

const SIGN_AND_EXPONENT = 0xff800000 | 0
/** The bits of a float32 that a bfloat16 has. */
const KEPT = 0xffff0000 | 0
/** The upper 16 of the 23 bits of mantissa. */
const UPPER_MANTISSA = 0x007fff80

/**
 * Float32 numbers rounded to those of bfloat16, up or down at random, so that each is right on average: a number between two
 * neighbours becomes the farther one of its distance's share of the time. Any two are rounded independently of each other. The same
 * seed, a whole number below 2³¹, gives the same bits.
 */
export function roundStochastically(x: Tensor, seed: number): Tensor {
  return tf.tidy(() => {
    const random = randomBits(x.shape, seed)
    // Of each number its power of two, with its sign; then the same with 16 random bits behind it: their difference, moved by the
    // 7 bits that are kept, is uniform between zero and the distance of two neighbours, and adding it is exact.
    const power = bitwise('BitwiseAnd', bits(x), SIGN_AND_EXPONENT)
    const beyond = bitwise('BitwiseOr', power, bitwise('BitwiseAnd', random, UPPER_MANTISSA))
    const noise = multiply(execute('Sub', [floats(beyond), floats(power)]), scalar(2 ** -7))
    return floats(bitwise('BitwiseAnd', bits(add(x, noise)), KEPT))
  })
}

/**
 * 32 random bits for each number of a shape. Those of a matrix are one of each row combined with one of each column by exclusive or,
 * any two independent: drawing them all would take ten times as long as all the rest.
 */
function randomBits(shape: readonly number[], seed: number): Tensor {
  const draw = (size: number[], stream: number) =>
    backend.executeSingleOutput(
      'StatelessRandomUniformFullInt',
      [type('dtype', 'int32'), type('T', 'int32'), type('Tseed', 'int32')],
      [tf.tensor1d(size, 'int32'), tf.tensor1d([seed, stream], 'int32')],
    )
  if (shape.length < 2) return draw([...shape], 0)
  const [rows, ...rest] = shape as [number, ...number[]]
  return bitwise('BitwiseXor', draw([rows, ...rest.map(() => 1)], 0), draw([1, ...rest], 1))
}

const bits = (x: Tensor): Tensor => execute('Bitcast', [x], type('type', 'int32'))
const floats = (x: Tensor): Tensor =>
  backend.executeSingleOutput('Bitcast', [type('T', 'int32'), type('type', 'float32')], [x])
// No additions: a GPU has none for 32-bit integers.
const bitwise = (op: 'BitwiseAnd' | 'BitwiseOr' | 'BitwiseXor', x: Tensor, y: Tensor | number): Tensor =>
  backend.executeSingleOutput(op, [type('T', 'int32')], [x, typeof y === 'number' ? tf.scalar(y, 'int32') : y])
