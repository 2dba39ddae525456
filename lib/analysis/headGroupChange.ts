import { mean } from 'simple-statistics'
import type { Head } from '../rhythm/headSeries'
import type { CheckpointMeasures } from './checkpointMeasures'
import { jaccard } from './perturbation'
import type { MeasuredRun } from './rhythmChange'

export const HEAD_GROUPS = ['local', 'global', 'receiver'] as const

/** How far a group of heads is the same before and after training, as Jaccard similarities (heads in both / heads in either). */
export interface HeadGroupRow {
  run: string
  group: (typeof HEAD_GROUPS)[number]
  /** Heads of the calibrated group, of all heads of the model. */
  heads: number
  modelHeads: number
  /** Of the groups calibrated over all traces before and after. */
  calibrated: number
  /** For comparison, what chance does: of the groups calibrated over either half of one checkpoint's traces. */
  halvesBefore: number
  halvesAfter: number
  /** Mean over traces: own groups of an item's trace before and after. */
  own: number
  /** For comparison: own groups of neighbouring items' traces, of one checkpoint. */
  neighboursBefore: number
  neighboursAfter: number
}

/** Whether training changes which heads are local, global and receiver heads. Traces are paired in their order. */
export function headGroupChange(runs: readonly MeasuredRun[]): HeadGroupRow[] {
  return runs.flatMap(({ run, before, after }) =>
    HEAD_GROUPS.map((group) => {
      const own = (checkpoint: CheckpointMeasures) => checkpoint.trace.map(({ heads }) => heads[group])
      const [first, second] = [own(before), own(after)]
      return {
        ...{ run, group, heads: before.heads.whole[group].length },
        modelHeads: [...before.spans.values()][0]!.flat().length,
        calibrated: headJaccard(before.heads.whole[group], after.heads.whole[group]),
        halvesBefore: headJaccard(before.heads.even[group], before.heads.odd[group]),
        halvesAfter: headJaccard(after.heads.even[group], after.heads.odd[group]),
        own: mean(first.map((heads, i) => headJaccard(heads, second[i]!))),
        neighboursBefore: meanOfNeighbours(first),
        neighboursAfter: meanOfNeighbours(second),
      }
    }),
  )
}

/** Heads in both groups as a share of the heads in either; 1 for two empty groups. */
export const headJaccard = (a: readonly Head[], b: readonly Head[]): number =>
  jaccard(new Set(a.map(String)), new Set(b.map(String))) ?? 1

const meanOfNeighbours = (groups: readonly (readonly Head[])[]) =>
  mean(groups.slice(1).map((heads, i) => headJaccard(groups[i]!, heads)))
