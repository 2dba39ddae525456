import { randomStream } from '../../lib/random/randomStream'

/** Random causal attention `[t][s]` with rows that sum to 1, some of them peaked, from a seed. */
export function randomAttention(length: number, seed: number): number[][] {
  const { uniform } = randomStream(seed)
  return Array.from({ length }, (_, t) => {
    const weights = Array.from({ length: t + 1 }, () => uniform() ** (1 + 8 * uniform()))
    const total = weights.reduce((sum, w) => sum + w, 0)
    return weights.map((w) => w / total)
  })
}

/** `[layers][heads]` random attention matrices of one sequence. */
export function randomPatterns(layers: number, heads: number, length: number, seed: number): number[][][][] {
  return Array.from({ length: layers }, (_, l) =>
    Array.from({ length: heads }, (_, h) => randomAttention(length, seed * 1000 + l * heads + h)),
  )
}
