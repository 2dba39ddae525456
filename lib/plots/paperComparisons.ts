import { PAPER_VERDICTS, type PaperComparison, type PaperVerdict } from '../analysis/paperComparison'
import type { Figure, PlotlyTrace } from './figure'
import { significants } from './figure'
import { errorBars, withSubtitle } from './panels'
import { armRowsAxis, paperDiamonds, uprightLine } from './sweepDots'
import { axis, baseLayout, COLOURS, CONFIG, GRID_ON, LEGEND_ABOVE, NEUTRAL } from './theme'

const VERDICT_COLOURS: Partial<Record<PaperVerdict, string>> = {
  'agrees in size': COLOURS.entropy,
  'agrees in direction': COLOURS.waad,
  'differs in size': COLOURS.receiver,
  disagrees: COLOURS.fai,
}

/**
 * Our values with their intervals, coloured by verdict, and the paper's as diamonds, a quantity a row. A row of which nothing is known
 * stays empty. Throws on rows of several units, which cannot share an axis.
 */
export function paperComparisons(rows: readonly PaperComparison[], options: { title?: string } = {}): Figure {
  if (rows.length === 0) throw new Error('no rows to draw; expected rows of compareWithPaper')
  const units = [...new Set(rows.map(({ unit }) => unit))]
  if (units.length > 1) throw new Error(`rows in ${units.join(' and ')} cannot share an axis; choose one unit`)
  const unit = units[0] === 'similarity' ? '' : units[0]!
  const several = new Set(rows.map(({ result }) => result)).size > 1
  const plain = rows.map(({ result, quantity }) => (several ? `${result}: ${quantity}` : quantity))
  const labels = plain.map((text, i) =>
    plain.indexOf(text) === plain.lastIndexOf(text)
      ? text
      : `${text} (${rows[i]!.ourSetting ?? rows[i]!.paperSetting})`,
  )
  const traces = PAPER_VERDICTS.flatMap((verdict): PlotlyTrace[] => {
    const own = rows.flatMap((row, i) =>
      row.verdict === verdict && row.ours !== null ? [{ row, label: labels[i]! }] : [],
    )
    if (own.length === 0) return []
    const colour = VERDICT_COLOURS[verdict] ?? NEUTRAL
    const intervals = own.map(({ row: { ours, low, high } }) => ({ value: ours, low, high }))
    return [
      {
        type: 'scatter',
        mode: 'markers',
        name: verdict,
        x: significants(intervals.map(({ value }) => value)),
        y: own.map(({ label }) => label),
        marker: { color: colour, size: 8 },
        error_x: errorBars(intervals, { color: colour, thickness: 2 }),
        hovertemplate: `%{y}: %{x:.3~g} ${unit}<extra>${verdict}</extra>`,
      },
    ]
  })
  const diamonds = paperDiamonds(
    rows.map(({ paper }, i) => ({ arm: labels[i]!, value: paper })),
    unit,
  )
  const title = { '%': 'percent', points: 'points above plain GRPO', similarity: 'similarity (Jaccard)' }[units[0]!]
  const layout = baseLayout(options.title ?? 'Ours beside the paper', 150 + 24 * rows.length, {
    xaxis: axis(title, { ...GRID_ON, nticks: 8 }),
    yaxis: axis(null, armRowsAxis(labels)),
    shapes: [uprightLine(0)],
    showlegend: true,
    legend: LEGEND_ABOVE,
    hovermode: 'closest',
    margin: { l: 62, r: 20, t: 104, b: 52 },
  })
  const notRun = rows.filter(({ verdict }) => verdict === 'not run').length
  const missing = notRun > 0 ? `; ${notRun} of ${rows.length} not run` : ''
  const diamond = rows.some(({ paper }) => paper !== null) ? '; diamonds: the paper, at its scale' : ''
  const subtitle = `bars: 95 % bootstrap intervals${diamond}${missing}`
  return {
    data: [...traces, { ...diamonds, name: 'paper', showlegend: true }],
    layout: withSubtitle(layout, subtitle),
    config: CONFIG,
  }
}
