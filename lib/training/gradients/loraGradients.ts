import { inFloat32 } from '../../engine/bfloat16'
import { product, tidy } from '../../engine/gradientOps'
import { asIndices, concat, multiply, pad, scalar, slice, take } from '../../engine/ops'
import { tf } from '../../engine/tensorflow'
import type { LoraAdapters } from '../../model/loraAdapters'
import { type GradientEntry, type GradientPart, GradientSlots, type GradientStore } from './gradientStore'
import type { Interleaving } from './rotaryTurns'

/**
 * Gradients of adapters alone. With `y = x (W + s B A)ᵀ`, the chain rule gives `dA = s Bᵀ dW` and `dB = s dW Aᵀ` where `dW = dyᵀ x`;
 * they are computed as `s (dy B)ᵀ x` and `s dyᵀ (x Aᵀ)`, so that no gradient as large as W ever exists. Names are those of the
 * matrices with `.lora_A` and `.lora_B`. Whoever makes one disposes of it.
 */
export class LoraGradients implements GradientStore {
  private readonly slots = new GradientSlots()

  constructor(private readonly adapters: LoraAdapters) {
    for (const { name, a, b } of adapters.adapters) {
      this.slots.hold(`${name}.lora_A`, a)
      this.slots.hold(`${name}.lora_B`, b)
    }
  }

  /** Norms and biases are frozen. */
  add(): void {}

  addLinear(weight: tf.Tensor, dOutput: tf.Tensor, input: tf.Tensor, interleaving?: Interleaving): void {
    for (const part of this.linearParts(weight, dOutput, input, interleaving)) this.accept(part)
  }

  parts(): GradientPart[] {
    return []
  }

  linearParts(weight: tf.Tensor, dOutput: tf.Tensor, input: tf.Tensor, interleaving?: Interleaving): GradientPart[] {
    const own = this.adapters.of(weight)
    if (own.length === 0) return []
    const { scale } = this.adapters
    const { rank } = this.adapters.options
    const outputs = weight.shape[0]!
    const [dA, dB] = tidy(() => {
      const [dy, x] = [inFloat32(dOutput), inFloat32(input)]
      // Matrices that are stacked in one weight: their A stacked, their B side by side, each on the rows of its matrix.
      const a = concat(
        own.map((adapter) => adapter.a),
        0,
      )
      const wide = own.map(({ b, firstRow, rows }) =>
        rows === outputs
          ? b
          : pad(b, [
              [firstRow, outputs - firstRow - rows],
              [0, 0],
            ]),
      )
      const stacked = concat(wide, 1)
      const b = interleaving ? take(stacked, asIndices(interleaving.order)) : stacked
      const dB = product(dy, product(x, a, { transposeB: true }), { transposeA: true })
      return [
        product(product(dy, b), x, { transposeA: true }),
        interleaving ? take(dB, asIndices(interleaving.inverse)) : dB,
      ]
    }) as [tf.Tensor, tf.Tensor]
    const part = (of: tf.Tensor, begin: number[], size: number[]) =>
      tf.tidy(() => multiply(slice(of, begin, size), scalar(scale)))
    const parts = own.flatMap(({ a, b, columns, firstRow, rows }, i) => [
      { trained: a, part: part(dA, [i * rank, 0], [rank, columns]) },
      { trained: b, part: part(dB, [firstRow, i * rank], [rows, rank]) },
    ])
    tf.dispose([dA, dB])
    return parts
  }

  accept({ trained, part }: GradientPart): void {
    this.slots.add(trained, part)
  }

  beside(weights: readonly tf.Tensor[]): { tensors: tf.Tensor[]; layout: string } {
    const { scale, options } = this.adapters
    const own = weights.map((weight) => this.adapters.of(weight))
    const places = own.map((adapters) => adapters.map(({ firstRow, rows, columns }) => [firstRow, rows, columns]))
    return {
      tensors: own.flat().flatMap(({ a, b }) => [a, b]),
      layout: `adapters ${scale} ${options.rank} ${JSON.stringify(places)}`,
    }
  }

  /** Embeddings are frozen. */
  addRows(): void {}

  entries(): GradientEntry[] {
    return this.slots.entries()
  }

  globalNorm(): number {
    return this.slots.globalNorm()
  }

  zero(): void {
    this.slots.zero()
  }

  dispose(): void {
    this.zero()
  }
}
