import { z } from 'zod'
import type { GpuCheckReport } from './checkReport'

/** What the file of `gpu-check` calls its form. */
export const GPU_CHECK_FORMAT = 'reasoning-rhythm gpu-check 1'

const text = z.string()
const number = z.number()
const precision = z.enum(['float32', 'tf32', 'bf16'])
const utilization = { utilization: number.nullable(), shareOfMeasured: number.nullable() }

const speed = z.object({
  model: text,
  parameters: number,
  trained: number,
  precision,
  settings: z.array(text),
  decoding: z.array(z.object({ batch: number, tokens: number, tokensPerSecond: number, ...utilization })),
  step: z.object({
    responses: number,
    responseTokens: number,
    promptTokens: number,
    seconds: z.record(text, number),
    total: number,
    observing: number,
    creditShare: number,
  }),
  training: z.object({ tokensPerSecond: number, ...utilization }),
  memory: z.object({
    plannedBytes: number,
    plannedMoment: text,
    measuredBytes: number.nullable(),
    gpuUtilization: number.nullable(),
  }),
})

/** The form of the file; `GpuCheckReport` says what its fields mean. */
export const gpuCheckSchema: z.ZodType<GpuCheckReport> = z.object({
  format: z.literal(GPU_CHECK_FORMAT),
  written: text,
  size: z.enum(['full', 'small', 'tiny']),
  device: z.object({
    kind: z.enum(['GPU', 'CPU']),
    name: text,
    memoryBytes: number,
    driver: text.nullable(),
    driverCuda: text.nullable(),
    computeCapability: number.nullable(),
    gpus: z.array(text),
  }),
  software: z.object({ node: text, tensorflow: text, tfjs: text, cuda: z.record(text, text) }),
  peak: z.object({ of: text, float32: number, tf32: number.nullable(), bf16: number.nullable() }).nullable(),
  notes: z.array(text),
  rates: z.array(z.object({ size: number, precision, flops: number })),
  agreement: z.array(
    z.object({
      precision,
      section: text,
      quantity: text,
      measure: z.enum(['largest', 'length', 'jaccard', 'equal']),
      value: number,
      limit: number,
      agrees: z.boolean(),
    }),
  ),
  speed: z.array(speed),
  parts: z.array(
    z.object({ part: text, state: z.enum(['done', 'failed', 'skipped']), seconds: number, message: text.nullable() }),
  ),
  seconds: number,
})
