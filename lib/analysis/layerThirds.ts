import { type Table2Options, type Table2Row, table2 } from './table2'
import type { TraceMeasures } from './traceMeasures'

/** The thirds of Table 10. */
export const THIRDS = ['bottom', 'middle', 'top'] as const
export type Third = (typeof THIRDS)[number]

/** A row of Table 10; the paper says of each that its lift is positive. */
export interface LayerThirdRow extends Table2Row {
  third: string
  /** Whether the lift is positive, as in the paper; null where the lift is undefined. */
  positive: boolean | null
}

/** Table 10: Table 2 with the heads of the bottom, middle or top third of the layers. */
export function layerThirds(
  measures: Readonly<Record<Third, readonly TraceMeasures[]>>,
  set: string,
  options: Table2Options = {},
): LayerThirdRow[] {
  return THIRDS.flatMap((third) =>
    table2(measures[third], set, options).map((row) => ({
      ...row,
      third,
      positive: row.lift === null ? null : row.lift > 0,
      // The paper's numbers are of all layers.
      paperObserved: null,
      paperBaseline: null,
      paperLift: null,
      paperNote: 'the paper reports a positive lift',
    })),
  )
}
