import type { SweepRecord } from '../analysis/sweepRow'
import type { SweepTables } from '../analysis/sweepTableSet'
import { tableOf, tableText } from '../notebook/table'

/** The tables as text, the paper's values beside ours: accuracies in percent, differences in points. */
export function sweepReport(record: SweepRecord, tables: SweepTables): string {
  const { arms, comparisons, power } = tables
  const open = record.rows.filter(({ state }) => state !== 'finished')
  const paper = arms.some(({ paperAccuracy }) => paperAccuracy !== null)
  const ownBaselines = new Set(comparisons.map(({ baseline }) => baseline)).size > 1
  const block = (title: string, rows: object[]) =>
    rows.length === 0 ? [] : [tableText(tableOf(rows, { title, limit: 1000 }))]
  return [
    ...(open.length > 0
      ? [`${record.name}: ${open.length} of ${record.rows.length} runs are not finished and left out`]
      : []),
    ...block(
      `${record.name}: accuracy of sampled responses in %, 95 % intervals over seeds`,
      arms.map((row) => ({
        arm: row.arm,
        seeds: row.seeds,
        'warm-ups': row.warmups,
        final: withInterval(row.final, row.finalLow, row.finalHigh, 100),
        best: number(row.best, 100),
        'mean of curve': number(row.area, 100),
        'final greedy': number(row.finalGreedy, 100),
        ...(row.threshold === null
          ? {}
          : { [`steps to ${100 * row.threshold} %`]: stepsText(row.stepsToThreshold, row.reached) }),
        'mean gamma': number(row.meanCredit, 1, 3),
        minutes: number(row.minutes, 1),
        ...(paper ? { paper: number(row.paperAccuracy, 1) } : {}),
      })),
    ),
    ...block(
      `Differences to ${ownBaselines ? 'the arm beside each' : comparisons[0]?.baseline} in points (${comparisons[0]?.measure}), paired by seed and warm-up; p by sign flips, and after Holm's correction`,
      comparisons.map((row) => ({
        arm: row.arm,
        ...(ownBaselines ? { less: row.baseline } : {}),
        pairs: row.pairs,
        difference: withInterval(row.difference, row.low, row.high, 100, true),
        spread: number(row.spread, 100),
        ahead: `${row.ahead} of ${row.pairs}`,
        p: number(row.p, 1, 4),
        'p (Holm)': number(row.adjustedP, 1, 4),
        'smallest p': number(row.smallestP, 1, 4),
        'visible from': number(row.visible, 100),
        ...(paper ? { paper: signed(row.paperDifference, 1) } : {}),
      })),
    ),
    ...block(
      'Seeds that it takes to see a difference (two-sided test at 5 %, power 80 %)',
      power.map((row) => ({
        'points to see': number(row.difference, 100),
        'spread of differences': withInterval(row.spread, row.spreadLow, row.spreadHigh, 100),
        'estimated from': `${row.pairs} pairs`,
        seeds: row.seeds,
        'if the spread is at its upper bound': row.seedsHigh,
        'all arms at once': row.seedsForAll,
      })),
    ),
  ].join('\n\n')
}

function number(value: number | null, factor: number, digits = 1): string | null {
  return value === null ? null : (factor * value).toFixed(digits)
}

function signed(value: number | null, factor: number): string | null {
  return value === null ? null : `${value < 0 ? '' : '+'}${(factor * value).toFixed(1)}`
}

function withInterval(
  value: number | null,
  low: number | null,
  high: number | null,
  factor: number,
  sign = false,
): string | null {
  const shown = sign ? signed(value, factor) : number(value, factor)
  return shown === null || low === null || high === null
    ? shown
    : `${shown} [${number(low, factor)}, ${number(high, factor)}]`
}

function stepsText(steps: number | null, reached: number | null): string {
  if (steps === null || reached === null) return 'never'
  return `${steps.toFixed(0)}${reached < 1 ? ` (${(100 * reached).toFixed(0)} % of runs)` : ''}`
}
