import { roundStochastically, toBfloat16, toFloat32 } from '../engine/bfloat16'
import { indexTensor } from '../engine/ops'
import { ResourceVariable } from '../engine/resourceVariable'
import { deviceReport, type Tensor, tf } from '../engine/tensorflow'

/** How the optimizer holds its moments. */
export type MomentType = 'float32' | 'bf16'

/** Rows of a weight whose moments are held, and moved, together. */
export interface Piece {
  firstRow: number
  rows: number
  /** An `indexTensor` of the rows. */
  places: Tensor
  m: Moment
  v: Moment
}

/** First or second moments of some rows. */
interface Moment {
  /** As a variable, which an optimizer's op moves; `close` takes up its new values. */
  open(): ResourceVariable
  /** `seed` of rounding. */
  close(variable: ResourceVariable, seed: number): void
  /** The caller owns the tensor. */
  read(): Tensor
  dispose(): void
}

/** Numbers of one piece: what fits a processor's cache, or is worth an op's start on a GPU. */
const pieceNumbers = () => (deviceReport().device === 'GPU' ? 2 ** 24 : 2 ** 18)

/** The moments of one weight, by rows; zero, or `initial`. Whoever makes them disposes of them. */
export function momentsOf(
  shape: readonly number[],
  type: MomentType,
  initial?: { m: Float32Array; v: Float32Array },
): Piece[] {
  const rows = shape[0] ?? 1
  const width = shape.slice(1).reduce((product, n) => product * n, 1)
  const together = Math.max(1, Math.floor(pieceNumbers() / width))
  return Array.from({ length: Math.ceil(rows / together) }, (_, i) => {
    const firstRow = i * together
    const size = [Math.min(together, rows - firstRow), ...shape.slice(1)]
    const moment = (values?: Float32Array) => {
      const part = values?.subarray(firstRow * width, (firstRow + size[0]!) * width)
      const tensor = part ? tf.tensor(part, size) : tf.zeros(size)
      try {
        return type === 'bf16' ? new Bfloat16Moment(tensor) : new Float32Moment(tensor)
      } finally {
        tensor.dispose()
      }
    }
    const places = tf.keep(indexTensor(Int32Array.from({ length: size[0]! }, (_, row) => firstRow + row)))
    return { firstRow, rows: size[0]!, places, m: moment(initial?.m), v: moment(initial?.v) }
  })
}

/** Moments of all rows as numbers. */
export function momentNumbers(pieces: readonly Piece[], which: 'm' | 'v'): Float32Array {
  const parts = pieces.map((piece) => {
    const tensor = piece[which].read()
    try {
      return tensor.dataSync() as Float32Array
    } finally {
      tensor.dispose()
    }
  })
  if (parts.length === 1) return parts[0]!
  const whole = new Float32Array(parts.reduce((n, part) => n + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

class Float32Moment implements Moment {
  private readonly variable: ResourceVariable

  constructor(values: Tensor) {
    this.variable = new ResourceVariable(values)
  }

  open(): ResourceVariable {
    return this.variable
  }

  close(): void {}

  read(): Tensor {
    return this.variable.read()
  }

  dispose(): void {
    this.variable.dispose()
  }
}

class Bfloat16Moment implements Moment {
  private values: Tensor

  /** Values that bfloat16 holds: zero, or those of a checkpoint. */
  constructor(values: Tensor) {
    this.values = tf.keep(toBfloat16(values))
  }

  open(): ResourceVariable {
    const tensor = toFloat32(this.values)
    try {
      return new ResourceVariable(tensor)
    } finally {
      tensor.dispose()
    }
  }

  close(variable: ResourceVariable, seed: number): void {
    tf.tidy(() => {
      const moved = variable.read()
      variable.dispose()
      const rounded = tf.keep(toBfloat16(roundStochastically(moved, seed)))
      this.values.dispose()
      this.values = rounded
    })
  }

  read(): Tensor {
    return toFloat32(this.values)
  }

  dispose(): void {
    this.values.dispose()
  }
}
