import { randomBytes } from 'node:crypto'
import { constantIndices, reshape, scalar } from './ops'
import { execute, flag, type Tensor, tf, upload } from './tensorflow'

/** The binding's raw calls: ids of tensors, of which those that an op returns belong to the caller. */
interface RawBackend {
  binding: {
    TF_ATTR_TYPE: number
    TF_ATTR_STRING: number
    TF_ATTR_SHAPE: number
    TF_FLOAT: number
    executeOp(name: string, attributes: object[], ids: number[], outputs: number): { id: number; shape: number[] }[]
    deleteTensor(id: number): void
  }
  getInputTensorIds(tensors: Tensor[]): number[]
  createOutputTensor(metadata: object): Tensor
}

const backend = tf.backend() as unknown as RawBackend
const { binding } = backend
const typeAttribute = (name: string) => ({ name, type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT })
const textAttribute = (name: string, value: string) => ({ name, type: binding.TF_ATTR_STRING, value })
const ids = (...tensors: Tensor[]) => backend.getInputTensorIds(tensors)

let made = 0
const session = randomBytes(6).toString('hex')

/** A float32 variable of TensorFlow: what fused optimizer ops change in place. Lives until `dispose`. */
export class ResourceVariable {
  private handle: number | null

  /** Takes `initial`'s values, and its memory where nothing else holds it. */
  constructor(initial: Tensor) {
    const shape = { name: 'shape', type: binding.TF_ATTR_SHAPE, value: initial.shape }
    const name = textAttribute('shared_name', `${session}-${made++}`)
    const attributes = [typeAttribute('dtype'), shape, textAttribute('container', ''), name]
    this.handle = binding.executeOp('VarHandleOp', attributes, [], 1)[0]!.id
    try {
      this.assign(initial)
    } catch (error) {
      this.dispose()
      throw error
    }
  }

  get id(): number {
    if (this.handle === null) throw new Error('a variable was used after it was disposed')
    return this.handle
  }

  assign(values: Tensor): void {
    binding.executeOp('AssignVariableOp', [typeAttribute('dtype')], [this.id, ...ids(values)], 0)
  }

  /** The values; the caller owns the tensor. While it is held, the next change of the variable copies. */
  read(): Tensor {
    const [metadata] = binding.executeOp('ReadVariableOp', [typeAttribute('dtype')], [this.id], 1)
    return backend.createOutputTensor(metadata!)
  }

  dispose(): void {
    if (this.handle === null) return
    const ignoreLost = { ...flag('ignore_lookup_error', true) }
    binding.executeOp('DestroyResourceOp', [ignoreLost], [this.handle], 0)
    binding.deleteTensor(this.handle)
    this.handle = null
  }
}

export interface AdamNumbers {
  /** `beta1` and `beta2` to the power of the number of updates, this one included. */
  beta1Power: number
  beta2Power: number
  learningRate: number
  beta1: number
  beta2: number
  epsilon: number
}

/** The numbers of one update as TensorFlow's op takes them, handed to the device once for all weights. */
export type AdamScalars = readonly Tensor[]

/** The current `tidy` owns them. */
export function adamScalars({ beta1Power, beta2Power, learningRate, beta1, beta2, epsilon }: AdamNumbers): AdamScalars {
  const values = [tf.scalar(beta1Power), tf.scalar(beta2Power), tf.scalar(learningRate)].map(upload)
  return [...values, scalar(beta1), scalar(beta2), upload(tf.scalar(epsilon))]
}

/**
 * One fused Adam update, in place: `m` and `v` move, and so does `target` (TensorFlow's ResourceApplyAdam). `epsilon` is added to
 * the square root of the uncorrected second moment.
 */
export function applyAdam(
  target: ResourceVariable,
  m: ResourceVariable,
  v: ResourceVariable,
  gradient: Tensor,
  numbers: AdamScalars,
): void {
  binding.executeOp(
    'ResourceApplyAdam',
    [typeAttribute('T'), flag('use_locking', false), flag('use_nesterov', false)],
    [target.id, m.id, v.id, ...ids(...numbers, gradient)],
    0,
  )
}

/** `target += values` **in place**: every alias of `target` sees it. */
export function addInPlace(target: Tensor, values: Tensor): void {
  tf.tidy(() => {
    const row = (x: Tensor) => reshape(x, [1, x.size])
    // The op returns an alias of its first input.
    execute('InplaceAdd', [row(target), constantIndices([0]), row(values)])
  })
}
