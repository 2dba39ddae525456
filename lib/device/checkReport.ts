import { readFileSync } from 'node:fs'
import { type GPU_CHECK_FORMAT, gpuCheckSchema } from './checkSchema'

/** What `npm run gpu-check` found, as its JSON file holds it. */
export interface GpuCheckReport {
  format: typeof GPU_CHECK_FORMAT
  /** ISO time. */
  written: string
  size: CheckSize
  device: CheckDevice
  software: {
    node: string
    tensorflow: string
    tfjs: string
    /** CUDA packages beside TensorFlow by name, such as `cuda-runtime: 12.9.79`; empty with the CPU wheel. */
    cuda: Record<string, string>
  }
  /** What the device could do at most by its data sheet, in floating-point operations a second; null where it is not known. */
  peak: { of: string; float32: number; tf32: number | null; bf16: number | null } | null
  /** What a reader must know. */
  notes: string[]
  rates: MatmulRate[]
  agreement: Difference[]
  speed: SpeedReport[]
  parts: PartReport[]
  seconds: number
}

/** `full` for a GPU, `small` for a CPU, `tiny` for tests. */
export type CheckSize = 'full' | 'small' | 'tiny'

/** Arithmetic of matrix products: `tf32` is what a GPU makes of float32 by default, `bf16` that of output projections and MLPs (all else float32). */
export type CheckPrecision = 'float32' | 'tf32' | 'bf16'

/** Where TensorFlow computes. */
export interface CheckDevice {
  kind: 'GPU' | 'CPU'
  /** Of the GPU or the processor. */
  name: string
  /** Bytes of the GPU, or of the machine. */
  memoryBytes: number
  /** Of the GPU in use; null on a CPU. */
  driver: string | null
  /** The newest CUDA that the driver can run. */
  driverCuda: string | null
  computeCapability: number | null
  /** All of the machine's. */
  gpus: string[]
}

/** How fast products of two square matrices are. */
export interface MatmulRate {
  /** Rows and columns of both. */
  size: number
  precision: CheckPrecision
  /** Floating-point operations a second. */
  flops: number
}

/** How far the device is from the CPU's float32 in one quantity. */
export interface Difference {
  precision: CheckPrecision
  /** What was computed: `forward`, `decoding`, `rhythm`, `GRPO step`, `moments in bf16`, `LoRA step`. */
  section: string
  quantity: string
  /**
   * `largest`: the largest difference as a share of the largest value; `length`: the length of the difference as a share of the vector's;
   * `jaccard`: heads in both groups as a share of those in either; `equal`: the share of tokens with the same value.
   */
  measure: 'largest' | 'length' | 'jaccard' | 'equal'
  value: number
  /** At most, or for `jaccard` and `equal` at least, this. */
  limit: number
  agrees: boolean
}

/** Decoding, training and memory of a model with random weights. */
export interface SpeedReport {
  model: string
  parameters: number
  trained: number
  precision: CheckPrecision
  /** How it was trained to fit, as keys of a configuration. */
  settings: string[]
  decoding: (Utilization & {
    /** Responses written together, and tokens of each. */
    batch: number
    tokens: number
    tokensPerSecond: number
  })[]
  step: {
    /** Responses, their tokens each, and the tokens of a prompt. */
    responses: number
    responseTokens: number
    promptTokens: number
    /** Seconds by phase, under the names that a run's metrics have, and their sum. */
    seconds: Record<string, number>
    total: number
    /** Seconds that observers add to the pass that gives log-probabilities; their share, with that of credit, of the step. */
    observing: number
    creditShare: number
  }
  /** Gradients and updates; tokens of prompts and responses. */
  training: Utilization & { tokensPerSecond: number }
  memory: {
    /** By the plan of a run, and measured, both beyond a process with TensorFlow loaded; null where it could not be measured. */
    plannedBytes: number
    plannedMoment: string
    measuredBytes: number | null
    /** Share of the measured step in which a GPU was busy. */
    gpuUtilization: number | null
  }
}

/** The operations that the model needs, as shares of what the device can do. */
export interface Utilization {
  /** Of the data sheet's rate (MFU); null where that is not known. */
  utilization: number | null
  /** Of the fastest product measured in the same arithmetic; null where none was. */
  shareOfMeasured: number | null
}

/** A part of the check. */
export interface PartReport {
  part: string
  state: 'done' | 'failed' | 'skipped'
  seconds: number
  /** Why it failed or was left out. */
  message: string | null
}

/** Checks a value read from a file. Throws an error that names `source` and the key. */
export function parseGpuCheck(value: unknown, source = 'report'): GpuCheckReport {
  const result = gpuCheckSchema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new Error(
    `${source} is no report of gpu-check: ${issue!.path.join('.') || 'the file'}: ${issue!.message}; expected a file that npm run gpu-check wrote`,
  )
}

/** Reads the file that `npm run gpu-check` wrote. Throws, with what to do, where it is missing or another. */
export function readGpuCheck(file: string): GpuCheckReport {
  let read: string
  try {
    read = readFileSync(file, 'utf8')
  } catch (error) {
    throw new Error(`there is no report to read: ${(error as Error).message}; npm run gpu-check writes one`, {
      cause: error,
    })
  }
  return parseGpuCheck(JSON.parse(read), file)
}
