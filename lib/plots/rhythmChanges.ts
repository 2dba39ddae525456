import type { ChangeTables } from '../analysis/changeTables'
import { ALL_RUNS } from '../analysis/rhythmChange'
import type { Figure } from './figure'
import { panelTitle, withSubtitle } from './panels'
import { armRowsAxis, type DotArm, dotTraces, uprightLine } from './sweepDots'
import { axis, baseLayout, COLOURS, CONFIG, NEUTRAL } from './theme'

export interface RhythmChangesOptions {
  /** Which peaks. Default `prominence 0.25`. */
  peakMode?: string
  title?: string
}

type Row = ChangeTables['change'][number]

const BASELINES = [
  ['paper', "over the paper's baseline"],
  ['same class', 'over tokens of the same class'],
] as const
const SIDES = [
  { name: 'before', side: 'before', reading: 'own responses', colour: NEUTRAL },
  { name: 'after, same responses', side: 'after', reading: 'same responses', colour: COLOURS.entropy },
  { name: 'after, own responses', side: 'after', reading: 'own responses', colour: COLOURS.waad },
] as const

/** The lifts of Table 2 (own heads) before and after training over both baselines: means over runs with intervals, small dots for runs. */
export function rhythmChanges(rows: readonly Row[], options: RhythmChangesOptions = {}): Figure {
  const { peakMode = 'prominence 0.25' } = options
  const setting = rows.find(({ unit }) => unit === 'lift')?.setting
  const lifts = rows.filter(
    (row) => row.unit === 'lift' && row.heads === 'trace' && row.peakMode === peakMode && row.setting === setting,
  )
  const claims = [...new Set(lifts.map(({ quantity }) => quantity))]
  if (claims.length === 0) throw new Error(`no lifts with ${peakMode} to draw; give the table change of changeTables`)
  const names = claims.flatMap((claim) => SIDES.map(({ name }) => `${claim}: ${name}`))
  const domains = [
    [0, 0.48],
    [0.52, 1],
  ] as const
  const rowsAxis = { ...axis(null), ...armRowsAxis(names) }
  const layout = baseLayout(options.title ?? 'Does training change the rhythm?', 170 + 24 * names.length, {
    xaxis: axis('lift (%)', { domain: domains[0], anchor: 'y', nticks: 6 }),
    xaxis2: axis('lift (%)', { domain: domains[1], anchor: 'y2', nticks: 6 }),
    yaxis: { ...rowsAxis, anchor: 'x' },
    yaxis2: { ...rowsAxis, anchor: 'x2', showticklabels: false },
    shapes: [uprightLine(0), uprightLine(0, 'x2', 'y2')],
    annotations: BASELINES.map(([, title], i) => panelTitle(title, { x: [...domains[i]!], y: [0, 1] })),
    showlegend: false,
    hovermode: 'closest',
    margin: { l: 300, r: 20, t: 104, b: 52 },
  })
  const data = BASELINES.flatMap(([baseline], i) =>
    dotTraces(
      claims.flatMap((claim) =>
        armsOf(
          claim,
          lifts.filter((row) => row.quantity === claim && row.baseline === baseline),
        ),
      ),
      '%',
      i === 0 ? {} : { xaxis: 'x2', yaxis: 'y2' },
    ),
  )
  const { runs, items } = lifts.find(({ run }) => run === ALL_RUNS)!
  const subtitle = `Means of ${runs} runs on ${items} items, 95 % intervals over items; small dots: runs (${setting}, ${peakMode})`
  return { data, layout: withSubtitle(layout, subtitle), config: CONFIG }
}

function armsOf(claim: string, rows: readonly Row[]): DotArm[] {
  return SIDES.map(({ name, side, reading, colour }) => {
    const own = rows.filter((row) => row.reading === reading)
    const mean = own.find(({ run }) => run === ALL_RUNS)!
    const percent = (value: number | null) => (value === null ? null : 100 * value)
    return {
      ...{ arm: `${claim}: ${name}`, colour },
      interval: { value: percent(mean[side]), low: percent(mean[`${side}Low`]), high: percent(mean[`${side}High`]) },
      seeds: own.flatMap((row) =>
        row.run === ALL_RUNS || row[side] === null ? [] : [{ value: 100 * row[side], name: row.run }],
      ),
    }
  })
}
