import { paperAccuracies } from '../analysis/paperAccuracies'
import { measureOf, type SweepMeasure, type SweepRecord } from '../analysis/sweepRow'
import { meanOverSeeds } from '../analysis/sweepTables'
import type { Figure } from './figure'
import { axisId, axisKey, panelGrid, panelTitle, percent, withSubtitle } from './panels'
import { drawnArms, seedsText } from './sweepArms'
import { armRowsAxis, type DotArm, dotTraces, paperDiamonds, uprightLine } from './sweepDots'
import { axis, baseLayout, CONFIG, GRID_ON } from './theme'

export interface SweepFinalsOptions {
  /** Default `final`, the accuracy of sampled responses after the last step. */
  measure?: SweepMeasure
  /** Default: the record's. */
  baseline?: string
  /** Also the paper's accuracies, in a panel of their own, where it has this ablation. Default true. */
  paper?: boolean
  title?: string
}

/**
 * Accuracy after training, an arm a row: each seed a small dot, the mean a large one with its 95 % bootstrap interval over seeds, dotted
 * the baseline; beside it what the paper has for the same arms at its own scale.
 */
export function sweepFinals(given: SweepRecord, options: SweepFinalsOptions = {}): Figure {
  const { measure = 'final' } = options
  const { record, arms, baseline, colourOf } = drawnArms(given, options.baseline)
  const dots = arms.map((arm): DotArm => {
    const values = record.rows.filter((row) => row.arm === arm).map((row) => ({ row, value: measureOf(row, measure) }))
    const { value, low, high } = meanOverSeeds(values)
    return {
      arm,
      colour: colourOf(arm),
      interval: { value: percent(value), low: percent(low), high: percent(high) },
      seeds: values.flatMap(({ row, value: own }) =>
        own === null
          ? []
          : [{ value: 100 * own, name: `seed ${row.seed}${row.warmup === null ? '' : `, warm-up ${row.warmup}`}` }],
      ),
    }
  })
  const paper = options.paper === false ? [] : paperAccuracies(record.paper).filter(({ arm }) => arms.includes(arm))
  const places = panelGrid(paper.length > 0 ? 2 : 1, paper.length > 0 ? 2 : 1, 0.06)
  const right = { xaxis: axisId('x', 1), yaxis: axisId('y', 1) }
  const data = [
    ...dotTraces(dots, '%'),
    ...(paper.length > 0
      ? [
          paperDiamonds(
            paper.map(({ arm, accuracy }) => ({ arm, value: accuracy })),
            '%',
            right,
          ),
        ]
      : []),
  ]
  const own = dots.find(({ arm }) => arm === baseline.arm)?.interval.value ?? null
  const theirs = paper.find(({ arm }) => arm === baseline.arm)?.accuracy
  const layout = baseLayout(options.title ?? `Where does it end? ${record.name}`, 150 + 34 * arms.length, {
    xaxis: axis('held-out accuracy (%)', { ...GRID_ON, domain: places[0]!.x, nticks: 6 }),
    yaxis: axis(null, armRowsAxis(arms)),
    ...(paper.length > 0
      ? {
          [axisKey('x', 1)]: axis('accuracy (%)', { ...GRID_ON, domain: places[1]!.x, anchor: right.yaxis, nticks: 6 }),
          [axisKey('y', 1)]: axis(null, { ...armRowsAxis(arms), anchor: right.xaxis, showticklabels: false }),
          annotations: [
            panelTitle('<b>here</b>', places[0]!),
            panelTitle(`<b>paper</b>: ${paper[0]!.benchmark}, ${paper[0]!.model}`, places[1]!),
          ],
        }
      : {}),
    shapes: [
      ...(own === null ? [] : [uprightLine(own)]),
      ...(theirs === undefined ? [] : [uprightLine(theirs, right.xaxis, right.yaxis)]),
    ],
    showlegend: false,
    hovermode: 'closest',
    margin: { l: 62, r: 20, t: 104, b: 52 },
  })
  const subtitle = `${seedsText(record)}; bars: 95 % bootstrap intervals over seeds; ${baseline.arm === null ? `grey: ${baseline.text}` : `dotted: ${baseline.arm}`}`
  return { data, layout: withSubtitle(layout, subtitle), config: CONFIG }
}
