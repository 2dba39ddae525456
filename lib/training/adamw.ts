import { addToRows, sum } from '../engine/gradientOps'
import { multiply, slice } from '../engine/ops'
import { type AdamScalars, adamScalars, applyAdam, ResourceVariable } from '../engine/resourceVariable'
import { execute, type Tensor, tf, upload } from '../engine/tensorflow'
import { randomStream } from '../random/randomStream'
import { type MomentType, momentNumbers, momentsOf, type Piece } from './adamMoments'

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
  /**
   * How the moments are held. Default `float32`: 8 bytes a weight. `bf16`: 4, each rounded up or down at random after every update, which
   * keeps them right on average where rounding to the nearest would freeze the second moment; updates are noisier and take longer.
   */
  state?: MomentType
  /** Of rounding. Default 0. */
  seed?: number
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
  tensors: { name: string; shape: number[]; dtype: 'F32' | 'BF16'; load: () => Float32Array }[]
}

/**
 * AdamW (Loshchilov and Hutter, 2019) in PyTorch's form. Weights change in place: whoever holds a tensor sees the new
 * values. Nothing is allocated but the update of some rows at a time.
 */
export class AdamW {
  /** Updates made. */
  updates = 0
  private readonly moments = new Map<string, { shape: number[]; pieces: Piece[] }>()
  private readonly options: Required<AdamWOptions>

  /** Throws a RangeError that names the option. */
  constructor(options: AdamWOptions = {}) {
    this.options = {
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0,
      decay: 'matrices',
      state: 'float32',
      seed: 0,
      ...options,
    }
    const { beta1, beta2, epsilon, weightDecay } = this.options
    for (const [name, value] of Object.entries({ beta1, beta2 }))
      if (!(value >= 0 && value < 1)) throw new RangeError(`AdamW: ${name} is ${value}; expected a number in [0, 1)`)
    for (const [name, value] of Object.entries({ epsilon, weightDecay }))
      if (!(value >= 0 && Number.isFinite(value)))
        throw new RangeError(`AdamW: ${name} is ${value}; expected a number of at least 0`)
  }

  /** One update with the gradients times `gradientScale` (global-norm clipping). */
  step(parameters: readonly Parameter[], learningRate: number, gradientScale = 1): void {
    const { beta1, beta2, epsilon, weightDecay, decay, state, seed } = this.options
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
    // Seeds of rounding depend on the update alone, so that a resumed optimizer draws the same.
    const rounding = state === 'bf16' ? randomStream(seed, t) : null
    tf.tidy(() => {
      const scalars = adamScalars(numbers)
      const scale = gradientScale === 1 ? null : upload(tf.scalar(gradientScale))
      const lost = upload(tf.scalar(-learningRate * weightDecay))
      for (const { name, weight, gradient } of parameters) {
        const decays = weightDecay > 0 && (decay === 'all' || weight.rank >= 2)
        for (const piece of this.piecesOf(name, weight)) {
          const seeds: [number, number] = rounding ? [rounding.below(2 ** 31), rounding.below(2 ** 31)] : [0, 0]
          tf.tidy(() => {
            const rows = (x: Tensor) =>
              slice(x, [piece.firstRow, ...x.shape.slice(1).map(() => 0)], [piece.rows, ...x.shape.slice(1)])
            const own = scale === null ? rows(gradient) : multiply(rows(gradient), scale)
            const update = adamUpdate(piece, own, scalars, seeds)
            addToRows(weight, piece.places, decays ? sum(update, multiply(rows(weight), lost)) : update)
          })
        }
      }
    })
  }

  state(): OptimizerState {
    const dtype = this.options.state === 'bf16' ? ('BF16' as const) : ('F32' as const)
    const tensors = [...this.moments].flatMap(([name, { shape, pieces }]) =>
      (['m', 'v'] as const).map((which) => ({
        name: `${which}.${name}`,
        shape,
        dtype,
        load: () => momentNumbers(pieces, which),
      })),
    )
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
        return values
      }
      const initial = { m: await moment('m'), v: await moment('v') }
      const pieces = momentsOf(weight.shape, this.options.state, initial)
      this.moments.set(name, { shape: [...weight.shape], pieces })
    }
  }

  dispose(): void {
    for (const { pieces } of this.moments.values())
      for (const { m, v, places } of pieces) for (const held of [m, v, places]) held.dispose()
    this.moments.clear()
  }

  private piecesOf(name: string, weight: Tensor): Piece[] {
    const held = this.moments.get(name)
    if (held) return held.pieces
    const pieces = momentsOf(weight.shape, this.options.state)
    this.moments.set(name, { shape: [...weight.shape], pieces })
    return pieces
  }
}

/** What Adam adds to the rows of a piece, whose moments move. */
function adamUpdate({ m, v }: Piece, gradient: Tensor, numbers: AdamScalars, seeds: [number, number]): Tensor {
  const zeros = execute('ZerosLike', [gradient])
  let update: ResourceVariable
  try {
    update = new ResourceVariable(zeros)
  } finally {
    zeros.dispose()
  }
  try {
    return opened(m, seeds[0], (first) =>
      opened(v, seeds[1], (second) => {
        applyAdam(update, first, second, gradient, numbers)
        return update.read()
      }),
    )
  } finally {
    update.dispose()
  }
}

function opened<T>(moment: Piece['m'], seed: number, use: (variable: ResourceVariable) => T): T {
  const variable = moment.open()
  try {
    return use(variable)
  } finally {
    moment.close(variable, seed)
  }
}

/** What gradients are multiplied by, so that their global norm is at most `most`; 1 where it is already, or `most` is null. */
export function clipScale(globalNorm: number, most: number | null): number {
  // As PyTorch's clip_grad_norm_, whose 1e-6 keeps the bound.
  return most === null || globalNorm <= most ? 1 : most / (globalNorm + 1e-6)
}
