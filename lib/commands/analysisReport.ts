import type { AnalysisTables } from '../analysis/analyzeTraces'
import { liftText, shareText } from '../analysis/estimateText'
import type { LiftRow } from '../analysis/liftRow'
import { PAPER_SETTING, PAPER_VALUES } from '../analysis/paperValues'
import type { PerturbationRow } from '../analysis/perturbationTable'
import { type TableOptions, tableOf, tableText } from '../notebook/table'

/** The main tables as text, beside the paper's values, the peak mode beside every number. */
export function analysisReport(tables: AnalysisTables, perturbation: readonly PerturbationRow[] = []): string {
  const block = (title: string, rows: object[], options: TableOptions = {}) =>
    rows.length === 0 ? [] : [tableText(tableOf(rows, { title, limit: 200, ...options }))]
  return [
    ...block('Trace sets', tables.summary.map(summaryLine)),
    ...block(`Table 2 (the paper's: ${PAPER_SETTING}); lifts with 95 % intervals over traces`, table2Lines(tables)),
    ...block(
      'Table 2 and its controls: lift over each baseline, and of the same model untrained',
      controlLines(tables),
    ),
    ...block(
      'Table 10: by thirds of the layers (in the paper all are positive)',
      byMode(tables.layerThirds, (row) => ({ layers: row.third, lift: lift(row) })),
    ),
    ...block(
      `Table 12: side by side (in the paper ${PAPER_TABLE_12})`,
      tables.sideBySide.map((row) => ({ set: row.set, claim: claim(row), peaks: row.peakMode, lift: lift(row) })),
    ),
    ...block(
      'Differences of lifts',
      tables.differences.map((row) => ({
        'compared with': row.comparedWith,
        claim: claim(row),
        peaks: row.peakMode,
        'difference (points)': liftText(row.difference, row.differenceLow, row.differenceHigh).replace(' %', ''),
      })),
    ),
    ...block(
      'Table 20: where peaks of one series lie beside those of another',
      firstMode(tables.peakOverlap).map((row) => ({
        peaks: row.peakMode,
        first: row.first,
        second: row.second,
        exact: shareText(row.exact, row.exactLow, row.exactHigh),
        'one after': shareText(row.previous, row.previousLow, row.previousHigh),
        'one before': shareText(row.next, row.nextLow, row.nextHigh),
        'at random': shareText(row.expected),
      })),
    ),
    ...block(
      'The beat: entropy around WAAD peaks, against its mean',
      firstMode(tables.entropyAroundPeaks).map((row) => ({ peaks: row.peakMode, offset: row.offset, lift: lift(row) })),
    ),
    ...block(
      'Table 1: another token forced, by FAI; intervals over problems',
      perturbation.map(({ quantity, value, low, high, paper, problems }) => ({
        quantity,
        value: shareText(value, low, high),
        paper: shareText(paper),
        problems,
      })),
    ),
  ].join('\n\n')
}

const table12 = PAPER_VALUES.filter(({ table }) => table === '12')
const PAPER_TABLE_12 = `${table12[0]!.model}: ${table12.map((value) => liftText(value.lift)).join(', ')}, in the order of its table`

const lift = (row: Pick<LiftRow, 'lift' | 'liftLow' | 'liftHigh'>) => liftText(row.lift, row.liftLow, row.liftHigh)
const claim = (row: Pick<LiftRow, 'claim' | 'alignment'>) =>
  row.alignment === 'next token' ? `${row.claim} (next token)` : row.claim
const firstMode = <Row extends { peakMode: string | null }>(rows: readonly Row[]) =>
  rows.filter((row) => row.peakMode === rows[0]!.peakMode)

function byMode<Row extends LiftRow>(rows: readonly Row[], columns: (row: Row) => object): object[] {
  return rows.map((row) => ({ claim: claim(row), peaks: row.peakMode, ...columns(row) }))
}

function summaryLine({ set, ...row }: AnalysisTables['summary'][number]) {
  const judged = row.correct + row.wrong
  return {
    ...{ set, traces: row.traces, problems: row.problems, tokens: row.tokens, truncated: row.truncated },
    correct: judged === 0 ? 'none judged' : `${row.correct} of ${judged}`,
    'no answer': row.unjudged,
    peaks: row.peakMode,
    'WAAD peaks': shareText(row.waadPeakShare),
    'FAI peaks': shareText(row.faiPeakShare),
  }
}

function table2Lines({ table2 }: AnalysisTables): object[] {
  return byMode(table2, (row) => ({
    heads: row.heads,
    observed: row.row === 1 ? row.observed : shareText(row.observed),
    baseline: row.row === 1 ? row.baseline : shareText(row.baseline),
    lift: lift(row),
    'p (permutation)': row.permutationP,
    'p (shift)': row.shiftP,
    paper: liftText(row.paperLift),
  }))
}

/** One line for each row and peak mode, one column for each set and control. */
function controlLines({ controls }: AnalysisTables): object[] {
  const lines = new Map<string, Record<string, string>>()
  const main = controls[0]?.set
  for (const row of controls) {
    if (row.set !== main && row.control !== 'paper') continue
    const key = `${claim(row)}|${row.peakMode}`
    const line = lines.get(key) ?? { claim: claim(row), peaks: row.peakMode }
    line[row.set !== main ? row.set : row.control === 'paper' ? row.set : row.control] = lift(row)
    lines.set(key, line)
  }
  return [...lines.values()]
}
