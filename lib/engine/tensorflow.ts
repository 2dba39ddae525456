// Read before TensorFlow is loaded; a value that the user has set stays.
process.env.TF_CPP_MIN_LOG_LEVEL ??= '2'
process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true'
process.env.TF_GPU_ALLOCATOR ??= 'cuda_malloc_async'

import * as tf from '@tensorflow/tfjs-node-gpu'

export { tf }
export type Tensor = tf.Tensor

interface OpAttribute {
  name: string
  type: number
  value: unknown
}

/** The part of tfjs-node's backend that this project calls below tfjs's own ops. */
interface NativeBackend {
  binding: {
    TF_Version: string
    TF_FLOAT: number
    TF_INT32: number
    TF_ATTR_TYPE: number
    TF_ATTR_BOOL: number
    TF_ATTR_STRING: number
  }
  isUsingGpuDevice: boolean
  getInputTensorIds(tensors: tf.Tensor[]): number[]
  executeSingleOutput(name: string, attributes: OpAttribute[], inputs: tf.Tensor[]): tf.Tensor
}

const native = tf.backend() as unknown as NativeBackend
const { binding } = native

/** A TensorFlow type attribute: `type('Tidx', 'int32')`. */
export const type = (name: string, dtype: 'float32' | 'int32'): OpAttribute => ({
  name,
  type: binding.TF_ATTR_TYPE,
  value: dtype === 'float32' ? binding.TF_FLOAT : binding.TF_INT32,
})
/** A TensorFlow boolean attribute. */
export const flag = (name: string, value: boolean): OpAttribute => ({ name, type: binding.TF_ATTR_BOOL, value })
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
  return native.executeSingleOutput(op, attributes, inputs) as T
}

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

/** Memory of this process in bytes: tensors held through tfjs, the JavaScript heap, and all that is resident. */
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
