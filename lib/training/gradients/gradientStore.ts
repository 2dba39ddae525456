import { halfSquares } from '../../engine/gradientOps'
import { addInPlace } from '../../engine/resourceVariable'
import { tf } from '../../engine/tensorflow'
import type { Interleaving } from './rotaryTurns'

/** One trained tensor and the gradient that belongs to it, of the same shape. */
export interface GradientEntry {
  name: string
  weight: tf.Tensor
  gradient: tf.Tensor
}

/** A part of the gradient of something that is trained. */
export interface GradientPart {
  trained: tf.Tensor
  part: tf.Tensor
}

/** Where the backward pass leaves gradients of the decoder's weights. What is frozen is given all the same and dropped. */
export interface GradientSink {
  /** Adds a part of the gradient of one weight. It may become the gradient itself: give a tensor of the current `tidy` that nothing else uses. */
  add(weight: tf.Tensor, part: tf.Tensor): void
  /**
   * Adds what `y = x Wᵀ` contributes to the gradient of the matrix `weight [out, in]`, from `dy [rows, out]` and `x [rows, in]`, both
   * float32, or both bfloat16: then the product is made in bfloat16 too. With `interleaving`, the columns of `dy` are in its order and those of `y` are not.
   */
  addLinear(weight: tf.Tensor, dy: tf.Tensor, x: tf.Tensor, interleaving?: Interleaving): void
}

/** The same, where the update finds those of what is trained: the weights themselves (`Gradients`) or their adapters (`LoraGradients`). */
export interface GradientStore extends GradientSink {
  /** What `add` would add, by tensor that is trained. */
  parts(weight: tf.Tensor, part: tf.Tensor): GradientPart[]
  /** What `addLinear` would add. The tensors are the current `tidy`'s. */
  linearParts(weight: tf.Tensor, dy: tf.Tensor, x: tf.Tensor, interleaving?: Interleaving): GradientPart[]
  /** Takes what these returned. */
  accept(part: GradientPart): void
  /** What `linearParts` reads and trains beside the given weights, and a line that says how they belong together. */
  beside(weights: readonly tf.Tensor[]): { tensors: tf.Tensor[]; layout: string }
  /** Adds `values [n, width]` to the rows `rows` of one weight's gradient; rows may repeat. */
  addRows(weight: tf.Tensor, rows: Int32Array, values: tf.Tensor): void
  /** Everything that is trained with its gradient. The tensors stay this object's and are valid until the next `zero`. */
  entries(): GradientEntry[]
  /** Square root of the sum of all squares. */
  globalNorm(): number
  zero(): void
  dispose(): void
}

interface Slot {
  name: string
  weight: tf.Tensor
  /** None yet: zero. */
  gradient: tf.Tensor | null
}

/** A gradient for each of some tensors, zero at first; parts add up until `zero`. */
export class GradientSlots {
  private readonly slots = new Map<tf.Tensor, Slot>()

  /** Takes up a tensor; one that is there already keeps its name. */
  hold(name: string, weight: tf.Tensor): void {
    if (!this.slots.has(weight)) this.slots.set(weight, { name, weight, gradient: null })
  }

  /** The tensor's gradient. */
  of(weight: tf.Tensor): tf.Tensor {
    const slot = this.slot(weight)
    slot.gradient ??= tf.keep(tf.zerosLike(weight))
    return slot.gradient
  }

  /** `part` may become the gradient itself. */
  add(weight: tf.Tensor, part: tf.Tensor): void {
    const slot = this.slot(weight)
    if (slot.gradient) {
      addInPlace(slot.gradient, part)
      part.dispose()
    } else slot.gradient = tf.keep(part)
  }

  entries(): GradientEntry[] {
    return [...this.slots.values()].map(({ name, weight }) => ({ name, weight, gradient: this.of(weight) }))
  }

  /** Square root of the sum of all squares, of the parts of each gradient that `counted` returns. */
  globalNorm(counted: (weight: tf.Tensor, gradient: tf.Tensor) => tf.Tensor[] = (_, gradient) => [gradient]): number {
    const halves = tf.tidy(() => {
      const parts = [...this.slots.values()].flatMap(({ weight, gradient }) =>
        gradient ? counted(weight, gradient) : [],
      )
      return parts.length === 0 ? tf.zeros([0]) : tf.stack(parts.map(halfSquares))
    })
    const values = halves.dataSync()
    halves.dispose()
    let total = 0
    for (const value of values) total += 2 * value
    return Math.sqrt(total)
  }

  zero(): void {
    for (const slot of this.slots.values()) {
      slot.gradient?.dispose()
      slot.gradient = null
    }
  }

  private slot(weight: tf.Tensor): Slot {
    const slot = this.slots.get(weight)
    if (!slot)
      throw new Error('gradients: a weight of another decoder; make the gradients from the decoder being trained')
    return slot
  }
}
