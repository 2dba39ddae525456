import { add, multiply, reshape, swapHalves } from '../engine/ops'
import { deviceReport, tf } from '../engine/tensorflow'
import type { ModelConfig } from './config'

/**
 * Angular frequency of each pair of dimensions, in radians per token, `[headDim / 2]`, with the checkpoint's scaling
 * (`linear`: all divided by the factor; `llama3`: only wavelengths beyond the original context, smoothly joined).
 */
export function rotaryFrequencies(config: ModelConfig): Float64Array {
  const { headDim, ropeTheta, ropeScaling } = config
  return Float64Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = ropeTheta ** ((-2 * i) / headDim)
    if (!ropeScaling) return frequency
    if (ropeScaling.ropeType === 'linear') return frequency / ropeScaling.factor
    const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = ropeScaling
    const periods = (originalMaxPositionEmbeddings * frequency) / (2 * Math.PI)
    const kept = Math.min(1, Math.max(0, (periods - lowFreqFactor) / (highFreqFactor - lowFreqFactor)))
    return kept * frequency + ((1 - kept) * frequency) / factor
  })
}

/**
 * Tables with which `x · cos + swapHalves(x) · signedSin` rotates queries and keys and divides both by the fourth root of headDim, so
 * that their product is divided by √headDim; each `[positions, 1, headDim]`.
 */
export interface RotaryTables {
  cos: tf.Tensor3D
  signedSin: tf.Tensor3D
}

/** The tables for the given positions. The caller owns the tensors. */
export function rotaryTables(config: ModelConfig, positions: ArrayLike<number>): RotaryTables {
  const frequencies = rotaryFrequencies(config)
  const half = frequencies.length
  const scale = config.headDim ** -0.25
  const cos = new Float32Array(positions.length * half * 2)
  const signedSin = new Float32Array(cos.length)
  for (let p = 0; p < positions.length; p++) {
    for (let i = 0; i < half; i++) {
      const angle = positions[p]! * frequencies[i]!
      const at = p * half * 2 + i
      cos[at] = cos[at + half] = Math.cos(angle) * scale
      signedSin[at + half] = Math.sin(angle) * scale
      signedSin[at] = -signedSin[at + half]!
    }
  }
  const shape: [number, number, number] = [positions.length, 1, half * 2]
  return { cos: tf.tensor3d(cos, shape), signedSin: tf.tensor3d(signedSin, shape) }
}

/**
 * The same for one token of each sequence, at the given positions, as one product: `[sequences, heads, headDim]` (`[heads, headDim]` of one
 * sequence) times these matrices, `[sequences, headDim, headDim]`, or one where all are at the same position. A few ops less than with the
 * tables. Call it within a `tidy`.
 */
export function rotations(config: ModelConfig, positions: readonly number[]): tf.Tensor {
  const D = config.headDim
  const distinct = new Set(positions).size === 1 ? positions.slice(0, 1) : positions
  const matrices =
    deviceReport().device === 'GPU' ? rotationsOnDevice(config, distinct) : rotationMatrices(config, distinct)
  return distinct.length === 1 ? reshape(matrices, [D, D]) : matrices
}

/** The same matrices made of rows of cosines and sines: for a GPU, which is handed a headDim-th of the numbers. More ops: slower on a CPU. */
export function rotationsOnDevice(config: ModelConfig, positions: readonly number[]): tf.Tensor {
  const { cos, signedSin } = rotaryTables(config, positions)
  const [identity, swapped] = planes(config.headDim)
  return add(multiply(cos, identity), multiply(signedSin, swapped))
}

/** Of each head size the identity, and the same with the halves of its columns swapped, `[headDim, headDim]`: kept outside every `tidy`. */
const knownPlanes = new Map<number, [tf.Tensor, tf.Tensor]>()

function planes(headDim: number): [tf.Tensor, tf.Tensor] {
  const known = knownPlanes.get(headDim)
  if (known && !known[0].isDisposed) return known
  const made = tf.tidy(() => {
    const identity = tf.eye(headDim)
    return [tf.keep(identity), tf.keep(swapHalves(identity))] as [tf.Tensor, tf.Tensor]
  })
  knownPlanes.set(headDim, made)
  return made
}

/** `[positions, headDim, headDim]`. */
export function rotationMatrices(config: ModelConfig, positions: readonly number[]): tf.Tensor3D {
  const frequencies = rotaryFrequencies(config)
  const half = frequencies.length
  const D = 2 * half
  const scale = D ** -0.25
  const values = new Float32Array(positions.length * D * D)
  for (const [p, position] of positions.entries()) {
    const at = p * D * D
    for (let i = 0; i < half; i++) {
      const [cos, sin] = [Math.cos(position * frequencies[i]!) * scale, Math.sin(position * frequencies[i]!) * scale]
      values[at + i * D + i] = values[at + (i + half) * D + i + half] = cos
      values[at + i * D + i + half] = sin
      values[at + (i + half) * D + i] = -sin
    }
  }
  return tf.tensor3d(values, [positions.length, D, D])
}
