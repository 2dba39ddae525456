import { readFileSync } from 'node:fs'
import { z } from 'zod'

/** What the file of `gpu-check` calls its form. */
export const GPU_CHECK_FORMAT = 'reasoning-rhythm gpu-check 1'

const text = z.string()
const number = z.number()
/** Arithmetic of matrix products: `tf32` is what a GPU makes of float32 by default, `bf16` that of output projections and MLPs (all else float32). */
const precision = z.enum(['float32', 'tf32', 'bf16'])

const device = z.object({
  /** Where TensorFlow computes. */
  kind: z.enum(['GPU', 'CPU']),
  /** Of the GPU or the processor. */
  name: text,
  /** Bytes of the GPU, or of the machine. */
  memoryBytes: number,
  /** Of the GPU in use; null on a CPU. */
  driver: text.nullable(),
  /** The newest CUDA that the driver can run. */
  driverCuda: text.nullable(),
  computeCapability: number.nullable(),
  /** All of the machine's. */
  gpus: z.array(text),
})

const software = z.object({
  node: text,
  tensorflow: text,
  tfjs: text,
  /** CUDA packages beside TensorFlow by name, such as `cuda-runtime: 12.9.79`; empty with the CPU wheel. */
  cuda: z.record(text, text),
})

const peak = z.object({ of: text, float32: number, tf32: number.nullable(), bf16: number.nullable() })

const rate = z.object({
  /** Rows and columns of both matrices. */
  size: number,
  precision,
  /** Floating-point operations a second. */
  flops: number,
})

const difference = z.object({
  precision,
  /** What was computed: `forward`, `decoding`, `rhythm`, `GRPO step`. */
  section: text,
  quantity: text,
  /**
   * `largest`: the largest difference as a share of the largest value; `length`: the length of the difference as a share of the vector's;
   * `jaccard`: heads in both groups as a share of those in either; `equal`: the share of tokens with the same value.
   */
  measure: z.enum(['largest', 'length', 'jaccard', 'equal']),
  value: number,
  /** At most, or for `jaccard` and `equal` at least, this. */
  limit: number,
  agrees: z.boolean(),
})

const decoding = z.object({
  /** Responses written together, and tokens of each. */
  batch: number,
  tokens: number,
  tokensPerSecond: number,
  /** Share of the peak rate, null where that is not known; and of the best product measured here. */
  utilization: number.nullable(),
  shareOfMeasured: number.nullable(),
})

const speed = z.object({
  model: text,
  parameters: number,
  trained: number,
  precision,
  /** The keys of a configuration: what was trained, and how. */
  settings: z.array(text),
  decoding: z.array(decoding),
  step: z.object({
    /** Responses, their tokens each, and the tokens of a prompt. */
    responses: number,
    responseTokens: number,
    promptTokens: number,
    /** Seconds by phase, under the names that a run's metrics have. */
    seconds: z.record(text, number),
    total: number,
    /** Seconds that observers add to the pass that gives log-probabilities, and their share, with that of credit, of the step. */
    observing: number,
    creditShare: number,
  }),
  training: z.object({
    /** Of prompts and responses, through gradients and updates. */
    tokensPerSecond: number,
    utilization: number.nullable(),
    shareOfMeasured: number.nullable(),
  }),
  memory: z.object({
    /** By the plan of a run, and measured, both beyond a process with TensorFlow loaded; null where it could not be measured. */
    plannedBytes: number,
    plannedMoment: text,
    measuredBytes: number.nullable(),
    /** Mean over the measured step, of a GPU. */
    gpuUtilization: number.nullable(),
  }),
})

const part = z.object({
  part: text,
  state: z.enum(['done', 'failed', 'skipped']),
  seconds: number,
  /** Why it failed or was left out. */
  message: text.nullable(),
})

const report = z.object({
  format: z.literal(GPU_CHECK_FORMAT),
  /** ISO time. */
  written: text,
  /** `full` for a GPU, `small` for a CPU, `tiny` for tests. */
  size: z.enum(['full', 'small', 'tiny']),
  device,
  software,
  /** What the device could do at most by its data sheet; null where it is not known. Utilisation is relative to it. */
  peak: peak.nullable(),
  /** What a reader must know. */
  notes: z.array(text),
  rates: z.array(rate),
  agreement: z.array(difference),
  speed: z.array(speed),
  parts: z.array(part),
  seconds: number,
})

/** What `npm run gpu-check` found, as its JSON file holds it. */
export type GpuCheckReport = z.infer<typeof report>
export type CheckPrecision = z.infer<typeof precision>
export type CheckSize = GpuCheckReport['size']
export type CheckDevice = z.infer<typeof device>
export type MatmulRate = z.infer<typeof rate>
export type Difference = z.infer<typeof difference>
export type SpeedReport = z.infer<typeof speed>
export type PartReport = z.infer<typeof part>

/** Checks a value read from a file. Throws an error that names `source` and the key. */
export function parseGpuCheck(value: unknown, source = 'report'): GpuCheckReport {
  const result = report.safeParse(value)
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
