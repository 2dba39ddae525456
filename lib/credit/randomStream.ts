import { mersenne, unsafeUniformIntDistribution } from 'pure-rand'
import { InvalidArgument } from '../rhythm/invalidArgument'

/** A reproducible stream of random numbers: the same seed gives the same numbers everywhere. */
export interface RandomStream {
  /** A whole number from 0 to `n - 1`, each equally likely. */
  below(n: number): number
  /** A number in [0, 1) with 53 random bits. */
  uniform(): number
  /** 0, 1, …, `n - 1` in random order, each order equally likely. */
  permutation(n: number): number[]
}

/** @param seed a whole number from 0 to 2³² - 1 */
export function randomStream(seed: number): RandomStream {
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32))
    throw new InvalidArgument(`invalid seed ${seed}: expected a whole number from 0 to ${2 ** 32 - 1}`)
  const generator = mersenne(seed | 0)
  const below = (n: number) => unsafeUniformIntDistribution(0, n - 1, generator)
  return {
    below,
    uniform: () => (below(2 ** 27) * 2 ** 26 + below(2 ** 26)) / 2 ** 53,
    permutation: (n) => {
      const order = Array.from({ length: n }, (_, i) => i)
      for (let i = n - 1; i > 0; i--) {
        const j = below(i + 1)
        const held = order[i]!
        order[i] = order[j]!
        order[j] = held
      }
      return order
    },
  }
}
