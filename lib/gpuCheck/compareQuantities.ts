import type { CheckPrecision, Difference } from '../device/checkReport'

type Values = Record<string, Float32Array>

/**
 * What counts as agreement. Float32 with its products in full precision leaves differences of order 1e-6, which a few layers make larger; TF32
 * keeps 10 bits of a product's factors (a rounding of 5e-4), bf16 7 bits (4e-3). A head that is about as local as another changes groups with either,
 * and with it the weight of some tokens: on an H200 one of twenty, 6 % of the weights.
 */
const LIMITS: Record<CheckPrecision, Record<Difference['measure'], number>> = {
  float32: { largest: 1e-3, length: 1e-3, jaccard: 0.95, equal: 0.99 },
  tf32: { largest: 2e-2, length: 2e-2, jaccard: 0.9, equal: 0.9 },
  bf16: { largest: 5e-2, length: 1e-1, jaccard: 0.9, equal: 0.9 },
}

/** How far `ours` is from `reference`, a row for each quantity. Throws where one has what the other has not, or other lengths. */
export function compareQuantities(ours: Values, reference: Values, precision: CheckPrecision): Difference[] {
  const missing = [...Object.keys(ours), ...Object.keys(reference)].find((name) => !(name in ours && name in reference))
  if (missing) throw new Error(`${missing} was computed on one device alone`)
  return Object.entries(ours).map(([name, values]) => {
    const [section, quantity] = name.split('/') as [string, string]
    const other = reference[name]!
    const measure = measureOf(quantity)
    if (measure !== 'jaccard' && values.length !== other.length)
      throw new Error(`${name} has ${values.length} numbers here and ${other.length} on the CPU`)
    const value = MEASURES[measure](values, other)
    const limit = LIMITS[precision][measure]
    // A value that is not a number agrees with nothing.
    const agrees = measure === 'jaccard' || measure === 'equal' ? value >= limit : value <= limit
    return { precision, section, quantity, measure, value: Number.isFinite(value) ? value : 1e30, limit, agrees }
  })
}

function measureOf(quantity: string): Difference['measure'] {
  if (quantity.startsWith('heads ')) return 'jaccard'
  if (quantity === 'gamma' || quantity === 'tokens drawn') return 'equal'
  return quantity === 'gradient' || quantity.startsWith('update') ? 'length' : 'largest'
}

const MEASURES: Record<Difference['measure'], (a: Float32Array, b: Float32Array) => number> = {
  largest: (a, b) => {
    let [difference, largest] = [0, 0]
    for (let i = 0; i < b.length; i++) {
      difference = Math.max(difference, Math.abs(a[i]! - b[i]!))
      largest = Math.max(largest, Math.abs(b[i]!))
    }
    return difference === 0 ? 0 : difference / largest
  },
  length: (a, b) => {
    let [difference, whole] = [0, 0]
    for (let i = 0; i < b.length; i++) {
      difference += (a[i]! - b[i]!) ** 2
      whole += b[i]! ** 2
    }
    return difference === 0 ? 0 : Math.sqrt(difference / whole)
  },
  jaccard: (a, b) => {
    const [first, second] = [new Set(a), new Set(b)]
    const both = [...first].filter((head) => second.has(head)).length
    return both / (first.size + second.size - both)
  },
  equal: (a, b) => a.filter((value, i) => value === b[i]).length / b.length,
}
