// Read before TensorFlow is loaded; a value that the user has set stays.
process.env.TF_CPP_MIN_LOG_LEVEL ??= '2'
process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true'
process.env.TF_GPU_ALLOCATOR ??= 'cuda_malloc_async'
// One GPU alone is shown to TensorFlow, by nvidia-smi's number: with several, the binding computes on the first and hands tensors over on the last.
process.env.CUDA_DEVICE_ORDER ??= 'PCI_BUS_ID'
process.env.CUDA_VISIBLE_DEVICES = (process.env.CUDA_VISIBLE_DEVICES ?? '0').split(',')[0]!.trim()

import * as tf from '@tensorflow/tfjs-node-gpu'

export { tf }
export type Tensor = tf.Tensor

export interface OpAttribute {
  name: string
  type: number
  value: unknown
}

/** An output of an op: an id that belongs to the caller until a tensor is made of it. */
interface OutputMetadata {
  id: number
  shape: number[]
  dtype: number
}

/** An op of a function that is to be made: see kernels/native/binding.cc. */
export interface FunctionOp {
  name: string
  attributes: readonly OpAttribute[]
  /** Numbers of the values that it reads: those of the arguments, then of each op's outputs in turn. */
  inputs: readonly number[]
  /** So many of them, the first ones, are a list to TensorFlow. */
  listed: number
  outputs: number
  /** Whether it changes one of its inputs: it keeps its place among the others. */
  effect: boolean
  /** What a Const holds. */
  constant?: { type: number; shape: readonly number[]; values: Float32Array | Int32Array }
}

/** The part of tfjs-node's backend that this project calls below tfjs's own ops. */
interface NativeBackend {
  binding: {
    TF_Version: string
    TF_FLOAT: number
    TF_INT32: number
    TF_ATTR_TYPE: number
    TF_ATTR_BOOL: number
    TF_ATTR_INT: number
    TF_ATTR_STRING: number
    getNumOfTensors(): number
    executeOp(name: string, attributes: OpAttribute[], ids: number[], outputs: number): OutputMetadata[]
    /** Of this project's own build of the binding alone. */
    compileFunction?(name: string, types: number[], ops: readonly FunctionOp[], results: readonly number[]): void
    removeFunction?(name: string): void
  }
  isUsingGpuDevice: boolean
  /** What the backend knows of each tensor; `dtype` is TensorFlow's number of its type. */
  tensorMap: { get(dataId: object): { dtype: number } }
  getInputTensorIds(tensors: tf.Tensor[]): number[]
  createOutputTensor(metadata: OutputMetadata): tf.Tensor
}

const native = tf.backend() as unknown as NativeBackend
const { binding } = native

/** TensorFlow's number of the type. */
const BFLOAT16 = 14

/** A TensorFlow type attribute: `type('Tidx', 'int32')`. */
export const type = (name: string, dtype: 'float32' | 'int32' | 'bfloat16'): OpAttribute => ({
  name,
  type: binding.TF_ATTR_TYPE,
  value: { float32: binding.TF_FLOAT, int32: binding.TF_INT32, bfloat16: BFLOAT16 }[dtype],
})
/** The same, of a tensor's own type. */
export const typeOf = (name: string, x: tf.Tensor): OpAttribute => ({
  name,
  type: binding.TF_ATTR_TYPE,
  value: nativeType(x),
})
/** A TensorFlow boolean attribute. */
export const flag = (name: string, value: boolean): OpAttribute => ({ name, type: binding.TF_ATTR_BOOL, value })
/** A TensorFlow integer attribute. */
export const integer = (name: string, value: number): OpAttribute => ({ name, type: binding.TF_ATTR_INT, value })
/** A TensorFlow string attribute. */
export const text = (name: string, value: string): OpAttribute => ({ name, type: binding.TF_ATTR_STRING, value })

/**
 * Runs one TensorFlow op outside tfjs's gradient tape. TensorFlow infers type attributes from the inputs; naming them costs a tenth
 * of a small op's time. The caller's `tidy` or `Scope` owns the result.
 */
export function execute<T extends tf.Tensor = tf.Tensor>(
  op: string,
  inputs: tf.Tensor[],
  ...attributes: OpAttribute[]
): T {
  const [output] = native.binding.executeOp(op, attributes, native.getInputTensorIds(inputs), 1)
  return outputTensor(output!) as T
}

/** As `execute`, of an op with several outputs. */
export function executeAll(
  op: string,
  inputs: tf.Tensor[],
  outputs: number,
  ...attributes: OpAttribute[]
): tf.Tensor[] {
  return native.binding.executeOp(op, attributes, native.getInputTensorIds(inputs), outputs).map(outputTensor)
}

/** TensorFlow's handles of tensors, which live as long as they do. */
export const nativeIds = (tensors: readonly tf.Tensor[]): number[] => native.getInputTensorIds([...tensors])

/** TensorFlow's number of a tensor's type. */
export const nativeType = (x: tf.Tensor): number => native.tensorMap.get(x.dataId).dtype

