import { addToRows, halfSquares, sumByRow } from '../../engine/gradientOps'
import { addInPlace } from '../../engine/resourceVariable'
import { tf } from '../../engine/tensorflow'
import type { DecoderWeights, LayerWeights } from '../../model/weights'

interface Slot {
  name: string
  weight: tf.Tensor
  /** None yet: zero. */
  gradient: tf.Tensor | null
}

/** One weight and the gradient that belongs to it, of the same shape. */
export interface GradientEntry {
  /** Where the weight is in `DecoderWeights`: `embedding`, `layers.3.queryKeyValue`, `finalNorm`, `head`. */
  name: string
  weight: tf.Tensor
  gradient: tf.Tensor
}

/**
 * A gradient for each weight tensor of a decoder, zero at first; parts add up until `zero`. Tied embedding and head are
 * one tensor and have one gradient. The norms of query and key heads (`queryKeyNorm`) hold one vector for all query heads and one for
 * all key heads, repeated: each repetition carries the gradient of the shared vector, so that equal rows stay equal, and
 * `globalNorm` counts it once. Whoever makes one disposes of it.
 */
export class Gradients {
  private readonly slots = new Map<tf.Tensor, Slot>()

  constructor(private readonly weights: DecoderWeights) {
    const hold = (name: string, weight: tf.Tensor | null) => {
      if (weight && !this.slots.has(weight)) this.slots.set(weight, { name, weight, gradient: null })
    }
    hold('embedding', weights.embedding)
    weights.layers.forEach((layer, i) => {
      for (const [name, weight] of Object.entries(layer)) hold(`layers.${i}.${name}`, weight as tf.Tensor | null)
    })
    hold('finalNorm', weights.finalNorm)
    hold('head', weights.head)
  }

  /** Every weight with its gradient. The tensors stay this object's and are valid until the next `zero`. */
  entries(): GradientEntry[] {
    return [...this.slots.values()].map(({ name, weight }) => ({ name, weight, gradient: this.of(weight) }))
  }

  /** The gradients in the order of the weights, which `storedWeights` splits and names as a checkpoint does. */
  asWeights(): DecoderWeights {
    const { embedding, layers, finalNorm, head } = this.weights
    return {
      embedding: this.of(embedding) as tf.Tensor2D,
      layers: layers.map(
        (layer) =>
          Object.fromEntries(
            Object.entries(layer).map(([name, weight]) => [name, weight && this.of(weight as tf.Tensor)]),
          ) as unknown as LayerWeights,
      ),
      finalNorm: this.of(finalNorm),
      head: this.of(head) as tf.Tensor2D,
    }
  }

  /** Adds a part of the gradient of one weight. It may become the gradient itself: give a tensor that nothing else uses. */
  add(weight: tf.Tensor, part: tf.Tensor): void {
    const slot = this.slot(weight)
    if (slot.gradient) {
      addInPlace(slot.gradient, part)
      part.dispose()
    } else slot.gradient = tf.keep(part)
  }

  /** Adds `values [n, width]` to the rows `rows` of one weight's gradient; rows may repeat. */
  addRows(weight: tf.Tensor, rows: Int32Array, values: tf.Tensor): void {
    const gradient = this.of(weight)
    const distinct = [...new Set(rows)]
    const order = new Map(distinct.map((row, i) => [row, i]))
    tf.tidy(() => {
      const at = tf.tensor1d(
        Int32Array.from(rows, (row) => order.get(row)!),
        'int32',
      )
      addToRows(gradient, tf.tensor1d(distinct, 'int32'), sumByRow(values, at, distinct.length))
    })
  }

  /** Square root of the sum of all squares. */
  globalNorm(): number {
    const halves = tf.tidy(() => {
      const parts: tf.Tensor[] = []
      for (const { weight, gradient } of this.slots.values())
        if (gradient) parts.push(...once(this.weights, weight, gradient))
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

  dispose(): void {
    this.zero()
  }

  private of(weight: tf.Tensor): tf.Tensor {
    const slot = this.slot(weight)
    slot.gradient ??= tf.keep(tf.zerosLike(weight))
    return slot.gradient
  }

  private slot(weight: tf.Tensor): Slot {
    const slot = this.slots.get(weight)
    if (!slot)
      throw new Error('gradients: a weight of another decoder; make the gradients from the decoder being trained')
    return slot
  }
}

/** The gradient without its repetitions. */
function once(weights: DecoderWeights, weight: tf.Tensor, gradient: tf.Tensor): tf.Tensor[] {
  const layer = weights.layers.find((l) => l.queryKeyNorm === weight)
  if (!layer) return [gradient]
  const width = gradient.shape[1]!
  const queryHeads = layer.output.shape[1]! / width
  return [0, queryHeads].map((row) => tf.slice(gradient, [row, 0], [1, width]))
}
