import type { CheckPrecision, GpuCheckReport } from '../device/checkReport'
import type { Figure, PlotlyTrace } from './figure'
import { significants } from './figure'
import { axisId, axisKey, levelLine, panelGrid, panelTitle, translucent, withSubtitle } from './panels'
import { axis, baseLayout, COLOURS, CONFIG, GRID_ON, NEUTRAL } from './theme'

const PRECISIONS: Record<CheckPrecision, { name: string; colour: string }> = {
  float32: { name: 'float32', colour: COLOURS.waad },
  tf32: { name: 'TF32', colour: COLOURS.fai },
  bf16: { name: 'bf16', colour: COLOURS.entropy },
}

const PHASES = [
  { metric: 'timing_s/gen', name: 'rollouts', colour: COLOURS.waad },
  { metric: 'timing_s/old_log_prob', name: 'log-probs + rhythm', colour: COLOURS.entropy },
  { metric: 'timing_s/credit', name: 'credit', colour: COLOURS.fai },
  { metric: 'timing_s/update_actor', name: 'updates', colour: COLOURS.receiver },
] as const

/** What `gpu-check` measured: rates of products beside the data sheet's, seconds of a GRPO step by phase, memory beside the plan. */
export function gpuCheckFigure(report: GpuCheckReport, options: { title?: string } = {}): Figure {
  const { device, speed } = report
  const places = panelGrid(3, 3, 0.08)
  const models = speed.map(labelOf)
  const on = (i: number): PlotlyTrace => ({ xaxis: axisId('x', i), yaxis: axisId('y', i), showlegend: false })
  const data = [...rateLines(report, on(0)), ...phaseBars(report, on(1)), ...memoryBars(report, on(2))]
  const scales = [
    axis('rows and columns', { ...GRID_ON, type: 'log', tickvals: [...new Set(report.rates.map(({ size }) => size))] }),
    axis(null, { type: 'category', categoryarray: models }),
    axis(null, { type: 'category', categoryarray: models }),
  ]
  const axes = Object.fromEntries(
    scales.flatMap((scale, i) => [
      [axisKey('x', i), { ...scale, domain: places[i]!.x, anchor: axisId('y', i) }],
      [
        axisKey('y', i),
        axis(null, { ...GRID_ON, rangemode: 'tozero', nticks: 6, domain: places[i]!.y, anchor: axisId('x', i) }),
      ],
    ]),
  )
  const present = [...new Set(report.rates.map(({ precision }) => precision))]
  const titles = [
    titled(
      'products of matrices',
      'TFLOP/s',
      present.map((precision) => PRECISIONS[precision]),
    ),
    titled('a step of GRPO', 's', [...PHASES]),
    titled('memory', 'GB', [
      { name: 'measured', colour: COLOURS.waad },
      { name: 'planned', colour: NEUTRAL },
    ]),
  ]
  const peaks = present.flatMap((precision) => {
    const peak = report.peak?.[precision]
    return peak ? [levelLine(peak / 1e12, 0, PRECISIONS[precision].colour)] : []
  })
  const layout = baseLayout(options.title ?? `How fast is ${device.name}?`, 340, {
    ...axes,
    barmode: 'overlay',
    bargap: 0.35,
    annotations: titles.map((text, i) => panelTitle(text, places[i]!)),
    shapes: peaks,
    hovermode: 'closest',
    margin: { l: 46, r: 16, t: 122, b: 52 },
  })
  const dotted = peaks.length > 0 ? '; dotted: data sheet' : ''
  return {
    data,
    layout: withSubtitle(layout, `${device.kind}, TensorFlow ${report.software.tensorflow}${dotted}`),
    config: CONFIG,
  }
}

function titled(title: string, unit: string, lines: readonly { name: string; colour: string }[]): string {
  const names = lines.map(({ name, colour }) => `<span style="color:${colour}">■</span> ${name}`)
  const half = names.length < 4 ? names.length : Math.ceil(names.length / 2)
  const rows = [names.slice(0, half), names.slice(half)].filter((row) => row.length > 0)
  return [`<b>${title}</b> (${unit})`, ...rows.map((row) => row.join('  '))].join('<br>')
}

/** A model, measured in one kind of arithmetic. */
const labelOf = ({ model, precision }: GpuCheckReport['speed'][number]) => `${model}<br>${PRECISIONS[precision].name}`

function rateLines({ rates }: GpuCheckReport, on: PlotlyTrace): PlotlyTrace[] {
  return (Object.keys(PRECISIONS) as CheckPrecision[]).flatMap((precision) => {
    const own = rates.filter((rate) => rate.precision === precision)
    if (own.length === 0) return []
    const { name, colour } = PRECISIONS[precision]
    return [
      {
        type: 'scatter',
        mode: 'lines+markers',
        name,
        x: own.map(({ size }) => size),
        y: significants(own.map(({ flops }) => flops / 1e12)),
        line: { color: colour, width: 1.6 },
        marker: { color: colour, size: 6 },
        hovertemplate: `%{x} × %{x}, ${name}: %{y:.3~g} TFLOP/s<extra></extra>`,
        ...on,
      },
    ]
  })
}

function phaseBars({ speed }: GpuCheckReport, on: PlotlyTrace): PlotlyTrace[] {
  const below = speed.map(() => 0)
  return PHASES.map(({ metric, name, colour }) => {
    const seconds = speed.map(({ step }) => step.seconds[metric] ?? 0)
    const base = [...below]
    seconds.forEach((s, i) => {
      below[i]! += s
    })
    return {
      type: 'bar',
      name,
      x: speed.map(labelOf),
      y: significants(seconds),
      base: significants(base),
      marker: { color: translucent(colour, 0.75), line: { color: colour, width: 1 } },
      hovertemplate: `%{x}, ${name}: %{y:.3~g} s<extra></extra>`,
      ...on,
    }
  })
}

function memoryBars({ speed }: GpuCheckReport, on: PlotlyTrace): PlotlyTrace[] {
  const x = speed.map(labelOf)
  return [
    {
      type: 'bar',
      name: 'measured',
      x,
      y: significants(speed.map(({ memory }) => (memory.measuredBytes === null ? null : memory.measuredBytes / 1e9))),
      marker: { color: translucent(COLOURS.waad, 0.75) },
      hovertemplate: '%{x}: %{y:.3~g} GB measured<extra></extra>',
      ...on,
    },
    {
      type: 'scatter',
      mode: 'markers',
      name: 'planned',
      x,
      y: significants(speed.map(({ memory }) => memory.plannedBytes / 1e9)),
      marker: { symbol: 'line-ew-open', size: 40, color: NEUTRAL, line: { width: 2.5 } },
      hovertemplate: '%{x}: %{y:.3~g} GB planned<extra></extra>',
      ...on,
    },
  ]
}
