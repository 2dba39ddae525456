import type { CheckPrecision, MatmulRate } from '../device/checkReport'
import { bfloat16Product, inFloat32, toBfloat16 } from '../engine/bfloat16'
import { product } from '../engine/gradientOps'
import { slice } from '../engine/ops'
import { type Tensor, tf } from '../engine/tensorflow'
import { randomMatrix } from './randomMatrix'

/** Work of one measurement, in floating-point operations, on a CPU and on a GPU, and products at most. */
const WORK = { CPU: 4e10, GPU: 4e13 }
const MOST_PRODUCTS = 200

/** How fast products of two square matrices are: the best of three measurements of each size. */
export function matmulRates(
  sizes: readonly number[],
  device: 'CPU' | 'GPU',
  precision: CheckPrecision,
  onRate: (rate: MatmulRate) => void = () => {},
): MatmulRate[] {
  return sizes.map((size) => {
    const flopsOfOne = 2 * size ** 3
    const count = Math.max(2, Math.min(MOST_PRODUCTS, Math.ceil(WORK[device] / flopsOfOne)))
    const seconds = tf.tidy(() => {
      // Random numbers: a GPU multiplies equal ones faster, as they take less power.
      const operands: Tensor[] = [randomMatrix(size, size, 0), randomMatrix(size, size, 1)]
      const [a, b] = precision === 'bf16' ? operands.map(toBfloat16) : operands
      // Left in bf16: making float32 of the result is no part of a product.
      const multiply =
        precision === 'bf16' ? (x: Tensor, y: Tensor) => bfloat16Product(x, y, { narrow: true }) : product
      const times = Array.from({ length: 4 }, () => timed(() => repeated(() => multiply(a!, b!), count)))
      // The first one also chooses the kernel.
      return Math.min(...times.slice(1))
    })
    const rate = { size, precision, flops: (count * flopsOfOne) / seconds }
    onRate(rate)
    return rate
  })
}

function timed(work: () => void): number {
  const started = performance.now()
  work()
  return (performance.now() - started) / 1000
}

/** A device works behind the calls: reading a number of the last product waits for all of them. */
function repeated(multiply: () => Tensor, count: number): void {
  tf.tidy(() => {
    for (let i = 1; i < count; i++) multiply().dispose()
    inFloat32(slice(multiply(), [0, 0], [1, 1])).dataSync()
  })
}
