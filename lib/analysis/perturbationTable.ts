import type { PerturbationScore } from './perturbation'

/** A quantity of Table 1. */
export interface PerturbationRow {
  quantity: string
  value: number | null
  low: number | null
  high: number | null
  /** Null where the paper gives none. */
  paper: number | null
  problems: number
  /** Problems that could not be scored. */
  leftOut: number
}

/** Table 1 as rows. Intervals are over problems; similarities and the probability are fractions. */
export function perturbationTable({
  top,
  bottom,
  difference,
  probability,
  ...rest
}: PerturbationScore): PerturbationRow[] {
  const { problems, leftOut, paper } = rest
  const row = (quantity: string, { value, low, high }: PerturbationScore['top'], own: number | null) => ({
    ...{ quantity, value, low, high },
    ...{ paper: own, problems, leftOut },
  })
  return [
    row('Jaccard of top-FAI positions', top, paper.top),
    row('Jaccard of bottom-FAI positions', bottom, paper.bottom),
    row('bottom less top', difference, paper.bottom - paper.top),
    row('Pr(top < bottom)', probability, paper.probability),
  ]
}
