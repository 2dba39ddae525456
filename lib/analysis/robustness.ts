import type { Horizon } from '../rhythm/headSeries'
import { horizonName } from '../rhythm/headSeries'
import type { ReceiverVariant } from '../rhythm/receiverHeads'
import type { AnalysisTrace } from './analysisTrace'
import { BOTH_MODES, type LiftRow, liftRows, type TableOptions } from './liftRow'
import type { MeasureOptions } from './measureOptions'
import { type PeakMode, peakModeName } from './peakMode'
import type { TraceMeasures } from './traceMeasures'

/** The values that each parameter takes in turn, the others staying at the base. */
export interface RobustnessGrid {
  windows: readonly number[]
  horizons: readonly Horizon[]
  headShares: readonly number[]
  receiverVariants: readonly ReceiverVariant[]
  receiverCounts: readonly (number | null)[]
  excludeSink: readonly boolean[]
  heads: readonly MeasureOptions['heads'][]
  peakModes: readonly PeakMode[]
}

export const ROBUSTNESS_FACTORS = [
  'W',
  'FAI horizon',
  'head share',
  'receiver heads',
  'receiver count',
  'attention sink',
  'head choice',
  'peaks',
] as const

/** One lift with one parameter changed. */
export interface RobustnessRow extends LiftRow {
  factor: string
  setting: string
  /** True where this is the base itself. */
  base: boolean
}

/** One setting of one factor and the measures it needs. */
export interface RobustnessSetting {
  factor: (typeof ROBUSTNESS_FACTORS)[number]
  setting: string
  options: MeasureOptions
}

/**
 * The grid that a trace's files allow: every stored window and horizon, five head shares, both receiver variants if
 * sentences are stored, the sink left out if such series are stored. `given` values replace these; a value that the files do not hold is then an error.
 */
export function robustnessGrid(
  trace: AnalysisTrace,
  base: MeasureOptions,
  given: Partial<RobustnessGrid> = {},
): RobustnessGrid {
  const series = trace.series ?? trace.withoutSink
  const sink = [trace.series, trace.withoutSink].flatMap((s) => (s ? [s.sinkExcluded ?? false] : []))
  const stored: RobustnessGrid = {
    windows: series ? series.waad.map(({ window }) => window).sort((a, b) => a - b) : [base.window],
    horizons: series
      ? series.fai.map(({ horizon }) => horizon).sort((a, b) => a[0] - b[0] || end(a) - end(b))
      : [base.horizon],
    headShares: series ? [0.1, 0.2, 0.3, 0.4, 0.5] : [base.headShare],
    receiverVariants: series?.sentences ? ['token', 'sentence'] : [base.receiverVariant],
    receiverCounts: series ? [4, 8, null, 32] : [base.receiverCount],
    excludeSink: sink.length > 0 ? sink : [base.excludeSink],
    heads: [base.heads],
    peakModes: [
      ...[0.1, 0.25, 0.5, 1].map((prominence): PeakMode => ({ kind: 'prominence', prominence })),
      ...BOTH_MODES.filter((mode) => mode.kind === 'share'),
    ],
  }
  return { ...stored, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) }
}

/** Every setting of a grid, one parameter changed at a time; peaks need no measures of their own. */
export function robustnessSettings(grid: RobustnessGrid, base: MeasureOptions): RobustnessSetting[] {
  const of = <T>(
    factor: RobustnessSetting['factor'],
    values: readonly T[],
    setting: (value: T) => string,
    change: (value: T) => Partial<MeasureOptions>,
  ) => values.map((value) => ({ factor, setting: setting(value), options: { ...base, ...change(value) } }))
  return [
    ...of('W', grid.windows, String, (window) => ({ window })),
    ...of('FAI horizon', grid.horizons, horizonName, (horizon) => ({ horizon })),
    ...of('head share', grid.headShares, String, (headShare) => ({ headShare })),
    ...of('receiver heads', grid.receiverVariants, String, (receiverVariant) => ({ receiverVariant })),
    ...of(
      'receiver count',
      grid.receiverCounts,
      (count) => String(count ?? 'default'),
      (receiverCount) => ({ receiverCount }),
    ),
    ...of(
      'attention sink',
      grid.excludeSink,
      (excludeSink) => (excludeSink ? 'left out' : 'counted'),
      (excludeSink) => ({ excludeSink }),
    ),
    ...of('head choice', grid.heads, String, (heads) => ({ heads })),
  ]
}

/**
 * How the lifts depend on every parameter, one changed at a time.
 * @param measured the measures of each setting
 * @param base the measures of the base, whose peaks are varied
 */
export function robustness(
  measured: readonly { setting: RobustnessSetting; measures: readonly TraceMeasures[] }[],
  base: { options: MeasureOptions; measures: readonly TraceMeasures[] },
  set: string,
  options: TableOptions & { variedPeaks?: readonly PeakMode[] } = {},
): RobustnessRow[] {
  const { peakModes = BOTH_MODES.slice(0, 1), bootstrap, variedPeaks = BOTH_MODES } = options
  const plain = JSON.stringify(base.options)
  return [
    ...measured.flatMap(({ setting: { factor, setting, options: made }, measures }) =>
      liftRows(measures, set, { peakModes, bootstrap }).map((row) => ({
        ...row,
        factor,
        setting,
        base: JSON.stringify(made) === plain,
      })),
    ),
    ...variedPeaks.flatMap((mode) =>
      liftRows(base.measures, set, { peakModes: [mode], bootstrap }).map((row) => ({
        ...row,
        factor: 'peaks',
        setting: peakModeName(mode),
        base: peakModes.some((known) => peakModeName(known) === peakModeName(mode)),
      })),
    ),
  ]
}

function end([, high]: Horizon): number {
  return high ?? Number.POSITIVE_INFINITY
}
