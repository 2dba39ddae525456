import { readFileSync } from 'node:fs'
import { gpuInUse, listGpus } from '../device/nvidiaSmi'
import { deviceReport } from './tensorflow'

/** Number type of matrix products: `bf16` rounds their operands, and what they give, to bfloat16; everything else is float32. */
export type Precision = 'float32' | 'bf16'

/** What this machine multiplies with. */
export interface Multiplier {
  device: 'CPU' | 'GPU'
  /** Its name, for messages. */
  name: string
  /** Instructions of a processor, as Linux names them; the compute capability of a GPU, null if it is not known. */
  instructions: readonly string[]
  computeCapability: number | null
}

/** Instructions that multiply bfloat16 numbers. */
const INSTRUCTIONS = ['avx512_bf16', 'amx_bf16']
/** From this compute capability on, a GPU's tensor cores multiply bfloat16 numbers (Ampere). */
const CAPABILITY = 8

let warned = false

/**
 * The precision that is used where `wanted` is asked for. A processor without AVX512_BF16 or AMX, or a GPU below compute capability 8.0, would
 * compute bfloat16 products slower than float32 ones: float32 is used instead, and one line says so, once in a process.
 */
export function usablePrecision(
  wanted: Precision,
  multiplier: Multiplier = thisMultiplier(),
  warn: (line: string) => void = warnOnce,
): Precision {
  if (wanted === 'float32') return wanted
  const { device, name, instructions, computeCapability } = multiplier
  if (device === 'GPU') {
    // Unknown: TensorFlow has the products for any GPU.
    if (computeCapability === null || computeCapability >= CAPABILITY) return wanted
    warn(
      `precision bf16: ${name} has compute capability ${computeCapability}, below ${CAPABILITY}.0, and no bfloat16 products; float32 is used`,
    )
    return 'float32'
  }
  if (INSTRUCTIONS.some((instruction) => instructions.includes(instruction))) return wanted
  warn(
    `precision bf16: this processor (${name}) has neither ${INSTRUCTIONS.join(' nor ')}, without which bfloat16 is slower than float32; float32 is used`,
  )
  return 'float32'
}

function warnOnce(line: string): void {
  if (warned) return
  warned = true
  process.stderr.write(`${line}\n`)
}

/** The device that TensorFlow computes with. */
export function thisMultiplier(): Multiplier {
  if (deviceReport().device === 'GPU') {
    const gpu = gpuInUse(listGpus())
    return {
      device: 'GPU',
      name: gpu?.name ?? 'this GPU',
      instructions: [],
      computeCapability: gpu?.computeCapability ?? null,
    }
  }
  const lines = readFileSync('/proc/cpuinfo', 'utf8').split('\n')
  const value = (key: string) =>
    lines
      .find((line) => line.startsWith(key))
      ?.split(':')[1]
      ?.trim()
  return {
    device: 'CPU',
    name: value('model name') ?? 'unknown model',
    instructions: value('flags')?.split(' ') ?? [],
    computeCapability: null,
  }
}
