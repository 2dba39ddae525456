import type { GpuInfo } from './nvidiaSmi'

/** The oldest driver whose CUDA (12.5) can compile what the GPU wheel of TensorFlow 2.21 holds for compute capability 9.0. */
const COMPILING_DRIVER = 555

/**
 * What is known to go wrong with this GPU and TensorFlow 2.21's wheel, which was built with CUDA 12.5 for compute capabilities 6.0, 7.0, 8.0 and 8.9, with
 * intermediate code for 9.0 that the driver compiles (`build_info.py` of the wheel).
 */
export function gpuNotes({ name, driver, computeCapability }: GpuInfo): string[] {
  if (computeCapability === null) return []
  const notes: string[] = []
  if (computeCapability < 6) notes.push(`${name} has compute capability ${computeCapability}: TensorFlow needs 6.0`)
  if (computeCapability >= 9)
    notes.push(
      `compute capability ${computeCapability}: the driver compiles TensorFlow's kernels when they are first used, and keeps them in ~/.nv/ComputeCache`,
    )
  if (computeCapability >= 9 && Number.parseInt(driver, 10) < COMPILING_DRIVER)
    notes.push(
      `driver ${driver} is older than ${COMPILING_DRIVER}, which that takes: expect CUDA_ERROR_UNSUPPORTED_PTX_VERSION`,
    )
  if (computeCapability >= 10)
    notes.push(
      'GPUs of this generation (Blackwell) are newer than this TensorFlow: others report CUDA_ERROR_INVALID_PTX on them',
    )
  return notes
}
