import { mersenne, unsafeUniformIntDistribution } from 'pure-rand'

/** A reproducible stream of random numbers: the same seed gives the same numbers everywhere. */
export interface RandomStream {
  /** A whole number from 0 to `n - 1`, each equally likely. */
  below(n: number): number
  /** A number in [0, 1) with 53 random bits. */
  uniform(): number
  /** A normally distributed number with mean 0 and variance 1. */
  normal(): number
  /** 0, 1, …, `n - 1` in random order, each order equally likely. */
  permutation(n: number): number[]
}

/**
 * The stream of a seed, a whole number from 0 to 2³² - 1. Further whole numbers (a sequence's index, a step) name streams of
 * their own that look independent of each other. Throws a RangeError on any other seed.
 */
export function randomStream(seed: number, ...keys: number[]): RandomStream {
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32)) {
    throw new RangeError(`invalid seed ${seed}: expected a whole number from 0 to ${2 ** 32 - 1}`)
  }
  // Made when first asked: a generator's state takes longer to fill than most strategies of credit take, which draw nothing.
  let generator: ReturnType<typeof mersenne> | undefined
  const below = (n: number) => {
    generator ??= mersenne(keys.reduce((state, key) => mix((mix(state) + key) | 0), seed | 0))
    return unsafeUniformIntDistribution(0, n - 1, generator)
  }
  const uniform = () => (below(2 ** 27) * 2 ** 26 + below(2 ** 26)) / 2 ** 53
  return {
    below,
    uniform,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
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

/** A bijection on 32-bit integers in which every input bit changes about half of the output bits. */
function mix(x: number): number {
  let z = (x + 0x9e3779b9) | 0
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
  return z ^ (z >>> 16)
}
