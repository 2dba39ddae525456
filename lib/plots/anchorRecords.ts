import { type PlottedTrace, responseTokens } from './plottedTrace'
import { visibleToken } from './tokenText'

/** One anchor: a token that later ones return to (Eq. 16), and the token that introduces it where it is locally dominated (Eq. 18). */
export interface AnchorRecord {
  /** Position in the response, from 0. */
  position: number
  anchor: string
  /** The response around it. */
  context: string
  /** FAI in percent. */
  fai: number
  /** WAAD in tokens. */
  waad: number
  /** Low WAAD after a large drop: part of its credit goes to its introducer. */
  dominated: boolean
  introducerPosition: number | null
  introducer: string | null
}

/** The anchors of a trace's `rl` block, highest FAI first: rows for a table. Spaces are written as ·. */
export function anchorRecords(trace: PlottedTrace): AnchorRecord[] {
  const { rl } = trace.rhythm
  if (!rl?.credit?.['global-anchor'] || !rl.coupling) {
    throw new Error("this trace has no credit; trace it with the strategies 'global-anchor' and 'coupled'")
  }
  const tokens = responseTokens(trace)
  const { dominated, introducedBy } = rl.coupling
  const gamma = rl.credit['global-anchor']
  const shown = (position: number) => visibleToken(tokens[position], 24)
  const anchors = Array.from(gamma, (_, position) => position).filter((position) => gamma[position] !== 1)
  return anchors
    .map((position) => {
      const index = dominated.indexOf(position)
      const introducer = index >= 0 ? (introducedBy?.[index] ?? null) : null
      return {
        position,
        anchor: shown(position),
        context: visibleToken(tokens.slice(Math.max(0, position - 4), position + 4).join(''), 60).replace(/·/g, ' '),
        fai: 100 * (rl.fai[position] ?? Number.NaN),
        waad: rl.waad[position] ?? Number.NaN,
        dominated: index >= 0,
        introducerPosition: introducer,
        introducer: introducer === null ? null : shown(introducer),
      }
    })
    .sort((a, b) => b.fai - a.fai || a.position - b.position)
}
