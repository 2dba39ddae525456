import { tf } from '../../lib/engine/tensorflow'

/** Runs with the library taking the device for a GPU: the code that it has for one, on the CPU. */
export async function asOnGpu<Result>(run: () => Result | Promise<Result>): Promise<Result> {
  const backend = tf.backend() as unknown as { isUsingGpuDevice: boolean }
  const here = backend.isUsingGpuDevice
  backend.isUsingGpuDevice = true
  try {
    return await run()
  } finally {
    backend.isUsingGpuDevice = here
  }
}
