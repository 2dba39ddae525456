import type { ChangeRow } from '../analysis/rhythmChange'
import { ALL_RUNS } from '../analysis/rhythmChange'
import type { Figure } from './figure'
import { withSubtitle } from './panels'
import { armRowsAxis, type DotArm, dotTraces, uprightLine } from './sweepDots'
import { axis, baseLayout, COLOURS, CONFIG, NEUTRAL } from './theme'

export interface RhythmChangesOptions {
  /** Which peaks, `prominence 0.25` by default. */
  peakMode?: string
  title?: string
}

/** The lifts of Table 2 (own heads, the paper's baseline) before and after training: means over runs with intervals, small dots for runs. */
export function rhythmChanges(rows: readonly ChangeRow[], options: RhythmChangesOptions = {}): Figure {
  const { peakMode = 'prominence 0.25' } = options
  const setting = rows.find(({ unit }) => unit === 'lift')?.setting
  const lifts = rows.filter(
    (row) =>
      row.unit === 'lift' &&
      row.baseline === 'paper' &&
      row.heads === 'trace' &&
      row.peakMode === peakMode &&
      row.setting === setting,
  )
  const means = lifts.filter(({ run }) => run === ALL_RUNS)
  if (means.length === 0) throw new Error(`no lifts with ${peakMode} to draw; give the rows of rhythmChange`)
  const arms = means.flatMap((mean) =>
    (['before', 'after'] as const).map((side): DotArm => {
      const seeds = lifts.filter(({ run, quantity }) => run !== ALL_RUNS && quantity === mean.quantity)
      const percent = (value: number | null) => (value === null ? null : 100 * value)
      return {
        arm: `${mean.quantity}, ${side}`,
        colour: side === 'before' ? NEUTRAL : COLOURS.waad,
        interval: { value: percent(mean[side]), low: percent(mean[`${side}Low`]), high: percent(mean[`${side}High`]) },
        seeds: seeds.map((row) => ({ value: 100 * row[side]!, name: row.run })),
      }
    }),
  )
  const layout = baseLayout(options.title ?? 'Does training change the rhythm?', 150 + 34 * arms.length, {
    xaxis: axis('lift (%)', { nticks: 8 }),
    yaxis: { ...axis(null), ...armRowsAxis(arms.map(({ arm }) => arm)) },
    shapes: [uprightLine(0)],
    showlegend: false,
    hovermode: 'closest',
    margin: { l: 300, r: 20, t: 84, b: 52 },
  })
  const { runs, items } = means[0]!
  const subtitle = `Means of ${runs} runs on ${items} items with 95 % intervals over items; small dots: runs (${setting}, ${peakMode})`
  return { data: dotTraces(arms, '%'), layout: withSubtitle(layout, subtitle), config: CONFIG }
}
