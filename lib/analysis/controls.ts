import type { NamedSets } from './compareSets'
import { BOTH_MODES, type LiftRow, liftRow, paperBaseline, selectionsOf, type TableOptions } from './liftRow'
import { LiftStatistic, pooledLift } from './lifts'
import { RHYTHM_ROWS } from './rhythmRows'
import type { TraceMeasures } from './traceMeasures'

export interface ControlOptions extends TableOptions {
  /** Bins of equal width of a token's relative position in its response, for the position-matched baseline. Default 10. */
  positionBins?: number
}

/** A lift of Table 2 over one of the baselines. */
export interface ControlRow extends LiftRow {
  /**
   * `paper`; `same class`: tokens of the same class; `same position`: tokens in the same part of a response. Matched baselines are
   * means over all tokens of the set, weighted as the looked-at tokens are.
   */
  control: 'paper' | 'same class' | 'same position'
}

/**
 * Every lift of Table 2 beside its controls: baselines matched by token class and by position, so that neither syntax nor
 * place is taken for planning. Give the traces of a model with permuted weights on the same texts as a second set: what it
 * has of a lift was not learned.
 */
export function controls(sets: NamedSets, options: ControlOptions = {}): ControlRow[] {
  const { peakModes = BOTH_MODES, bootstrap, positionBins = 10 } = options
  return peakModes.flatMap((mode) =>
    RHYTHM_ROWS.flatMap((row) =>
      Object.entries(sets).flatMap(([set, measures]) => {
        const classes = [...new Set(measures.flatMap((trace) => trace.classes))].filter((name) => name !== null)
        const asked = selectionsOf(measures, row, mode)
        const line = (control: ControlRow['control'], statistic: LiftStatistic, strata?: StrataOf): ControlRow => {
          const selections = asked.map(({ trace, selection }) => ({ ...selection, strata: strata?.(trace) }))
          const lift = pooledLift(selections, statistic, bootstrap)
          const columns = liftRow(measures, set, row, mode, asked, lift)
          if (control !== 'same class') return { ...columns, control }
          const peaks = selections.reduce((sum, s) => sum + s.selected.filter((t) => s.strata![t]! >= 0).length, 0)
          return { ...columns, control, peaks }
        }
        const number = new Map(classes.map((name, i) => [name, i]))
        return [
          line('paper', new LiftStatistic(paperBaseline(row))),
          line('same class', new LiftStatistic('strata', classes.length), (trace) =>
            trace.classes.map((name) => (name === null ? -1 : number.get(name)!)),
          ),
          line('same position', new LiftStatistic('strata', positionBins), (trace) =>
            Array.from({ length: trace.tokens }, (_, t) => Math.floor((t * positionBins) / trace.tokens)),
          ),
        ]
      }),
    ),
  )
}

type StrataOf = (trace: TraceMeasures) => ArrayLike<number>
