import type { SweepMeasure, SweepRecord } from '../analysis/sweepRow'
import { comparisonTable, pairedDifferences } from '../analysis/sweepTables'
import type { Figure } from './figure'
import { percent, withSubtitle } from './panels'
import { drawnArms, seedsText } from './sweepArms'
import { armRowsAxis, type DotArm, dotTraces, paperDiamonds, uprightLine } from './sweepDots'
import { axis, baseLayout, CONFIG, FONT_SIZES, GRID_ON } from './theme'

export interface SweepDifferencesOptions {
  /** Default `final`. */
  measure?: SweepMeasure
  /** Default: the record's. */
  baseline?: string
  /** Also the paper's differences, at its own scale, as diamonds. Default false: they can be many times as large. */
  paper?: boolean
  title?: string
}

/**
 * Differences to each arm's baseline in points, paired by seed and warm-up, an arm a row: each pair a small dot, the mean a large one with its
 * 95 % bootstrap interval over pairs; at the right the p-value of all sign flips, after Holm's correction. Throws without another arm.
 */
export function sweepDifferences(given: SweepRecord, options: SweepDifferencesOptions = {}): Figure {
  const { measure = 'final' } = options
  const { record, baseline, colourOf } = drawnArms(given, options.baseline)
  if (baseline.compared.length === 0)
    throw new Error(`${record.name} has no arm beside ${baseline.text}: there is no difference to draw`)
  const comparisons = comparisonTable(record, { measure, baseline: baseline.text })
  const dots = comparisons.map(({ arm, baseline, difference, low, high }): DotArm => {
    const pairs = pairedDifferences(record.rows, arm, baseline, measure)
    return {
      arm,
      colour: colourOf(arm),
      interval: { value: percent(difference), low: percent(low), high: percent(high) },
      seeds: pairs.map(({ row, value }) => ({
        value: 100 * value,
        name: `seed ${row.seed}${row.warmup === null ? '' : `, warm-up ${row.warmup}`}`,
      })),
    }
  })
  const paper = options.paper
    ? [
        paperDiamonds(
          comparisons.map(({ arm, paperDifference }) => ({ arm, value: paperDifference })),
          'points',
        ),
      ]
    : []
  const layout = baseLayout(options.title ?? `Is the difference real? ${record.name}`, 150 + 34 * comparisons.length, {
    xaxis: axis(
      baseline.arm === null ? `points above the same with ${baseline.text}` : `points above ${baseline.arm}`,
      { ...GRID_ON, nticks: 8 },
    ),
    yaxis: axis(null, armRowsAxis(comparisons.map(({ arm }) => arm))),
    shapes: [uprightLine(0)],
    annotations: comparisons.map(({ arm, adjustedP, pairs }) => ({
      text: pairs === 0 ? 'no pairs' : `p = ${pText(adjustedP!)}`,
      xref: 'paper',
      x: 1.01,
      y: arm,
      xanchor: 'left',
      showarrow: false,
      font: { size: FONT_SIZES.tick },
    })),
    showlegend: false,
    hovermode: 'closest',
    margin: { l: 62, r: 90, t: 84, b: 52 },
  })
  const diamonds = options.paper ? '; diamonds: the paper, at its scale' : ''
  const subtitle =
    `${seedsText(record)}; small dots: pairs; bars: 95 % bootstrap intervals; p by sign flips, Holm-corrected` +
    diamonds
  return { data: [...dotTraces(dots, 'points'), ...paper], layout: withSubtitle(layout, subtitle), config: CONFIG }
}

const pText = (p: number) => (p < 0.001 ? p.toExponential(0) : p.toFixed(3))
