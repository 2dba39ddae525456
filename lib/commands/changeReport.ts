import type { ChangeTables } from '../analysis/changeTables'
import { liftText, shareText } from '../analysis/estimateText'
import { ALL_RUNS } from '../analysis/rhythmChange'
import { tableOf, tableText } from '../notebook/table'

type Row = ChangeTables['change'][number]

/** The means over runs as text, a table for each reading and kind of quantity, and the head groups. */
export function changeReport({ change, headGroups }: ChangeTables): string {
  const means = change.filter(({ run }) => run === ALL_RUNS)
  const block = (title: string, rows: object[]) =>
    rows.length === 0 ? [] : [tableText(tableOf(rows, { title, limit: 200 }))]
  const setting = means.find(({ unit }) => unit === 'lift')?.setting
  const first = means[0]!
  const readings = [...new Set(means.map(({ reading }) => reading))]
  return [
    `${first.runs} runs, ${first.items} items; after minus before, means over runs, 95 % intervals over items`,
    ...readings.flatMap((reading) => {
      const rows = means.filter((row) => row.reading === reading)
      const lifts = rows.filter(({ unit }) => unit === 'lift')
      return [
        ...block(
          `Lifts of Table 2, ${reading} (${setting})`,
          lifts.filter((row) => row.setting === setting).map((row) => ({ ...liftColumns(row), ...values(row) })),
        ),
        ...block(
          `Other quantities, ${reading}`,
          rows
            .filter(({ unit }) => unit !== 'lift')
            .map((row) => ({ quantity: row.quantity, heads: row.heads ?? '', ...values(row) })),
        ),
        ...block(
          `Lifts with other windows and horizons, ${reading} (own heads)`,
          lifts
            .filter((row) => row.setting !== setting)
            .map((row) => ({ quantity: row.quantity, setting: row.setting, ...values(row) })),
        ),
      ]
    }),
    ...block(
      'Head groups before and after: Jaccard; beside it what halves and neighbours of one checkpoint have',
      headGroups,
    ),
  ].join('\n\n')
}

const liftColumns = ({ quantity, baseline, heads, peakMode }: Row) => ({ quantity, baseline, heads, peaks: peakMode })

function values(row: Row) {
  return {
    before: valueText(row, row.before),
    after: valueText(row, row.after),
    difference: differenceText(row),
    'same sign': `${row.sameSign} of ${row.runs}`,
  }
}

/** Differences of lifts and shares are in percentage points. */
const differenceText = (row: Row) =>
  (row.unit === 'share' ? liftText : valueText.bind(null, row))(
    row.difference,
    row.differenceLow,
    row.differenceHigh,
  ).replace(' %', ' points')

function valueText({ unit }: Row, value: number | null, low: number | null = null, high: number | null = null): string {
  if (unit === 'lift') return liftText(value, low, high)
  if (unit === 'share') return shareText(value, low, high)
  if (value === null) return 'undefined'
  const interval = low === null || high === null ? '' : ` [${low.toFixed(3)}, ${high.toFixed(3)}]`
  return `${value.toFixed(3)} ${unit}${interval}`
}
