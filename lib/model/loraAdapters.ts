import { add, indexTensor, matMul, multiply, scalar, slice, writeRows } from '../engine/ops'
import { execute, isBfloat16, tf } from '../engine/tensorflow'
import { randomStream } from '../random/randomStream'
import type { Decoder } from './decoder'
import { type AdaptedMatrix, adaptedMatrices, type LoraOptions } from './lora'
import type { LayerWeights } from './weights'

/** The two factors of one adapted matrix. */
export interface Adapter extends AdaptedMatrix {
  /** `[rank, columns]` */
  a: tf.Tensor2D
  /** `[rows, rank]` */
  b: tf.Tensor2D
}

/** The factors of one matrix as numbers, row-major. */
export interface AdapterNumbers {
  a: Float32Array
  b: Float32Array
}

/**
 * The adapters of a decoder that is being trained. The decoder's matrices hold `W + scale · B A` itself, so that decoding, observers and
 * gradients need to know nothing of adapters and cost nothing more; the frozen W of the adapted matrices is kept beside
 * them, and `apply` makes the sums anew from it, so that no rounding gathers. The price is a second copy of the adapted matrices.
 * A matrix in bfloat16 would round the adapters away: it stays as it is, without a copy, and products add `x (scale · B A)ᵀ` in float32.
 */
export class LoraAdapters {
  readonly scale: number
  private readonly byWeight = new Map<tf.Tensor, Adapter[]>()
  private readonly frozen = new Map<tf.Tensor, tf.Tensor>()
  private readonly layers: readonly LayerWeights[]

  private constructor(
    readonly options: LoraOptions,
    readonly adapters: readonly Adapter[],
    decoder: Decoder,
  ) {
    this.scale = options.alpha / options.rank
    this.layers = decoder.weights.layers
    for (const adapter of adapters) {
      const weight = decoder.weights.layers[adapter.layer]![adapter.weight]
      const others = this.byWeight.get(weight)
      if (others) others.push(adapter)
      else {
        this.byWeight.set(weight, [adapter])
        if (isBfloat16(weight)) this.putBeside(adapter)
        else this.frozen.set(weight, tf.keep(execute('DeepCopy', [weight])))
      }
    }
  }

  /**
   * New adapters of a decoder, which stays as it is until they are trained: B is zero, A uniform in ±1/√columns (as peft begins).
   * The same seed gives the same numbers. The caller disposes of them.
   */
  static begin(decoder: Decoder, options: LoraOptions, seed: number): LoraAdapters {
    const adapters = adaptedMatrices(decoder.config, options).map((matrix, i) => {
      const stream = randomStream(seed, i)
      const bound = 1 / Math.sqrt(matrix.columns)
      const a = Float32Array.from({ length: options.rank * matrix.columns }, () => (2 * stream.uniform() - 1) * bound)
      return adapterOf(matrix, options.rank, { a, b: new Float32Array(matrix.rows * options.rank) })
    })
    return new LoraAdapters(options, adapters, decoder)
  }

  /** Adapters that were saved, applied to the decoder that they belong to. */
  static async restore(
    decoder: Decoder,
    options: LoraOptions,
    read: (matrix: AdaptedMatrix) => Promise<AdapterNumbers>,
  ): Promise<LoraAdapters> {
    const matrices = adaptedMatrices(decoder.config, options)
    const numbers: AdapterNumbers[] = []
    for (const matrix of matrices) numbers.push(await read(matrix))
    const adapters = matrices.map((matrix, i) => adapterOf(matrix, options.rank, numbers[i]!))
    const restored = new LoraAdapters(options, adapters, decoder)
    restored.apply()
    return restored
  }

  /** Those of one tensor of the decoder, by row; empty where it is frozen. */
  of(weight: tf.Tensor): readonly Adapter[] {
    return this.byWeight.get(weight) ?? []
  }

  /** Makes the decoder's matrices the sums of what is frozen and the adapters as they are now, in place. */
  apply(): void {
    for (const [weight, adapters] of this.byWeight) {
      const frozen = this.frozen.get(weight)
      if (!frozen) {
        for (const adapter of adapters) this.putBeside(adapter)
        continue
      }
      for (const { a, b, firstRow, rows, columns } of adapters)
        tf.tidy(() => {
          const own = slice(frozen, [firstRow, 0], [rows, columns])
          const range = Int32Array.from({ length: rows }, (_, i) => firstRow + i)
          writeRows(weight, indexTensor(range), adapted(own, a, b, this.scale))
        })
    }
  }

  /** Gives the products of a matrix in bfloat16 the adapter as it is now. */
  private putBeside({ layer, weight, a, b }: Adapter): void {
    if (weight === 'queryKeyValue') throw new Error('adapters: queries, keys and values in bfloat16 are not supported')
    const narrow = this.layers[layer]!.products![weight]
    narrow.adapter?.b.dispose()
    narrow.adapter = { a, b: tf.tidy(() => tf.keep(multiply(b, scalar(this.scale)))) }
  }

  /** The decoder's matrices keep what they are, but for those in bfloat16, which lose their adapters. */
  dispose(): void {
    for (const { layer, weight } of this.adapters) {
      const narrow = weight === 'queryKeyValue' ? null : this.layers[layer]!.products?.[weight]
      if (!narrow?.adapter) continue
      narrow.adapter.b.dispose()
      narrow.adapter = null
    }
    for (const { a, b } of this.adapters) tf.dispose([a, b])
    for (const tensor of this.frozen.values()) tensor.dispose()
    this.frozen.clear()
  }
}

/** `W + scale · B A`, `[rows, columns]`. */
export function adapted(w: tf.Tensor, a: tf.Tensor, b: tf.Tensor, scale: number): tf.Tensor {
  return tf.tidy(() => add(w, multiply(matMul(b, a), scalar(scale))))
}

function adapterOf(matrix: AdaptedMatrix, rank: number, { a, b }: AdapterNumbers): Adapter {
  return { ...matrix, a: tf.tensor2d(a, [rank, matrix.columns]), b: tf.tensor2d(b, [matrix.rows, rank]) }
}
