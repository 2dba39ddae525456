import { type Figure, significants } from './figure'
import { type PlottedTrace, peaksAt, responseTokens } from './plottedTrace'
import { axis, baseLayout, COLOURS, CONFIG, FONT_SIZES, GRID_ON, logTicks } from './theme'
import { tokenLabels } from './tokenText'

export interface RhythmTracesOptions {
  /** Prominence of the marked peaks, as a fraction of a series' standard deviation; one of those in the trace. Default 0.25. */
  prominence?: number
  /** First and one-past-last response token to show at first; the rest is a scroll away. Default: all. */
  range?: readonly [number, number]
  title?: string
}

/**
 * Fig. 2 (right): receiver FAI, global FAI, WAAD and entropy of each response token on one token axis, peaks marked.
 * FAI has a logarithmic axis: its mean runs over ever fewer tokens, and grows, towards the end of the response.
 * Zooming in brings the tokens' text onto the axis; hovering shows one token and its four values.
 */
export function rhythmTraces(trace: PlottedTrace, options: RhythmTracesOptions = {}): Figure {
  const { prominence = 0.25 } = options
  const { analysis, receiver, entropy } = trace.rhythm
  const tokens = responseTokens(trace)
  const labels = tokenLabels(tokens)
  const peaks = peaksAt(analysis.peaks, prominence)
  const percent = (values: ArrayLike<number | null>) =>
    Array.from(values, (value) => (value === null ? null : value * 100))

  const panels = [
    {
      name: 'receiver FAI',
      unit: '%',
      scale: 'log',
      format: '.3~g',
      values: percent(receiver.fai),
      peaks: peaksAt(receiver.peaks, prominence),
      colour: COLOURS.receiver,
    },
    {
      name: 'global FAI',
      unit: '%',
      scale: 'log',
      format: '.3~g',
      values: percent(analysis.fai),
      peaks: peaks.fai,
      colour: COLOURS.fai,
    },
    {
      name: 'WAAD',
      unit: 'tokens',
      scale: 'linear',
      format: '.2f',
      values: analysis.waad,
      peaks: peaks.waad,
      colour: COLOURS.waad,
    },
    {
      name: 'entropy',
      unit: 'nats',
      scale: 'linear',
      format: '.2f',
      values: entropy,
      peaks: null,
      colour: COLOURS.entropy,
    },
  ]
  const gap = 0.035
  const share = (1 - gap * (panels.length - 1)) / panels.length
  const data: Figure['data'] = []
  const axes: Record<string, unknown> = {}
  panels.forEach((panel, i) => {
    const id = i === 0 ? 'y' : `y${i + 1}`
    const top = 1 - i * (share + gap)
    const y = significants(panel.values, 4)
    data.push({
      type: 'scatter',
      mode: 'lines',
      name: panel.name,
      x: labels,
      y,
      yaxis: id,
      line: { color: panel.colour, width: 1.3 },
      hovertemplate: `%{y:${panel.format}} ${panel.unit}`,
    })
    if (panel.peaks) {
      data.push({
        type: 'scatter',
        mode: 'markers',
        name: `${panel.name} peaks`,
        x: panel.peaks.map((t) => labels[t]),
        y: panel.peaks.map((t) => y[t]),
        yaxis: id,
        marker: { color: panel.colour, size: 5 },
        hoverinfo: 'skip',
      })
    }
    const defined = y.filter((value) => value !== null && (panel.scale === 'linear' || value > 0)) as number[]
    // A response of one token may have nothing to show in a panel.
    const low = defined.length > 0 ? Math.min(...defined) : 0.1
    const high = defined.length > 0 ? Math.max(...defined) : 1
    const margin = 0.08 * (high - low) || 0.5
    axes[i === 0 ? 'yaxis' : `yaxis${i + 1}`] = axis(`${panel.name}<br>(${panel.unit})`, {
      ...GRID_ON,
      domain: [Math.max(0, top - share), top],
      ...(panel.scale === 'log'
        ? { type: 'log', range: [Math.log10(low) - 0.1, Math.log10(high) + 0.1], tickvals: logTicks(low, high, 3) }
        : { range: [panel.name === 'entropy' ? 0 : low - margin, high + margin] }),
      nticks: 4,
      anchor: 'x',
    })
  })

  const shown = options.range ?? [0, tokens.length]
  const rate = (list: number[]) => `${((100 * list.length) / tokens.length).toFixed(0)} %`
  const title = options.title ?? 'Does attention have a beat?'
  const subtitle =
    `Dots are peaks (prominence ${prominence} of the standard deviation): ` +
    `${rate(peaks.waad)} of the tokens for WAAD, ${rate(peaks.fai)} for global FAI`
  const layout = baseLayout(title, 560, {
    xaxis: axis('response token', {
      type: 'category',
      categoryorder: 'array',
      categoryarray: labels,
      range: [shown[0] - 0.5, shown[1] - 0.5],
      anchor: `y${panels.length}`,
      tickangle: -60,
      showspikes: true,
      spikemode: 'across',
      // -2 leaves one pixel of the line and none of the wide outline that Plotly puts behind it.
      spikethickness: -2,
      spikedash: 'solid',
      spikecolor: 'rgba(128, 128, 128, 0.6)',
      spikesnap: 'hovered data',
    }),
    ...axes,
    showlegend: false,
    hovermode: 'x unified',
    hoversubplots: 'axis',
    dragmode: 'zoom',
    margin: { l: 72, r: 20, t: 72, b: 100 },
  })
  layout.title = { ...(layout.title as object), subtitle: { text: subtitle, font: { size: FONT_SIZES.axisTitle } } }
  return { data, layout, config: { ...CONFIG, scrollZoom: false } }
}
