import { asComplex } from '../../engine/gradientOps'
import { indexBits } from '../../engine/ops'
import { tf } from '../../engine/tensorflow'
import type { ModelConfig } from '../../model/config'
import { rotaryFrequencies } from '../../model/rotary'

/**
 * Rotary embedding as products of complex numbers. With the two dimensions of each pair side by side (rows of the projection reordered by
 * `interleave`), a head's `[headDim]` reads as `[headDim / 2]` complex numbers that position p turns by `exp(i p f)`; attention is the
 * same, since queries and keys are reordered alike.
 */
export interface RotaryTurns {
  /** Of queries, scaled by 1/√headDim: `[N, heads, headDim / 2]`, complex; and their conjugates, for the way back. */
  queries: tf.Tensor
  queriesBack: tf.Tensor
  /** Of keys, `[N, keyValueHeads, headDim / 2]`. */
  keys: tf.Tensor
  keysBack: tf.Tensor
}

/** The turns of positions 0 to `N - 1`. The caller owns the tensors. */
export function rotaryTurns(config: ModelConfig, N: number): RotaryTurns {
  const frequencies = rotaryFrequencies(config)
  const table = (heads: number, scale: number, direction: 1 | -1) => {
    const width = frequencies.length * 2
    const values = new Float32Array(N * heads * width)
    for (let position = 0; position < N; position++) {
      const at = position * heads * width
      frequencies.forEach((frequency, i) => {
        values[at + 2 * i] = scale * Math.cos(position * frequency)
        values[at + 2 * i + 1] = direction * scale * Math.sin(position * frequency)
      })
      for (let head = 1; head < heads; head++) values.copyWithin(at + head * width, at, at + width)
    }
    return tf.tidy(() => asComplex(tf.tensor3d(values, [N, heads, width])))
  }
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = config
  const scale = 1 / Math.sqrt(D)
  return {
    queries: table(H, scale, 1),
    queriesBack: table(H, scale, -1),
    keys: table(K, 1, 1),
    keysBack: table(K, 1, -1),
  }
}

/** Reorders rows of the stacked query, key and value projection, and back. Each is an `indexBits`. */
export interface Interleaving {
  order: tf.Tensor
  inverse: tf.Tensor
  /** The same for the numbers of one head. */
  headOrder: tf.Tensor
  headInverse: tf.Tensor
}

/** Puts dimensions `i` and `i + headDim / 2` of each query and key head side by side. The caller owns the tensors. */
export function interleaving(config: ModelConfig): Interleaving {
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = config
  const head = Int32Array.from({ length: D }, (_, i) => (i % 2) * (D / 2) + (i >> 1))
  const rotated = (H + K) * D
  const order = Int32Array.from({ length: rotated + K * D }, (_, i) => (i < rotated ? i - (i % D) + head[i % D]! : i))
  return {
    order: indexBits(order),
    inverse: indexBits(inverted(order)),
    headOrder: indexBits(head),
    headInverse: indexBits(inverted(head)),
  }
}

function inverted(order: Int32Array): Int32Array {
  const inverse = new Int32Array(order.length)
  order.forEach((from, to) => {
    inverse[from] = to
  })
  return inverse
}
