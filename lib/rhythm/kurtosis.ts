/**
 * Excess kurtosis (Fisher, biased): `m4 / m2² - 3`, as `scipy.stats.kurtosis`. `null` where it is undefined: fewer than
 * two values, or values that are constant up to the rounding of their type.
 */
export function kurtosis(values: ArrayLike<number>): number | null {
  const n = values.length
  if (n < 2) return null
  let mean = 0
  for (let i = 0; i < n; i++) mean += values[i]!
  mean /= n
  let m2 = 0
  let m4 = 0
  for (let i = 0; i < n; i++) {
    const square = (values[i]! - mean) ** 2
    m2 += square
    m4 += square * square
  }
  m2 /= n
  m4 /= n
  const epsilon = values instanceof Float32Array ? 2 ** -23 : Number.EPSILON
  return m2 <= (epsilon * mean) ** 2 ? null : m4 / (m2 * m2) - 3
}
