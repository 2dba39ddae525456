import { type LearningArm, type LearningPoint, learningArms, WARM_UP } from '../analysis/learningArms'
import type { RecordedRuns } from '../analysis/recordedRuns'
import type { SharePoint } from '../analysis/runMetrics'
import { type Figure, type PlotlyTrace, significant, significants } from './figure'
import { axisId, axisKey, errorBars, panelGrid, panelTitle, translucent, withSubtitle } from './panels'
import { axis, baseLayout, COLOURS, CONFIG, GRID_ON, LEGEND_ABOVE, NEUTRAL } from './theme'

export interface LearningCurvesOptions {
  /** Minutes of training, or steps; zero is the checkpoint that all arms share. A step of one arm is not one of another. Default minutes. */
  x?: 'minutes' | 'step'
  title?: string
}

const ARM_COLOURS = [COLOURS.waad, COLOURS.fai, COLOURS.entropy, COLOURS.receiver]
const SYMBOLS = ['circle', 'square', 'diamond', 'triangle-up']

/**
 * Held-out accuracy of recorded runs: each seed a thin line with 95 % intervals over items, the mean over seeds a thick one.
 * One panel for sampled responses, one for greedy ones.
 */
export function learningCurves(
  recorded: Pick<RecordedRuns, 'runs' | 'samples' | 'items'>,
  options: LearningCurvesOptions = {},
): Figure {
  const { x = 'minutes' } = options
  // Warm-up that was evaluated at its end alone is the first point of the other arms.
  const arms = learningArms(recorded).filter(({ label, points }) => label !== WARM_UP || points.length > 1)
  if (arms.length === 0) throw new Error('no runs to draw: give what rhythm collect wrote')
  const labels = [...new Set(arms.map(({ label }) => label))]
  const others = labels.filter((label) => label !== WARM_UP)
  const colourOf = (label: string) =>
    label === WARM_UP ? NEUTRAL : ARM_COLOURS[others.indexOf(label) % ARM_COLOURS.length]!
  const panels = [
    { title: `sampled, avg@${recorded.samples}`, of: (point: LearningPoint) => point.sampled },
    { title: 'greedy', of: (point: LearningPoint) => point.greedy },
  ]
  const places = panelGrid(panels.length, panels.length, 0.09)
  const data: PlotlyTrace[] = []
  const axes: Record<string, unknown> = {}
  panels.forEach(({ of }, i) => {
    const on = { xaxis: axisId('x', i), yaxis: axisId('y', i) }
    for (const label of labels) {
      const own = arms.filter((arm) => arm.label === label)
      const look = { colour: colourOf(label), symbol: SYMBOLS[Math.max(0, others.indexOf(label)) % SYMBOLS.length]! }
      if (own.length > 1) data.push(...own.map((arm) => seedLine(arm, x, of, look.colour, on)))
      data.push(meanLine(label, own, x, of, look, on, i === 0))
    }
    axes[axisKey('x', i)] = axis(
      x === 'minutes' ? 'minutes of training since the checkpoint' : 'steps since the checkpoint',
      {
        ...GRID_ON,
        domain: places[i]!.x,
        anchor: on.yaxis,
        ...(i === 0 ? {} : { matches: 'x' }),
      },
    )
    axes[axisKey('y', i)] = axis(i === 0 ? 'held-out accuracy (%)' : null, {
      ...GRID_ON,
      anchor: on.xaxis,
      rangemode: 'tozero',
      ...(i === 0 ? {} : { matches: 'y' }),
    })
  })
  const layout = baseLayout(options.title ?? 'Does it learn from its own attempts?', 430, {
    ...axes,
    annotations: panels.map(({ title }, i) => panelTitle(`<b>${title}</b>`, places[i]!)),
    legend: { ...LEGEND_ABOVE, y: 1.08 },
    hovermode: 'closest',
    margin: { l: 62, r: 20, t: 120, b: 52 },
  })
  const seeds = new Set(arms.map(({ origin }) => origin)).size
  const subtitle =
    `${recorded.items} held-out items, ${seeds === 1 ? 'one seed' : `${seeds} seeds: thin lines; thick: their mean`}; ` +
    'bars: 95 % intervals over items'
  return { data, layout: withSubtitle(layout, subtitle), config: CONFIG }
}

const percentOf = ({ value, low, high }: SharePoint) => ({ value: 100 * value, low: 100 * low, high: 100 * high })

function seedLine(
  { label, seed, points }: LearningArm,
  x: 'minutes' | 'step',
  of: (point: LearningPoint) => SharePoint,
  colour: string,
  on: PlotlyTrace,
): PlotlyTrace {
  const intervals = points.map((point) => percentOf(of(point)))
  return {
    type: 'scatter',
    mode: 'lines',
    name: label,
    legendgroup: label,
    showlegend: false,
    x: significants(points.map((point) => point[x])),
    y: significants(intervals.map(({ value }) => value)),
    line: { color: translucent(colour, 0.5), width: 1 },
    error_y: errorBars(intervals, { color: translucent(colour, 0.5), thickness: 1 }),
    hovertemplate: `${label}, seed ${seed}: %{y:.1f} %<extra></extra>`,
    ...on,
  }
}

/** Over the steps that every seed has. One seed alone is drawn with its intervals. */
function meanLine(
  label: string,
  arms: readonly LearningArm[],
  x: 'minutes' | 'step',
  of: (point: LearningPoint) => SharePoint,
  { colour, symbol }: { colour: string; symbol: string },
  on: PlotlyTrace,
  showlegend: boolean,
): PlotlyTrace {
  const steps = arms[0]!.points
    .map(({ step }) => step)
    .filter((step) => arms.every(({ points }) => points.some((point) => point.step === step)))
  const points = steps.map((step) => {
    const own = arms.map(({ points: all }) => all.find((point) => point.step === step)!)
    const mean = (number: (point: LearningPoint) => number) => own.reduce((sum, p) => sum + number(p), 0) / own.length
    return {
      step,
      at: mean((point) => point[x]),
      value: mean((point) => 100 * of(point).value),
      minutes: mean((p) => p.minutes),
    }
  })
  const single = arms.length === 1
  return {
    type: 'scatter',
    mode: 'lines+markers',
    name: label,
    legendgroup: label,
    showlegend,
    x: significants(points.map(({ at }) => at)),
    y: significants(points.map(({ value }) => value)),
    customdata: points.map(({ step, minutes }) => [step, significant(minutes, 3)]),
    line: { color: colour, width: 2.4 },
    marker: { color: colour, size: 7, symbol },
    ...(single
      ? {
          error_y: errorBars(
            arms[0]!.points.map((point) => percentOf(of(point))),
            { color: colour },
          ),
        }
      : {}),
    hovertemplate: `${label}, step %{customdata[0]}, minute %{customdata[1]}: %{y:.1f} %${single ? '' : ' (mean)'}<extra></extra>`,
    cliponaxis: false,
    ...on,
  }
}
