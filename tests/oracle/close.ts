import assert from 'node:assert/strict'

/** Asserts that two arrays of numbers agree to within `tolerance` at every place; nulls must be in the same places. */
export function assertClose(
  actual: ArrayLike<number | null>,
  expected: ArrayLike<number | null>,
  tolerance = 1e-12,
  message = '',
): void {
  assert.equal(actual.length, expected.length, `${message} length`)
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!]
    const same = a === null || e === null ? a === e : Math.abs(a - e) <= tolerance
    assert.ok(same, `${message} [${i}]: ${a}, expected ${e}`)
  }
}
