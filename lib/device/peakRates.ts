/** Products of matrices that a device could do at most, without sparsity, in floating-point operations a second; null: it has no such unit. */
export interface PeakRates {
  /** In the device's own words, which the name of the GPU at hand contains. */
  of: string
  float32: number
  tf32: number | null
  bf16: number | null
}

const peak = (of: string, float32: number, tf32: number | null, bf16: number | null): PeakRates => ({
  of,
  float32: float32 * 1e12,
  tf32: tf32 === null ? null : tf32 * 1e12,
  bf16: bf16 === null ? null : bf16 * 1e12,
})

/** From NVIDIA's data sheets: dense rates at boost clock, bf16 with float32 sums. The first name that fits counts. */
const KNOWN: readonly PeakRates[] = [
  peak('B200', 75, 1125, 2250),
  peak('GH200', 67, 494.7, 989.4),
  peak('H200 NVL', 60, 417.5, 835.5),
  peak('H200', 67, 494.7, 989.4),
  peak('H100 NVL', 60, 417.5, 835.5),
  peak('H100 PCIe', 51, 378, 756),
  peak('H100', 67, 494.7, 989.4),
  peak('A100', 19.5, 156, 312),
  peak('A10G', 31.5, 35, 70),
  peak('A10', 31.2, 62.5, 125),
  peak('A40', 37.4, 74.8, 149.7),
  peak('L40S', 91.6, 183, 362),
  peak('L4', 30.3, 60, 121),
  peak('RTX A6000', 38.7, 77.4, 154.8),
  peak('RTX 3090', 35.6, 35.6, 71),
  peak('RTX 4090', 82.6, 82.6, 165.2),
  peak('V100 SXM2', 15.7, null, null),
  peak('V100 PCIE', 14, null, null),
  peak('T4', 8.1, null, null),
]

/** What the GPU of this name could do at most; null where it is not among those known, as for every CPU. */
export function peakRates(name: string): PeakRates | null {
  const words = ` ${name.replace(/[^A-Za-z0-9]+/g, ' ')} `
  // Slower chips of the same name.
  if (/ (Laptop|D|Max Q) /.test(words)) return null
  return KNOWN.find(({ of }) => words.includes(` ${of} `)) ?? null
}
