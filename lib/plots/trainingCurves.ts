import { evaluationOf, type MetricsRow, type SharePoint, samplesOf, thinned } from '../analysis/runMetrics'
import { type Figure, type PlotlyTrace, significants } from './figure'
import { axisId, axisKey, errorBars, lineWithBand, panelGrid, panelTitle, translucent, withSubtitle } from './panels'
import { axis, baseLayout, COLOURS, CONFIG, GRID_ON } from './theme'
import { type Panel, type PanelLine, TRAINING_PANELS } from './trainingPanels'

export interface TrainingCurvesOptions {
  /** Default: the phase of the newest line. */
  phase?: 'supervised' | 'grpo'
  /** Steps of the phase, which the axis shows at once; default: those made. */
  steps?: number
  /** Most points of a line: neighbouring steps are averaged. Default 200. */
  points?: number
  title?: string
  /** A second line under the title. */
  subtitle?: string
}

const ROW_HEIGHT = 176
const COLUMNS = 3

/**
 * How a run is doing: one panel for each thing worth watching, from the lines of its metrics, of a run in progress too. In
 * GRPO: reward, held-out accuracy with 95 % intervals, entropy, lengths and truncation, gradient norm and clipping, seconds
 * of each part of a step on top of each other, and the rhythm's own: mean gamma, dominated anchors, head turnover. On a GPU also how busy it was, and its memory.
 */
export function trainingCurves(metrics: readonly MetricsRow[], options: TrainingCurvesOptions = {}): Figure {
  const phase = options.phase ?? metrics.at(-1)?.phase
  if (!phase) throw new Error('no metrics to draw yet: wait for the first step')
  const lines = metrics.filter((line) => line.phase === phase)
  // Others hold an evaluation alone.
  const made = lines.filter((line) => line.phaseStep > 0 && ('loss' in line || 'reward' in line))
  const curves = thinned(made, options.points ?? 200)
  const last = Math.max(1, made.at(-1)?.phaseStep ?? 0)
  const has = (metric: string) => curves[metric] !== undefined
  const panels = TRAINING_PANELS[phase].filter(({ where }) => where === undefined || has(where))
  const rows = Math.ceil(panels.length / COLUMNS)
  const places = panelGrid(panels.length, COLUMNS, 0.075, 0.4 / rows)
  const data: PlotlyTrace[] = []
  const axes: Record<string, unknown> = {}
  panels.forEach((panel, i) => {
    const on = { xaxis: axisId('x', i), yaxis: axisId('y', i) }
    const drawn = panel.accuracy
      ? accuracyLines(warmUpEnd(metrics, lines, phase), samplesOf(metrics), on)
      : panel.lines.flatMap((line) => panelLine(panel, line, curves, on))
    data.push(...drawn)
    axes[axisKey('x', i)] = axis(i >= panels.length - COLUMNS ? `step of ${NAMES[phase]}` : null, {
      ...GRID_ON,
      domain: places[i]!.x,
      anchor: on.yaxis,
      range: [0, Math.max(options.steps ?? 0, last)],
      ...(i === 0 ? {} : { matches: 'x' }),
      showticklabels: i >= panels.length - COLUMNS,
      nticks: 6,
    })
    axes[axisKey('y', i)] = axis(null, {
      ...GRID_ON,
      domain: places[i]!.y,
      anchor: on.xaxis,
      nticks: 5,
      ...(panel.fromZero || panel.stacked || panel.accuracy ? { rangemode: 'tozero' } : {}),
      // Without a value there is nothing to scale by.
      ...(drawn.length === 0 ? { range: [0, 1], showticklabels: false } : {}),
    })
  })
  const layout = baseLayout(options.title ?? TITLES[phase], 90 + ROW_HEIGHT * rows, {
    ...axes,
    annotations: panels.map((panel, i) => panelTitle(heading(panel, samplesOf(metrics), has), places[i]!)),
    showlegend: false,
    hovermode: 'closest',
    margin: { l: 46, r: 16, t: 108, b: 46 },
  })
  return { data, layout: withSubtitle(layout, options.subtitle ?? progressText(phase, last, made)), config: CONFIG }
}

const NAMES = { supervised: 'warm-up', grpo: 'GRPO' }
const TITLES = { supervised: 'Does it learn to write searches?', grpo: 'Does it learn from its rewards?' }

function progressText(phase: 'supervised' | 'grpo', step: number, made: readonly MetricsRow[]): string {
  // Lines may be means over several steps each.
  const seconds = (step / made.length) * made.reduce((sum, line) => sum + Number(line['timing_s/step'] ?? 0), 0)
  return made.length === 0
    ? `${NAMES[phase]} has not begun`
    : `${step} steps of ${NAMES[phase]} in ${(seconds / 60).toFixed(1)} minutes, evaluations left out`
}

