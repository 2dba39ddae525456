import type { SweepRecord } from './sweepRow'
import {
  type ArmRow,
  armTable,
  type ComparisonRow,
  comparisonTable,
  type PowerRow,
  powerTable,
  type SweepTableOptions,
} from './sweepTables'

/** The tables of a sweep, as `rhythm compare` writes them. */
export interface SweepTables {
  arms: ArmRow[]
  comparisons: ComparisonRow[]
  power: PowerRow[]
  /** Every run with its labels in columns of their own. */
  cells: object[]
  /** Every evaluation of every run. */
  curves: object[]
}

export interface SweepReportOptions extends SweepTableOptions {
  /** Share of sampled accuracy. */
  threshold?: number
}

/** All tables of a sweep as plain rows, which arquero's `from` and danfojs's `DataFrame` take. */
export function sweepTables(record: SweepRecord, options: SweepReportOptions = {}): SweepTables {
  return {
    arms: armTable(record, options),
    comparisons: comparisonTable(record, options),
    power: powerTable(record, options),
    cells: record.rows.map(({ evaluations, reward, labels, ...row }) => ({
      ...row,
      ...labels,
      first: evaluations[0]?.sampled ?? null,
      final: evaluations.at(-1)?.sampled ?? null,
    })),
    curves: record.rows.flatMap(({ arm, seed, warmup, evaluations }) =>
      evaluations.map((evaluation) => ({ arm, seed, warmup, ...evaluation })),
    ),
  }
}
