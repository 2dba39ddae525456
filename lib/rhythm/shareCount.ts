import { InvalidArgument } from './invalidArgument'

/**
 * Number of members in the share `q` of `n`: exactly `ceil(q * n)` of the decimal number `q` as written, so that
 * `0.07 * 100 = 7.000000000000001` gives 7.
 */
export function shareCount(q: number, n: number): number {
  if (!(q >= 0 && q <= 1)) throw new InvalidArgument(`invalid share ${q}: not in [0, 1]`)
  return Math.max(0, Math.ceil(q * n - 1e-9))
}
