import type { ControlRow } from '../analysis/controls'
import type { Figure } from './figure'
import {
  axisId,
  axisKey,
  claimKey,
  claimsIn,
  claimTitle,
  errorBars,
  type Interval,
  liftInterval,
  ofPeakMode,
  panelGrid,
  panelTitle,
  paperLift,
  withSubtitle,
} from './panels'
import { axis, baseLayout, COLOURS, CONFIG, FONT_SIZES, GRID_ON, NEUTRAL } from './theme'

export interface LiftControlsOptions {
  /** Name of one in the table. Default: its first. */
  peakMode?: string
  /** What the set's own lifts are called. Default: the set's name. */
  name?: string
  title?: string
}

/**
 * Table 2 as a figure: the paper's lifts, those of a trace set against the paper's baseline, against tokens of the same class and in
 * the same part of the response, and those of the model with permuted weights. Bars are bootstrap intervals over traces.
 */
export function liftControls(controls: readonly ControlRow[], options: LiftControlsOptions = {}): Figure {
  const rows = ofPeakMode(controls, options.peakMode)
  const main = rows[0]!.set
  const { name = main } = options
  const claims = claimsIn(rows)
  const others = [...new Set(rows.map(({ set }) => set))].filter((set) => set !== main)
  const lines = [
    { label: "the paper's model", symbol: 'diamond-open', colour: NEUTRAL, of: paperLine },
    { label: `<b>${name}</b>`, symbol: 'circle', colour: COLOURS.waad, of: lift(main, 'paper') },
    { label: 'against the same class', symbol: 'circle-open', colour: COLOURS.waad, of: lift(main, 'same class') },
    { label: 'against the same place', symbol: 'circle-open', colour: COLOURS.waad, of: lift(main, 'same position') },
    ...others.map((set) => ({ label: set, symbol: 'square', colour: COLOURS.fai, of: lift(set, 'paper') })),
  ]
  const places = panelGrid(claims.length, claims.length, 0.03)
  const labels = lines.map(({ label }) => label)
  const data: Figure['data'] = []
  const axes: Record<string, unknown> = {}
  claims.forEach((claim, i) => {
    const found = lines.map(({ of }) => of(claim))
    data.push(
      ...lines.map(({ label, symbol, colour }, line) => {
        const { value } = found[line]!
        return {
          type: 'scatter',
          mode: 'markers+text',
          x: [value],
          y: [label],
          xaxis: axisId('x', i),
          yaxis: axisId('y', i),
          text: [value === null ? '' : signed(value)],
          textposition: 'top center',
          textfont: { size: FONT_SIZES.tick },
          marker: { symbol, size: 9, color: colour, line: { color: colour, width: 1.5 } },
          error_x: errorBars([found[line]!], { color: colour }),
          hovertemplate: `${label}: ${interval(found[line]!)}<extra></extra>`,
          cliponaxis: false,
        }
      }),
    )
    const ends = found.flatMap(({ value, low, high }) => [value, low, high]).filter((end) => end !== null)
    const [least, most] = [Math.min(0, ...ends), Math.max(0, ...ends)]
    // Room for the text of the values at the ends.
    const margin = 0.14 * (most - least || 1)
    axes[axisKey('x', i)] = axis('lift (%)', {
      ...GRID_ON,
      zeroline: true,
      zerolinecolor: NEUTRAL,
      domain: places[i]!.x,
      anchor: axisId('y', i),
      range: [least - margin, most + margin],
      nticks: 5,
    })
    axes[axisKey('y', i)] = axis(null, {
      anchor: axisId('x', i),
      type: 'category',
      categoryorder: 'array',
      categoryarray: labels,
      range: [labels.length - 0.55, -0.65],
      showticklabels: i === 0,
      ticks: '',
      showline: false,
    })
  })
  const { peakMode, traces, tokens } = rows[0]!
  const layout = baseLayout(options.title ?? 'Does planning precede anchoring?', 190 + 40 * lines.length, {
    ...axes,
    annotations: claims.map((claim, i) => panelTitle(claimTitle(claim), places[i]!)),
    showlegend: false,
    hovermode: 'closest',
    margin: { l: 150, r: 20, t: 112, b: 52 },
  })
  const subtitle = `Lifts of Table 2 with 95 % intervals over ${traces} traces (${tokens} tokens); peaks: ${peakMode}`
  return { data, layout: withSubtitle(layout, subtitle), config: CONFIG }

  function lift(set: string, control: ControlRow['control']) {
    return (claim: ControlRow): Interval => {
      const row = rows.find((r) => r.set === set && r.control === control && claimKey(r) === claimKey(claim))
      return row ? liftInterval(row) : { value: null, low: null, high: null }
    }
  }
}

const paperLine = ({ row }: ControlRow): Interval => ({ value: paperLift(row), low: null, high: null })

const digits = (value: number) => value.toFixed(Math.abs(value) >= 100 ? 0 : 1)
const signed = (value: number) => `${value < 0 ? '−' : '+'}${digits(Math.abs(value))}`
const interval = ({ value, low, high }: Interval) =>
  value === null
    ? 'undefined'
    : `${signed(value)} %${low === null || high === null ? '' : ` [${digits(low)}, ${digits(high)}]`}`
