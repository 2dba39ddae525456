import { cpus, totalmem } from 'node:os'
import type { CheckDevice } from '../device/checkReport'
import type { GpuInfo } from '../device/nvidiaSmi'

/** The device as a report has it. */
export function describeDevice(kind: 'GPU' | 'CPU', gpu: GpuInfo | null, gpus: readonly GpuInfo[]): CheckDevice {
  return {
    kind,
    name: kind === 'GPU' ? (gpu?.name ?? 'unknown GPU') : (cpus()[0]?.model.trim() ?? 'unknown processor'),
    memoryBytes: kind === 'GPU' ? (gpu?.memoryBytes ?? 0) : totalmem(),
    driver: gpu?.driver ?? null,
    driverCuda: gpu?.driverCuda ?? null,
    computeCapability: gpu?.computeCapability ?? null,
    gpus: gpus.map(({ name }) => name),
  }
}

/** What a reader of a report on this device must know. */
export function notesOn({ kind, gpus }: CheckDevice): string[] {
  const notes: string[] = []
  if (kind === 'CPU' && gpus.length > 0)
    notes.push(
      `there is a GPU (${gpus[0]}), which TensorFlow does not use: see the GPU chapter of environment.md (npm run setup -- --gpu, CUDA_VISIBLE_DEVICES)`,
    )
  if (kind === 'CPU')
    notes.push(
      'the reference is this CPU too, with other kernels: it shows that the check works, not that a device does',
    )
  if (kind === 'GPU' && gpus.length > 1)
    notes.push(`${gpus.length} GPUs: the first visible one is used; CUDA_VISIBLE_DEVICES chooses another`)
  return notes
}
