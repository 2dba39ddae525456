import { multiply } from '../engine/ops'
import { addInPlace, applyAdam, ResourceVariable, subtractInPlace } from '../engine/resourceVariable'
import { execute, type Tensor, tf } from '../engine/tensorflow'

export interface AdamWOptions {
  /** Default 0.9. */
  beta1?: number
  /** Default 0.999. */
  beta2?: number
  /** Added to the root of the corrected second moment, as in PyTorch. Default 1e-8. */
  epsilon?: number
  /** Decoupled decay: a weight loses `learningRate · weightDecay` of itself at each update. Default 0. */
  weightDecay?: number
  /** What decays: matrices and embeddings alone, or norms and biases as well. Default `matrices`. */
  decay?: 'matrices' | 'all'
}

/** A weight and its gradient, both float32 of the same shape. */
export interface Parameter {
  name: string
  weight: Tensor
  gradient: Tensor
}

/** Numbers of the optimizer that a checkpoint keeps. */
export interface OptimizerState {
  /** Updates made. */
  updates: number
  /** `m.<name>` and `v.<name>`, one at a time. */
  tensors: { name: string; shape: number[]; load: () => Float32Array }[]
}

interface Moments {
  shape: number[]
  m: ResourceVariable
  v: ResourceVariable
}

/**
 * AdamW (Loshchilov and Hutter, 2019) with float32 state, in PyTorch's form. Weights change in place: whoever holds a tensor
 * sees the new values. One fused pass over weight, gradient and state; nothing is allocated but one tensor's update at a time.
 */
export class AdamW {
  /** Updates made. */
  updates = 0
  private readonly moments = new Map<string, Moments>()
  private readonly options: Required<AdamWOptions>

  /** Throws a RangeError that names the option. */
  constructor(options: AdamWOptions = {}) {
    this.options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, decay: 'matrices', ...options }
    const { beta1, beta2, epsilon, weightDecay } = this.options
    for (const [name, value] of Object.entries({ beta1, beta2 }))
      if (!(value >= 0 && value < 1)) throw new RangeError(`AdamW: ${name} is ${value}; expected a number in [0, 1)`)
    for (const [name, value] of Object.entries({ epsilon, weightDecay }))
      if (!(value >= 0 && Number.isFinite(value)))
        throw new RangeError(`AdamW: ${name} is ${value}; expected a number of at least 0`)
  }

  /** One update with the gradients times `gradientScale` (global-norm clipping). */
  step(parameters: readonly Parameter[], learningRate: number, gradientScale = 1): void {
    const { beta1, beta2, epsilon, weightDecay, decay } = this.options
    const t = ++this.updates
    const beta2Power = beta2 ** t
    const numbers = {
      beta1Power: beta1 ** t,
      beta2Power,
      learningRate,
      beta1,
      beta2,
      // TensorFlow adds epsilon to the uncorrected root: corrected here, so that it means what it means in PyTorch.
      epsilon: epsilon * Math.sqrt(1 - beta2Power),
    }
    for (const { name, weight, gradient } of parameters) {
      const { m, v } = this.momentsOf(name, weight)
      tf.tidy(() => {
        const scaled = gradientScale === 1 ? gradient : multiply(gradient, tf.scalar(gradientScale))
        if (weightDecay > 0 && (decay === 'all' || weight.rank >= 2))
          subtractInPlace(weight, multiply(weight, tf.scalar(learningRate * weightDecay)))
        const zeros = execute('ZerosLike', [weight])
        const update = new ResourceVariable(zeros)
        try {
          zeros.dispose()
          applyAdam(update, m, v, scaled, numbers)
          addInPlace(weight, update.read())
        } finally {
          update.dispose()
        }
      })
    }
  }

  state(): OptimizerState {
    const values = (variable: ResourceVariable) => {
      const tensor = variable.read()
      try {
        return tensor.dataSync() as Float32Array
      } finally {
        tensor.dispose()
      }
    }
    const tensors = [...this.moments].flatMap(([name, { shape, m, v }]) => [
      { name: `m.${name}`, shape, load: () => values(m) },
      { name: `v.${name}`, shape, load: () => values(v) },
    ])
    return { updates: this.updates, tensors }
  }

  /** Takes up the state of a checkpoint for these parameters. Throws if it is another model's. */
  async restore(
    updates: number,
    parameters: readonly Pick<Parameter, 'name' | 'weight'>[],
    read: (name: string) => Promise<Float32Array>,
  ): Promise<void> {
    this.dispose()
    this.updates = updates
    if (updates === 0) return
    for (const { name, weight } of parameters) {
      const moment = async (kind: 'm' | 'v') => {
        const values = await read(`${kind}.${name}`)
        if (values.length !== weight.size)
          throw new Error(`optimizer state ${kind}.${name} has ${values.length} numbers, the weight ${weight.size}`)
        const tensor = tf.tensor(values, weight.shape)
        const variable = new ResourceVariable(tensor)
        tensor.dispose()
        return variable
      }
      this.moments.set(name, { shape: [...weight.shape], m: await moment('m'), v: await moment('v') })
    }
  }

  dispose(): void {
    for (const { m, v } of this.moments.values()) {
      m.dispose()
      v.dispose()
    }
    this.moments.clear()
  }

  private momentsOf(name: string, weight: Tensor): Moments {
    const held = this.moments.get(name)
    if (held) return held
    const zeros = () => {
      const values = execute('ZerosLike', [weight])
      const variable = new ResourceVariable(values)
      values.dispose()
      return variable
    }
    const moments = { shape: [...weight.shape], m: zeros(), v: zeros() }
    this.moments.set(name, moments)
    return moments
  }
}

/** What gradients are multiplied by, so that their global norm is at most `most`; 1 where it is already, or `most` is null. */
export function clipScale(globalNorm: number, most: number | null): number {
  // As PyTorch's clip_grad_norm_, whose 1e-6 keeps the bound.
  return most === null || globalNorm <= most ? 1 : most / (globalNorm + 1e-6)
}
