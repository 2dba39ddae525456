/**
 * The environment of every process that loads TensorFlow: the command line tool, tests, benchmarks, JupyterLab and its
 * kernels (set-up copies these values into the registered kernelspec). A variable that the user has set wins.
 */
export const tensorFlowVariables = {
  // Errors only: TensorFlow's start-up notes about instruction sets and CUDA plug-ins are no news to a user.
  TF_CPP_MIN_LOG_LEVEL: '2',
  // On a GPU, memory is taken as it is needed, by CUDA's own pooling allocator, which fragments less. No effect on a CPU.
  TF_FORCE_GPU_ALLOW_GROWTH: 'true',
  TF_GPU_ALLOCATOR: 'cuda_malloc_async',
  // Large blocks in huge pages: weights are read up to a half faster, and fresh memory costs fewer page faults.
  GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1',
}

/** The variables for a child process, beside and below those of `parent`. */
export function environment(parent = process.env) {
  return { ...tensorFlowVariables, ...parent }
}
