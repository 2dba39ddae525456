import { runningPeakMean } from '../analysis/peakSmoothing'
import type { SweepRecord, SweepRow } from '../analysis/sweepRow'
import { meanOverSeeds } from '../analysis/sweepTables'
import type { Figure, PlotlyTrace } from './figure'
import { significants } from './figure'
import { axisId, axisKey, type Interval, lineWithBand, panelGrid, panelTitle, percent, withSubtitle } from './panels'
import { drawnArms, seedsText } from './sweepArms'
import { axis, baseLayout, CONFIG, GRID_ON, NEUTRAL } from './theme'

export interface SweepCurvesOptions {
  /** Panels in a row. Default 3. */
  columns?: number
  /** The paper's smoothing of each run's curve, by its `a`; such curves can only rise. Default: none. */
  smoothing?: number
  /** `heldOut`: sampled accuracy on held-out items (default); `reward`: mean reward in training. */
  of?: 'heldOut' | 'reward'
  /** Default: the record's. */
  baseline?: string
  title?: string
}

/** Learning curves, one panel an arm: mean over seeds with 95 % bootstrap bands, and behind it its baseline's in grey. */
export function sweepCurves(given: SweepRecord, options: SweepCurvesOptions = {}): Figure {
  const { columns = 3, smoothing, of = 'heldOut' } = options
  const { record, arms, baseline, colourOf } = drawnArms(given, options.baseline)
  const baselines = new Map(baseline.compared.map((one) => [one.arm, one.baseline]))
  const panels = baselines.size > 0 ? [...baselines.keys()] : arms
  const wide = Math.min(columns, panels.length)
  const rows = Math.ceil(panels.length / wide)
  const places = panelGrid(panels.length, wide, 0.05, 0.3 / rows)
  const axes: Record<string, unknown> = {}
  const curves = new Map(
    arms.map((arm) => {
      const own = record.rows.filter((row) => row.arm === arm)
      return [arm, meanCurve(own, of, smoothing)]
    }),
  )
  const data = panels.flatMap((arm, i): PlotlyTrace[] => {
    const on = { xaxis: axisId('x', i), yaxis: axisId('y', i) }
    const bottom = i + wide >= panels.length
    axes[axisKey('x', i)] = axis(bottom ? 'GRPO steps' : null, {
      ...{ domain: places[i]!.x, anchor: on.yaxis, nticks: 5 },
      ...(i === 0 ? {} : { matches: 'x' }),
    })
    axes[axisKey('y', i)] = axis(i % wide === 0 ? (of === 'heldOut' ? 'held-out accuracy (%)' : 'reward (%)') : null, {
      ...GRID_ON,
      ...{ domain: places[i]!.y, anchor: on.xaxis, nticks: 5 },
      ...(i === 0 ? {} : { matches: 'y' }),
    })
    const line = (name: string, { x, intervals }: ReturnType<typeof meanCurve>, colour: string) =>
      lineWithBand(x, intervals, colour, {
        ...{ name, showlegend: false, hovertemplate: `${name}, step %{x}: %{y:.1f} %<extra></extra>` },
        ...on,
      })
    const behind = baselines.get(arm)
    return [
      ...(behind === undefined ? [] : line(behind, curves.get(behind)!, NEUTRAL)),
      ...line(arm, curves.get(arm)!, colourOf(arm)),
    ]
  })
  const layout = baseLayout(options.title ?? 'How do they learn?', 130 + 210 * rows, {
    ...axes,
    annotations: panels.map((arm, i) => panelTitle(`<b>${arm}</b>`, places[i]!)),
    showlegend: false,
    hovermode: 'closest',
    margin: { l: 62, r: 20, t: 96, b: 52 },
  })
  const smoothed = smoothing === undefined ? '' : `; running mean of the peak, a = ${smoothing}`
  const subtitle = `${seedsText(record)}, bands: 95 % bootstrap intervals over seeds; grey: ${baseline.text}${smoothed}`
  return { data, layout: withSubtitle(layout, subtitle), config: CONFIG }
}

/** The mean over runs at every step that all of them have, in percent. */
function meanCurve(rows: readonly SweepRow[], of: 'heldOut' | 'reward', smoothing: number | undefined) {
  const points = rows.map((row) => {
    const steps = of === 'heldOut' ? row.evaluations.map(({ step }) => step) : row.reward.step
    const values = of === 'heldOut' ? row.evaluations.map(({ sampled }) => sampled) : row.reward.value
    const shown = smoothing === undefined ? values : runningPeakMean(values, smoothing)
    return { row, at: new Map(steps.map((step, i) => [step, shown[i]!])) }
  })
  const x = [...(points[0]?.at.keys() ?? [])].filter((step) => points.every(({ at }) => at.has(step)))
  const intervals = x.map((step): Interval => {
    const { value, low, high } = meanOverSeeds(points.map(({ row, at }) => ({ row, value: at.get(step)! })))
    return { value: percent(value), low: percent(low), high: percent(high) }
  })
  return { x: significants(x) as number[], intervals }
}
