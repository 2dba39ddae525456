import { type Figure, significants } from './figure'
import { withSubtitle } from './panels'
import { axis, baseLayout, COLOURS, CONFIG, GRID_ON, NEUTRAL } from './theme'
import { escapeMarkup, tokenLabels, visibleToken } from './tokenText'

/** A response of a training run as `rollouts/step-N.jsonl` keeps it. Per-token arrays are over the response. */
export interface PlottedRollout {
  step: number
  prompt: string
  tokens: readonly string[]
  correct: boolean
  reward: number
  advantage: number
  gamma: readonly number[] | null
  entropy: readonly number[] | null
  rhythm: { waad: readonly number[]; fai: readonly number[]; faiValid: readonly boolean[] } | null
}

export interface RolloutRhythmOptions {
  /** First and one-past-last response token to show at first. Default: the first 80; the rest is a scroll away. */
  range?: readonly [number, number]
  title?: string
}

/** Gammas as fill and text on it, with a contrast of 4.5 or more: below 1, plain, and above in steps. */
const SHADES = [
  { above: 1.5, fill: '#8a3800', text: '#ffffff' },
  { above: 1.25, fill: '#c25200', text: '#ffffff' },
  { above: 1, fill: '#f2b58c', text: '#222222' },
  { above: 0.999999, fill: '#d9d9d9', text: '#222222' },
  { above: Number.NEGATIVE_INFINITY, fill: '#9ecae9', text: '#222222' },
] as const

/** The fill of a gamma, and the colour of text on it. */
export const gammaShade = (gamma: number) => SHADES.find(({ above }) => gamma > above)!

/**
 * Where the credit of one response went: its text, each token on a bar as high as its gamma and coloured by it, and below on
 * the same token axis WAAD, FAI and entropy, from which the gamma came. Throws on a response that was given no credit.
 */
export function rolloutRhythm(rollout: PlottedRollout, options: RolloutRhythmOptions = {}): Figure {
  const { gamma, rhythm, entropy, tokens } = rollout
  if (!gamma || !rhythm)
    throw new Error(
      `this response of step ${rollout.step} was given no credit: all responses of its group had the same reward, or credit is uniform; ` +
        'choose one with creditedRollouts',
    )
  const labels = tokenLabels(tokens)
  const shown = options.range ?? [0, Math.min(tokens.length, 80)]
  const texts = tokens.map((token) => visibleToken(token, 14))
  const long = texts.some((text) => Array.from(text).length > 2)
  const looks = gamma.map(gammaShade)
  const highest = Math.max(1.5, ...gamma)
  const bars = {
    type: 'bar',
    name: 'gamma',
    x: labels,
    y: significants(gamma, 4),
    text: texts.map(escapeMarkup),
    textposition: 'inside',
    insidetextanchor: 'start',
    textangle: long ? -90 : 0,
    constraintext: 'none',
    textfont: { size: 12, color: looks.map(({ text }) => text) },
    marker: { color: looks.map(({ fill }) => fill), line: { width: 0 } },
    width: 0.94,
    hovertemplate: 'gamma %{y:.2f}',
    yaxis: 'y',
  }
  const series = [
    { name: 'WAAD', unit: 'tokens', values: rhythm.waad, colour: COLOURS.waad },
    {
      name: 'FAI',
      unit: '%',
      values: rhythm.fai.map((v, t) => (rhythm.faiValid[t] ? 100 * v : null)),
      colour: COLOURS.fai,
    },
    ...(entropy ? [{ name: 'entropy', unit: 'nats', values: entropy, colour: COLOURS.entropy }] : []),
  ]
  const lines = series.map(({ name, unit, values, colour }, i) => ({
    type: 'scatter',
    mode: 'lines+markers',
    name,
    x: labels,
    y: significants(values, 4),
    yaxis: `y${i + 2}`,
    line: { color: colour, width: 1.3 },
    marker: { color: colour, size: 4 },
    hovertemplate: `%{y:.3~g} ${unit}`,
  }))
  const height = long ? 0.4 : 0.28
  const share = (1 - height) / series.length
  const axes = Object.fromEntries(
    series.map(({ name, unit }, i) => {
      const top = 1 - height - i * share - 0.035
      const domain = [Math.max(0, top - share + 0.035), top]
      return [
        `yaxis${i + 2}`,
        axis(`${name}<br>(${unit})`, { ...GRID_ON, domain, rangemode: 'tozero', nticks: 4, anchor: 'x' }),
      ]
    }),
  )
  const verdict = rollout.correct ? 'right' : 'wrong'
  const advantage = `${rollout.advantage < 0 ? '−' : '+'}${Math.abs(rollout.advantage).toFixed(2)}`
  const layout = baseLayout(options.title ?? 'Where does the credit go?', (long ? 240 : 200) + 110 * series.length, {
    xaxis: axis('response token', {
      type: 'category',
      categoryorder: 'array',
      categoryarray: labels,
      range: [shown[0] - 0.5, shown[1] - 0.5],
      anchor: `y${series.length + 1}`,
      tickangle: -60,
      showspikes: true,
      spikemode: 'across',
      spikethickness: -2,
      spikedash: 'solid',
      spikecolor: 'rgba(128, 128, 128, 0.6)',
      spikesnap: 'hovered data',
    }),
    yaxis: axis('gamma', {
      ...GRID_ON,
      domain: [1 - height, 1],
      range: [0, highest * 1.04],
      tickvals: [0, 0.5, 1, 1.5, 2],
      anchor: 'x',
    }),
    ...axes,
    shapes: [
      {
        type: 'line',
        xref: 'paper',
        x0: 0,
        x1: 1,
        yref: 'y',
        y0: 1,
        y1: 1,
        line: { color: NEUTRAL, width: 1, dash: 'dot' },
      },
    ],
    showlegend: false,
    hovermode: 'x unified',
    hoversubplots: 'axis',
    bargap: 0,
    margin: { l: 72, r: 20, t: 72, b: 96 },
  })
  const prompt = escapeMarkup(visibleToken(rollout.prompt, 60))
  const subtitle = `Step ${rollout.step}, ${verdict}, advantage ${advantage}; prompt ${prompt}; dotted: gamma 1, plain GRPO`
  return { data: [bars, ...lines], layout: withSubtitle(layout, subtitle), config: { ...CONFIG, scrollZoom: false } }
}

/** A right and a wrong response among those that were given credit, as far as there are: what is worth looking at. */
export function creditedRollouts<Rollout extends PlottedRollout>(rollouts: readonly Rollout[]): Rollout[] {
  const credited = rollouts.filter(({ gamma, rhythm }) => gamma && rhythm)
  return [true, false].flatMap((wanted) => credited.find(({ correct }) => correct === wanted) ?? [])
}