/** Runs `compute`, and calls `see` for each op that TensorFlow has run in it, whoever asked for it. */
export function watchOps<T>(
  see: (name: string, attributes: OpAttribute[], inputs: number[], outputs: number[]) => void,
  compute: () => T,
): T {
  const before = native.binding
  const executeOp: NativeBackend['binding']['executeOp'] = (name, attributes, ids, outputs) => {
    const made = before.executeOp(name, attributes, ids, outputs)
    see(
      name,
      attributes,
      ids,
      made.map(({ id }) => id),
    )
    return made
  }
  native.binding = Object.create(before, { executeOp: { value: executeOp } })
  try {
    return compute()
  } finally {
    native.binding = before
  }
}

/** Whether this build of the binding makes functions. */
export const makesFunctions: boolean = binding.compileFunction !== undefined

/** Registers a function of arguments with these types (TensorFlow's numbers), which `execute` then knows by its name. Throws what TensorFlow says of its ops. */
export const compileFunction = (
  name: string,
  types: number[],
  ops: readonly FunctionOp[],
  results: readonly number[],
): void => binding.compileFunction!(name, types, ops, results)

/** Removes a function, and what TensorFlow has made of it. */
export const removeFunction = (name: string): void => binding.removeFunction!(name)

function outputTensor(output: OutputMetadata): tf.Tensor {
  if (output.dtype !== BFLOAT16) return native.createOutputTensor(output)
  // tfjs has no such type: it takes the tensor for float32, owns it like any other, and the backend keeps its real type.
  const tensor = native.createOutputTensor({ ...output, dtype: binding.TF_FLOAT })
  native.tensorMap.get(tensor.dataId).dtype = BFLOAT16
  return tensor
}

/**
 * A float32 tensor's numbers as they are now. `dataSync` of one on a GPU leaves a copy in host memory, which it reads from then on, whatever
 * becomes of the tensor: weights and adapters move in place. This one reads through a handle of its own.
 */
export function currentValues(x: tf.Tensor): Float32Array {
  const alias = execute('Identity', [x])
  try {
    return alias.dataSync() as Float32Array
  } finally {
    alias.dispose()
  }
}

/** Whether TensorFlow holds a tensor in bfloat16, which only the functions of `bfloat16.ts` and `execute` take. */
export const isBfloat16 = (x: tf.Tensor): boolean => nativeType(x) === BFLOAT16

/**
 * Hands a new tensor's numbers to TensorFlow now instead of at its first use. TensorFlow copies them, and JavaScript's array is free to go.
 */
export function upload<T extends tf.Tensor>(tensor: T): T {
  native.getInputTensorIds([tensor])
  return tensor
}

/** The attribute that makes an op run oneDNN's kernel, which eager execution does not choose by itself. */
const oneDnnKernel: OpAttribute = { name: '_kernel', type: binding.TF_ATTR_STRING, value: 'MklNameChangeOp' }

/**
 * Whether this TensorFlow has oneDNN's kernels and computes on a CPU. There, batched products are 1.3 to 4 times as fast with them,
 * softmax a quarter faster; products of two matrices with few rows are slower.
 */
export const hasOneDnn: boolean = !native.isUsingGpuDevice && tryOneDnn()

function tryOneDnn(): boolean {
  const one = tf.ones([1, 1, 1])
  try {
    execute('_MklBatchMatMulV2', [one, one], flag('adj_x', false), flag('adj_y', false), oneDnnKernel).dispose()
    return true
  } catch (error) {
    // A TensorFlow without oneDNN, as for other processors, has no such op or kernel; its own computes the same.
    if (error instanceof Error && error.message.includes('_MklBatchMatMulV2')) return false
    throw error
  } finally {
    one.dispose()
  }
}

/** As `execute`, with oneDNN's kernel of the op where there is one. */
export function executeFast<T extends tf.Tensor = tf.Tensor>(
  op: string,
  inputs: tf.Tensor[],
  ...attributes: OpAttribute[]
): T {
  return hasOneDnn ? execute(`_Mkl${op}`, inputs, ...attributes, oneDnnKernel) : execute(op, inputs, ...attributes)
}

/** Where and with what this process computes. */
export interface DeviceReport {
  device: 'CPU' | 'GPU'
  tensorflow: string
  tfjs: string
}

/** Which device and TensorFlow this process uses. */
export function deviceReport(): DeviceReport {
  return {
    device: native.isUsingGpuDevice ? 'GPU' : 'CPU',
    tensorflow: binding.TF_Version,
    tfjs: tf.version['tfjs-core'] ?? 'unknown',
  }
}

/** Memory of this process in bytes: tensors held through tfjs (which counts bfloat16 as four bytes a number), the JavaScript heap, and all that is resident. */
export interface MemoryReport {
  tensors: number
  tensorBytes: number
  heapBytes: number
  residentBytes: number
}

/** What this process holds now. */
export function memory(): MemoryReport {
  const { numTensors, numBytes } = tf.memory()
  const { heapUsed, rss } = process.memoryUsage()
  return { tensors: numTensors, tensorBytes: numBytes, heapBytes: heapUsed, residentBytes: rss }
}

/** How many tensors TensorFlow holds for this process, whoever owns them: what a leak adds to. */
export const nativeTensors = (): number => binding.getNumOfTensors()
