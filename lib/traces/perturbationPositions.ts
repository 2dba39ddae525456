import type { TraceRhythm } from '../credit/traceRhythm'

/** Where a response is perturbed, counted from the first response token. */
export interface PerturbedPosition {
  position: number
  kind: 'top' | 'bottom'
  /** FAI of the token there. */
  fai: number
  /** Entropy in nats of the distribution that produced it. */
  entropy: number
}

export interface PositionOptions {
  /** The block of the trace record whose FAI ranks positions. Default `analysis` (all layers, the rest of the response). */
  block?: 'analysis' | 'rl'
  /** Positions of each kind. Default 5. */
  positions?: number
  /** Response tokens that must follow a position. Default: as many as a roll-out has. */
  following?: number
  /** `entropy`: each top position is compared with the one of the lower half by FAI that is closest in entropy. Default null: the lowest. */
  match?: 'entropy' | null
}

/**
 * The positions with the highest and the lowest FAI (Table 1). Eligible are tokens with a defined FAI after which the response has at
 * least `following` tokens: FAI of the last tokens averages over few rows, and little would be left to change. Ties go to the earlier
 * position. Where fewer than twice `positions` are eligible, both kinds have half of them; no position is in both.
 * @param following response tokens that must follow
 */
export function perturbedPositions(
  record: Pick<TraceRhythm, 'analysis' | 'rl' | 'entropy'>,
  options: PositionOptions & { following: number },
): PerturbedPosition[] {
  const { block = 'analysis', positions = 5, following, match = null } = options
  const { fai, faiValid } = record[block]
  const ranked = fai
    .map((value, position) => ({ position, fai: value, entropy: record.entropy[position]! }))
    .filter(({ position }) => faiValid[position] && position + following < fai.length)
    .sort((a, b) => b.fai - a.fai || a.position - b.position)
  const count = Math.min(positions, Math.floor(ranked.length / 2))
  const top = ranked.slice(0, count)
  const lower = ranked.slice(Math.max(count, Math.ceil(ranked.length / 2)))
  const bottom = match === 'entropy' ? nearestInEntropy(top, lower) : ranked.slice(ranked.length - count)
  return [
    ...top.map((chosen) => ({ ...chosen, kind: 'top' as const })),
    ...bottom.map((chosen) => ({ ...chosen, kind: 'bottom' as const })),
  ]
}

function nearestInEntropy<T extends { entropy: number }>(top: readonly T[], candidates: readonly T[]): T[] {
  const left = [...candidates]
  return top.flatMap(({ entropy }) => {
    const distances = left.map((candidate) => Math.abs(candidate.entropy - entropy))
    return left.splice(distances.indexOf(Math.min(...distances)), 1)
  })
}
