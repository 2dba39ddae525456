import { add, constantIndices, multiply, scalar, subtract } from './ops'
import { execute, flag, isBfloat16, type Tensor, tf, type } from './tensorflow'

// A bfloat16 tensor is a tf.Tensor that `tidy`, `Scope` and `dispose` own like any other: no id is ever held beside it. tfjs takes
// it for float32; an op of tfjs given one throws, and so does reading its numbers.

/** The same numbers, each rounded to the nearest of bfloat16: the exponents of float32, 7 bits of mantissa, half the memory. */
export const toBfloat16 = (x: Tensor): Tensor => execute('Cast', [x], ...TO_BFLOAT16)

/** The numbers of a bfloat16 tensor in float32. */
export const toFloat32 = (x: Tensor): Tensor => execute('Cast', [x], ...TO_FLOAT32)

/** A tensor in float32, itself if it is already. */
export const inFloat32 = (x: Tensor): Tensor => (isBfloat16(x) ? toFloat32(x) : x)

const TO_BFLOAT16 = [type('DstT', 'bfloat16')]
const TO_FLOAT32 = [type('DstT', 'float32')]
const T = type('T', 'bfloat16')

interface ProductOptions {
  transposeA?: boolean
  transposeB?: boolean
  /** Leaves the result in bfloat16. */
  narrow?: boolean
}

/**
 * Product of two matrices in bfloat16, either of them transposed: operands that are float32 are rounded first, sums are made in
 * float32, and the result, rounded to bfloat16 once, is float32 unless `narrow` asks for bfloat16. For few rows `x Wᵀ` with `W [out, in]` is the fastest form.
 * Nothing but the result is left, an error included.
 */
export function bfloat16Product(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false, narrow = false }: ProductOptions = {},
): Tensor {
  // Freed one by one: a `tidy` for each product is a tenth of a decoding step.
  const made: Tensor[] = []
  const operand = (x: Tensor) => {
    if (isBfloat16(x)) return x
    const rounded = toBfloat16(x)
    made.push(rounded)
    return rounded
  }
  try {
    const flags = [flag('transpose_a', transposeA), flag('transpose_b', transposeB)]
    const product = execute('MatMul', [operand(a), operand(b)], T, ...flags)
    if (narrow) return product
    made.push(product)
    return toFloat32(product)
  } finally {
    for (const tensor of made) tensor.dispose()
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
    const noise = multiply(subtract(floats(beyond), floats(power)), scalar(2 ** -7))
    return floats(bitwise('BitwiseAnd', bits(add(x, noise)), KEPT))
  })
}

/**
 * 32 random bits for each number of a shape. Those of a matrix are one of each row combined with one of each column by exclusive or,
 * any two independent: drawing them all would take ten times as long as all the rest.
 */
function randomBits(shape: readonly number[], seed: number): Tensor {
  const draw = (size: number[], stream: number) =>
    execute(
      'StatelessRandomUniformFullInt',
      [tf.tensor1d(size, 'int32'), tf.tensor1d([seed, stream], 'int32')],
      type('dtype', 'int32'),
      type('T', 'int32'),
      type('Tseed', 'int32'),
    )
  if (shape.length < 2) return draw([...shape], 0)
  const [rows, ...rest] = shape as [number, ...number[]]
  return bitwise('BitwiseXor', draw([rows, ...rest.map(() => 1)], 0), draw([1, ...rest], 1))
}

const bits = (x: Tensor): Tensor => execute('Bitcast', [x], type('type', 'int32'))
const floats = (x: Tensor): Tensor => execute('Bitcast', [x], type('T', 'int32'), type('type', 'float32'))
// No additions: a GPU has none for 32-bit integers.
const bitwise = (op: 'BitwiseAnd' | 'BitwiseOr' | 'BitwiseXor', x: Tensor, y: Tensor | number): Tensor =>
  execute(op, [x, typeof y === 'number' ? constantIndices([y], []) : y], type('T', 'int32'))
