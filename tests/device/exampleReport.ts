import type { GpuCheckReport } from '../../lib/device/checkReport'
import { GPU_CHECK_FORMAT } from '../../lib/device/checkSchema'

/** A report of an imagined H100, numbers made up: nothing was measured. */
export const EXAMPLE_REPORT: GpuCheckReport = {
  format: GPU_CHECK_FORMAT,
  written: '2026-11-26T12:00:00.000Z',
  size: 'full',
  device: {
    kind: 'GPU',
    name: 'NVIDIA H100 80GB HBM3',
    memoryBytes: 81559 * 2 ** 20,
    driver: '550.54.15',
    driverCuda: '12.4',
    computeCapability: 9,
    gpus: ['NVIDIA H100 80GB HBM3'],
  },
  software: { node: '20.20.2', tensorflow: '2.21.0', tfjs: '4.22.0', cuda: { 'cuda-runtime': '12.9.79' } },
  peak: { of: 'H100', float32: 67e12, tf32: 494.7e12, bf16: 989.4e12 },
  notes: ['a note'],
  rates: [
    { size: 2048, precision: 'tf32', flops: 200e12 },
    { size: 8192, precision: 'tf32', flops: 247.35e12 },
    { size: 2048, precision: 'float32', flops: 33.5e12 },
  ],
  agreement: [
    {
      ...{ precision: 'tf32', section: 'rhythm', quantity: 'spans', measure: 'largest' },
      ...{ value: 0.00123, limit: 0.02, agrees: true },
    },
    {
      ...{ precision: 'tf32', section: 'rhythm', quantity: 'heads receiver', measure: 'jaccard' },
      ...{ value: 0.8, limit: 0.9, agrees: false },
    },
  ],
  speed: [
    {
      model: 'qwen3-0.6b',
      parameters: 6e8,
      trained: 6e8,
      precision: 'tf32',
      settings: ['recompute=true', 'lora.rank=16'],
      decoding: [{ batch: 64, tokens: 95, tokensPerSecond: 6400, utilization: 0.05, shareOfMeasured: 0.1 }],
      step: {
        ...{ responses: 64, responseTokens: 192, promptTokens: 64 },
        seconds: {
          'timing_s/gen': 2,
          'timing_s/reward': 0,
          'timing_s/old_log_prob': 0.5,
          'timing_s/credit': 0.1,
          'timing_s/update_actor': 1.4,
        },
        ...{ total: 4, observing: 0.02, creditShare: 0.03 },
      },
      training: { tokensPerSecond: 11_000, utilization: 0.2, shareOfMeasured: null },
      memory: { plannedBytes: 23e9, plannedMoment: 'rollout', measuredBytes: 22e9, gpuUtilization: 0.9 },
    },
  ],
  parts: [
    { part: 'matrix products (tf32)', state: 'done', seconds: 3, message: null },
    { part: 'speed of qwen3-4b', state: 'failed', seconds: 9, message: 'OOM when allocating tensor' },
  ],
  seconds: 100,
}
