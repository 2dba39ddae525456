import assert from 'node:assert/strict'
import test from 'node:test'
import { gpuNotes } from '../../lib/device/gpuNotes'
import { type Ask, bytesOfOthers, gpuInUse, listGpus } from '../../lib/device/nvidiaSmi'
import { peakRates } from '../../lib/device/peakRates'

const HEADER =
  '| NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |\n|-----+-----|\n'
const ROWS = [
  '0, GPU-aaaa1111, NVIDIA A100-SXM4-80GB, 550.54.15, 81920, 8.0',
  '1, GPU-bbbb2222, NVIDIA H100 80GB HBM3, 550.54.15, 81559, 9.0',
  '2, GPU-cccc3333, Tesla K80, 550.54.15, 11441, [N/A]',
].join('\n')
const answering: Ask = (command, args) => {
  assert.equal(command, 'nvidia-smi')
  return args.length === 0 ? HEADER : `${ROWS}\n`
}

test('GPUs as nvidia-smi lists them', () => {
  const [first, second, third] = listGpus(answering)
  assert.deepEqual(first, {
    index: 0,
    uuid: 'GPU-aaaa1111',
    name: 'NVIDIA A100-SXM4-80GB',
    driver: '550.54.15',
    driverCuda: '12.4',
    memoryBytes: 80 * 2 ** 30,
    computeCapability: 8,
  })
  assert.equal(second!.name, 'NVIDIA H100 80GB HBM3')
  assert.equal(third!.computeCapability, null)
})

test('a machine without nvidia-smi, or with one that fails, has no GPU', () => {
  assert.deepEqual(
    listGpus(() => null),
    [],
  )
  assert.deepEqual(
    listGpus((_, args) => (args.length === 0 ? null : 'No devices were found\n')),
    [],
  )
})

test('what other processes hold of a GPU, where nvidia-smi lists this one', () => {
  const [first, second] = listGpus(answering)
  const processes: Ask = (_, args) => {
    assert.match(args[0]!, /^--query-compute-apps=gpu_uuid,pid,used_memory$/)
    return 'GPU-aaaa1111, 41, 1000\nGPU-bbbb2222, 42, 500\nGPU-aaaa1111, 42, 3000\nGPU-aaaa1111, 43, [N/A]\nGPU-aaaa1111, 44, 24\n'
  }
  assert.equal(bytesOfOthers(first!, processes, 42), 1024 * 2 ** 20)
  assert.equal(bytesOfOthers(first!, processes, 41), 3024 * 2 ** 20)
  assert.equal(bytesOfOthers(second!, processes, 42), 0)
  // A container: the process has another number outside.
  assert.equal(bytesOfOthers(first!, processes, 7), 0)
  assert.equal(
    bytesOfOthers(first!, () => null, 42),
    0,
  )
})

test('the GPU in use is the first visible one', () => {
  const gpus = listGpus(answering)
  const inUse = (visible: string | undefined) => gpuInUse(gpus, visible)?.index ?? null
  const cases: [string, number | null][] = [
    ['0', 0],
    ['0,1', 0],
    ['1, 0', 1],
    ['GPU-bbbb', 1],
    ['', null],
    ['-1', null],
    ['0,-1,1', 0],
    ['7', null],
  ]
  for (const [visible, expected] of cases) assert.equal(inUse(visible), expected, `CUDA_VISIBLE_DEVICES=${visible}`)
})

test('peak rates are those of the whole name, and unknown for what merely resembles one', () => {
  const bf16 = (name: string) => (peakRates(name)?.bf16 ?? 0) / 1e12
  assert.equal(bf16('NVIDIA A100-SXM4-80GB'), 312)
  assert.equal(bf16('NVIDIA H100 80GB HBM3'), 989.4)
  assert.equal(bf16('NVIDIA H100 PCIe'), 756)
  assert.equal(bf16('NVIDIA H200'), 989.4)
  assert.equal(bf16('NVIDIA A10G'), 70)
  assert.equal(bf16('NVIDIA L4'), 121)
  assert.equal(bf16('NVIDIA L40S'), 362)
  assert.deepEqual(peakRates('Tesla T4'), { of: 'T4', float32: 8.1e12, tf32: null, bf16: null })
  for (const name of ['NVIDIA GeForce RTX 4090 Laptop GPU', 'NVIDIA GeForce RTX 4090 D', 'AMD EPYC', 'NVIDIA L400'])
    assert.equal(peakRates(name), null, name)
})

test('what is known of a GPU with this TensorFlow: nothing, or that its driver compiles, is too old, or that it is too new', () => {
  const [a100, h100, k80] = listGpus(answering)
  const about = (gpu: typeof a100, change: object = {}) => gpuNotes({ ...gpu!, ...change }).join('\n')
  assert.equal(about(a100), '')
  assert.equal(about(k80), '')
  assert.match(about(h100), /first used.*\n.*driver 550\.54\.15 is older than 555/)
  assert.doesNotMatch(about(h100, { driver: '570.124' }), /older than/)
  assert.match(about(h100, { computeCapability: 12, driver: '570.124' }), /newer than this TensorFlow/)
  assert.match(about(k80, { computeCapability: 3.7 }), /TensorFlow needs 6\.0/)
})
