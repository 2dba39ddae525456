import { bfloat16Product } from '../../engine/bfloat16'
import { addToRows, product, sumByRow, tidy } from '../../engine/gradientOps'
import { asIndices, indexTensor, take } from '../../engine/ops'
import { isBfloat16, tf } from '../../engine/tensorflow'
import { type DecoderWeights, type LayerWeights, layerTensors, weightTensors } from '../../model/weights'
import { type GradientEntry, type GradientPart, GradientSlots, type GradientStore } from './gradientStore'
import type { Interleaving } from './rotaryTurns'

/**
 * A gradient for each weight tensor of a decoder, zero at first; parts add up until `zero`. Tied embedding and head are
 * one tensor and have one gradient. The norms of query and key heads (`queryKeyNorm`) hold one vector for all query heads and one for
 * all key heads, repeated: each repetition carries the gradient of the shared vector, so that equal rows stay equal, and
 * `globalNorm` counts it once. Names are places in `DecoderWeights`: `embedding`, `layers.3.queryKeyValue`, `finalNorm`, `head`.
 * Whoever makes one disposes of it.
 */
export class Gradients implements GradientStore {
  private readonly slots = new GradientSlots()

  constructor(private readonly weights: DecoderWeights) {
    if (weightTensors(weights).some(isBfloat16))
      throw new Error(
        'gradients: weights in bfloat16 alone do not move; train float32 ones with `addProducts`, or adapters',
      )
    const { slots } = this
    slots.hold('embedding', weights.embedding)
    weights.layers.forEach((layer, i) => {
      for (const [name, weight] of layerTensors(layer)) slots.hold(`layers.${i}.${name}`, weight)
    })
    slots.hold('finalNorm', weights.finalNorm)
    slots.hold('head', weights.head)
  }

  entries(): GradientEntry[] {
    return this.slots.entries()
  }

  /** The gradients in the order of the weights, which `storedWeights` splits and names as a checkpoint does. */
  asWeights(): DecoderWeights {
    const { embedding, layers, finalNorm, head } = this.weights
    const { slots } = this
    return {
      embedding: slots.of(embedding) as tf.Tensor2D,
      layers: layers.map(
        (layer) =>
          Object.fromEntries(
            Object.entries({ ...layer, products: null }).map(([name, weight]) => [name, weight && slots.of(weight)]),
          ) as unknown as LayerWeights,
      ),
      finalNorm: slots.of(finalNorm),
      head: slots.of(head) as tf.Tensor2D,
    }
  }

  add(weight: tf.Tensor, part: tf.Tensor): void {
    this.slots.add(weight, part)
  }

  addLinear(weight: tf.Tensor, dy: tf.Tensor, x: tf.Tensor, interleaving?: Interleaving): void {
    for (const part of this.linearParts(weight, dy, x, interleaving)) this.accept(part)
  }

  parts(weight: tf.Tensor, part: tf.Tensor): GradientPart[] {
    return [{ trained: weight, part }]
  }

  linearParts(weight: tf.Tensor, dy: tf.Tensor, x: tf.Tensor, interleaving?: Interleaving): GradientPart[] {
    const part = tidy(() => {
      const multiply = isBfloat16(dy) ? bfloat16Product : product
      const whole = multiply(dy, x, { transposeA: true })
      return interleaving ? take(whole, asIndices(interleaving.inverse)) : whole
    })
    return [{ trained: weight, part }]
  }

  accept({ trained, part }: GradientPart): void {
    this.slots.add(trained, part)
  }

  beside(): { tensors: tf.Tensor[]; layout: string } {
    return { tensors: [], layout: 'weights' }
  }

  addRows(weight: tf.Tensor, rows: Int32Array, values: tf.Tensor): void {
    const gradient = this.slots.of(weight)
    const distinct = [...new Set(rows)]
    const order = new Map(distinct.map((row, i) => [row, i]))
    tf.tidy(() => {
      const at = indexTensor(Int32Array.from(rows, (row) => order.get(row)!))
      addToRows(gradient, indexTensor(distinct), sumByRow(values, at, distinct.length))
    })
  }

  globalNorm(): number {
    return this.slots.globalNorm((weight, gradient) => once(this.weights, weight, gradient))
  }

  zero(): void {
    this.slots.zero()
  }

  dispose(): void {
    this.zero()
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
