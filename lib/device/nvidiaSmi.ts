import { spawnSync } from 'node:child_process'

/** An NVIDIA GPU, as its driver describes it. */
export interface GpuInfo {
  /** The number that nvidia-smi gives it. */
  index: number
  uuid: string
  name: string
  driver: string
  /** The newest CUDA that the driver can run, such as `12.4`; null where nvidia-smi does not say. */
  driverCuda: string | null
  memoryBytes: number
  /** Such as 9 for `9.0`; null where it is not known. */
  computeCapability: number | null
}

/** Runs a program and gives what it printed; null if it is not there or failed. */
export type Ask = (command: string, args: string[]) => string | null

const askProgram: Ask = (command, args) => {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 })
  return status === 0 ? stdout : null
}

const FIELDS = 'index,uuid,name,driver_version,memory.total,compute_cap'

/** Every GPU of the machine, empty where there is none or no nvidia-smi. */
export function listGpus(ask: Ask = askProgram): GpuInfo[] {
  const rows = ask('nvidia-smi', [`--query-gpu=${FIELDS}`, '--format=csv,noheader,nounits'])
  if (rows === null) return []
  const driverCuda = /CUDA Version:\s*([\d.]+)/.exec(ask('nvidia-smi', []) ?? '')?.[1] ?? null
  return cellsOf(rows)
    .filter((cells) => cells.length === FIELDS.split(',').length)
    .map(([index, uuid, name, driver, mebibytes, capability]) => ({
      index: Number(index),
      uuid: uuid!,
      name: name!,
      driver: driver!,
      driverCuda,
      memoryBytes: Number(mebibytes) * 2 ** 20,
      computeCapability: Number(capability) || null,
    }))
}

/** The cells of what nvidia-smi prints as CSV without a header, line by line. */
const cellsOf = (rows: string): string[][] => rows.split('\n').map((line) => line.split(',').map((cell) => cell.trim()))

/** Bytes of a GPU that other processes hold; 0 where nvidia-smi does not list this process, as in containers: then it cannot tell them apart. */
export function bytesOfOthers({ uuid }: GpuInfo, ask: Ask = askProgram, pid: number = process.pid): number {
  const rows = ask('nvidia-smi', ['--query-compute-apps=gpu_uuid,pid,used_memory', '--format=csv,noheader,nounits'])
  const held = cellsOf(rows ?? '').filter(([gpu]) => gpu === uuid)
  if (!held.some(([, own]) => Number(own) === pid)) return 0
  const others = held.filter(([, own]) => Number(own) !== pid)
  return others.reduce((sum, [, , mebibytes]) => sum + (Number(mebibytes) || 0) * 2 ** 20, 0)
}

/**
 * The GPU that TensorFlow computes on: the first that CUDA_VISIBLE_DEVICES names (by number or UUID), the first of all without it, null if it
 * names none. Numbers are nvidia-smi's if CUDA_DEVICE_ORDER is PCI_BUS_ID, or all GPUs are alike.
 */
export function gpuInUse(
  gpus: readonly GpuInfo[],
  visible: string | undefined = process.env.CUDA_VISIBLE_DEVICES,
): GpuInfo | null {
  const name = (visible ?? '0').split(',')[0]!.trim()
  const isNumber = /^\d+$/.test(name)
  return (
    gpus.find(({ index, uuid }) => (isNumber ? index === Number(name) : name !== '' && uuid.startsWith(name))) ?? null
  )
}