/** GRPO begins where warm-up ended: its last evaluation is the first point. */
function warmUpEnd(
  metrics: readonly MetricsRow[],
  lines: readonly MetricsRow[],
  phase: 'supervised' | 'grpo',
): MetricsRow[] {
  const before = phase === 'grpo' ? metrics.filter((line) => line.phase === 'supervised').at(-1) : undefined
  return [...(before ? [{ ...before, phaseStep: 0 }] : []), ...lines]
}

function accuracyLines(lines: readonly MetricsRow[], samples: number | null, on: PlotlyTrace): PlotlyTrace[] {
  const evaluations = lines.flatMap((line) => evaluationOf(line, 0) ?? [])
  if (evaluations.length === 0) return []
  const steps = evaluations.map(({ phaseStep }) => phaseStep)
  const percent = ({ value, low, high }: SharePoint) => ({ value: 100 * value, low: 100 * low, high: 100 * high })
  return accuracies(samples).flatMap(({ name, of, colour, symbol, dash }) => {
    const intervals = evaluations.map((evaluation) => percent(evaluation[of]))
    const traces = lineWithBand(steps, intervals, colour, {
      ...{ name, ...on },
      hovertemplate: `step %{x}, ${name}: %{y:.1f} %<extra></extra>`,
    })
    Object.assign(traces.at(-1)!, {
      line: { color: colour, width: 1.6, dash },
      marker: { color: colour, size: 5, symbol },
      cliponaxis: false,
      // A band needs two points.
      ...(evaluations.length === 1 ? { error_y: errorBars(intervals, { color: colour }) } : {}),
    })
    return traces
  })
}

const accuracies = (samples: number | null) =>
  [
    { name: 'greedy', of: 'greedy', colour: COLOURS.fai, symbol: 'square', dash: 'dot' },
    { name: `avg@${samples ?? 'k'}`, of: 'sampled', colour: COLOURS.waad, symbol: 'circle', dash: 'solid' },
  ] as const

function panelLine(
  panel: Panel,
  { metric, name, colour, scale = 1, dash = 'solid', band }: PanelLine,
  curves: ReturnType<typeof thinned>,
  on: PlotlyTrace,
): PlotlyTrace[] {
  const scaled = (of: string) => curves[of]?.map((value) => (value === null ? null : value * scale))
  const values = scaled(metric)
  if (!values) return []
  const x = curves.phaseStep
  const line: PlotlyTrace = {
    type: 'scatter',
    mode: values.length === 1 ? 'markers' : 'lines',
    name,
    x,
    y: significants(values, 4),
    line: { color: colour, width: 1.4, dash },
    marker: { color: colour, size: 5 },
    hovertemplate: `step %{x}, ${name}: %{y:.3~g} ${panel.unit}<extra></extra>`,
    ...on,
  }
  if (panel.stacked)
    return [{ ...line, stackgroup: 'parts', fillcolor: translucent(colour, 0.6), line: { color: colour, width: 0.8 } }]
  const [low, high] = (band ?? []).map(scaled)
  if (low && high) {
    const intervals = values.map((value, i) => ({ value, low: low[i]!, high: high[i]! }))
    const [area] = lineWithBand(x, intervals, colour, on)
    return values.length > 1 ? [area!, line] : [line]
  }
  if (!panel.smoothed || values.length < 10) return [line]
  const smooth = significants(runningMean(values, Math.ceil(values.length / 10)), 4)
  return [
    { ...line, line: { color: translucent(colour, 0.35), width: 1 } },
    {
      ...line,
      y: smooth,
      name: `${name}, running mean`,
      line: { color: colour, width: 2 },
      hoverinfo: 'skip',
      hovertemplate: null,
    },
  ]
}

/** Mean of each value and the ones before it, `window` in all, as far as there are so many. */
export function runningMean(values: readonly (number | null)[], window: number): (number | null)[] {
  return values.map((_, i) => {
    const seen = values.slice(Math.max(0, i - window + 1), i + 1).filter((value) => value !== null)
    return seen.length === 0 ? null : seen.reduce((sum, value) => sum + value, 0) / seen.length
  })
}

/** The panel's title and unit; below them, where there are several lines, their names in their colours. */
function heading(panel: Panel, samples: number | null, has: (metric: string) => boolean): string {
  const drawn = panel.lines.filter(({ metric }) => has(metric))
  const lines = panel.accuracy ? accuracies(samples) : drawn.length === 0 ? panel.lines : drawn
  const names = lines.map(({ name, colour }) => `<span style="color:${colour}">■</span> ${name}`)
  const title = `<b>${panel.title}</b> (${panel.unit})`
  if (lines.length < 2) return title
  const half = Math.ceil(names.length / 2)
  return [
    title,
    ...(names.length < 4 ? [names.join('  ')] : [names.slice(0, half).join('  '), names.slice(half).join('  ')]),
  ].join('<br>')
}
