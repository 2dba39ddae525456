import { pacer } from '../engine/cooperate'
import { InvalidArgument } from '../rhythm/invalidArgument'
import type { AnalysisTrace, TraceSource } from './analysisTrace'
import { type BootstrapOptions, bootstrapOptions } from './bootstrap'
import { compareSets, type DifferenceRow, sideBySide } from './compareSets'
import { type ControlRow, controls } from './controls'
import { type CrossCorrelationRow, crossCorrelation } from './crossCorrelation'
import { type EventAverageRow, entropyAroundPeaks, rhythmAroundAnchors } from './eventAverages'
import { type LayerThirdRow, layerThirds, THIRDS, type Third } from './layerThirds'
import { BOTH_MODES } from './liftRow'
import { type MeasureOptions, measureOptions } from './measureOptions'
import { measureTraces } from './measureTraces'
import { PAPER_VALUES, type PaperValue } from './paperValues'
import { type PeakMode, peakModeName } from './peakMode'
import { type PeakOverlapRow, type PooledOverlapRow, peakOverlap, peakOverlapByTrace } from './peakOverlap'
import { type ProminenceRow, prominenceSweep, SWEPT_PROMINENCES } from './prominenceSweep'
import {
  type RobustnessGrid,
  type RobustnessRow,
  type RobustnessSetting,
  robustness,
  robustnessGrid,
  robustnessSettings,
} from './robustness'
import { type Table2Row, table2 } from './table2'
import type { TokenClassFunction } from './tokenClass'
import type { TraceMeasures } from './traceMeasures'
import { type SummaryRow, summary, type TraceRow, traceTable } from './traceTable'

export interface AnalyzeOptions {
  /** Name of the trace set in the tables. Default `traces`. */
  name?: string
  /** Base options of all measures; layers must stay `all` for the layer thirds to be of the whole model. */
  measure?: Partial<MeasureOptions>
  /** How heads are chosen in Table 2: each trace's own, calibrated over the set (which reads the source twice), or both. Default: each trace's own. */
  heads?: readonly MeasureOptions['heads'][]
  /** Default: prominence 0.25, and the paper's shares. The first holds where a table has room for one. */
  peakModes?: readonly PeakMode[]
  /** Of the sweep. */
  prominences?: readonly number[]
  /** False leaves the layer thirds out. Default: true if the model has three layers and the traces have head series. */
  thirds?: boolean
  /** False leaves the robustness table out; an object replaces parts of the grid that the files allow. */
  robustness?: boolean | Partial<RobustnessGrid>
  /** Traces of the same texts by the same model with permuted weights: the control. */
  permuted?: TraceSource
  /** Other trace sets by name, to stand side by side and to be compared with this one. */
  others?: Readonly<Record<string, TraceSource>>
  /** Class of each token. Default: classes of text tokens. */
  tokenClass?: TokenClassFunction
  /** Bins of relative position for the position-matched baseline. Default 10. */
  positionBins?: number
  bootstrap?: Partial<BootstrapOptions>
  /** Shuffles of each kind for p-values. Default 1000. */
  shuffles?: number
  /** Number of traces, if known, for progress. */
  count?: number
  signal?: AbortSignal
  onProgress?: (done: number, total: number, note?: string) => void
}

/** Every table by name; each is an array of plain rows. */
export interface AnalysisTables {
  summary: SummaryRow[]
  traces: TraceRow[]
  /** Table 2. */
  table2: Table2Row[]
  prominenceSweep: ProminenceRow[]
  /** Lifts over matched baselines, and those of the permuted weights. */
  controls: ControlRow[]
  /** Table 10. Empty if left out. */
  layerThirds: LayerThirdRow[]
  /** Table 12: this set and the others, side by side. Empty without others. */
  sideBySide: Table2Row[]
  /** This set's lifts minus those of the permuted weights and of each other set. */
  differences: DifferenceRow[]
  /** Table 20, pooled and for each trace. */
  peakOverlap: PooledOverlapRow[]
  peakOverlapByTrace: PeakOverlapRow[]
  entropyAroundPeaks: EventAverageRow[]
  rhythmAroundAnchors: EventAverageRow[]
  crossCorrelation: CrossCorrelationRow[]
  /** Empty if left out. */
  robustness: RobustnessRow[]
  paper: PaperValue[]
}

/**
 * All analyses of a trace set, from one reading of its files (two if calibrated heads are asked for). The series of one
 * trace are held at a time. Tables of one set of heads (sweep, thirds, controls, overlap, averages, robustness) use the first of `heads`.
 * Throws on traces without the series that are asked for, on options out of range, and `Interrupted`.
 */
export async function analyzeTraces(source: TraceSource, options: AnalyzeOptions = {}): Promise<AnalysisTables> {
  const { name = 'traces', peakModes = BOTH_MODES, shuffles, positionBins, signal, onProgress } = options
  const bootstrap = bootstrapOptions(options.bootstrap)
  const headChoices = options.heads ?? [options.measure?.heads ?? 'trace']
  if (headChoices.length === 0) throw new InvalidArgument("no heads to analyse with: expected 'trace' or 'calibrated'")
  if (peakModes.length === 0) throw new InvalidArgument('no peak mode to analyse with: expected at least one')
  peakModes.forEach(peakModeName)
  const otherSets = Object.entries({ ...options.others, ...(options.permuted && { [PERMUTED]: options.permuted }) })
  for (const [other] of otherSets)
    if (other === name) throw new InvalidArgument(`two trace sets are named '${name}': names tell them apart in tables`)
  const base = measureOptions({ ...options.measure, heads: headChoices[0] })
  const first = await firstTrace(source)
  const plan = planSets(first, base, headChoices, options)
  const measuring = { tokenClass: options.tokenClass, signal, onProgress }
  const measured = await measureTraces(source, plan.sets, { ...measuring, count: options.count })
  const own = measured[keyOf(base)]!
  const others: Record<string, TraceMeasures[]> = {}
  for (const [other, from] of otherSets) others[other] = (await measureTraces(from, { base }, measuring)).base!

  const table = { peakModes, bootstrap }
  const tested = { ...table, shuffles }
  const { [PERMUTED]: permuted, ...models } = others
  const pause = pacer(signal)
  // Tables with shuffles take long: they let the event loop run between their parts.
  const eachMode = <Row>(rows: (modes: { peakModes: readonly PeakMode[] }) => Row[]) =>
    peakModes.map((mode) => () => rows({ peakModes: [mode] }))
  const inTurn = async <Row>(parts: (() => Row[])[]): Promise<Row[]> => {
    const rows: Row[] = []
    for (const part of parts) {
      await pause()
      rows.push(...part())
    }
    return rows
  }
  const steps: { [K in keyof AnalysisTables]: () => AnalysisTables[K] | Promise<AnalysisTables[K]> } = {
    summary: () => Object.entries({ [name]: own, ...others }).flatMap(([set, m]) => summary(m, set, peakModes[0])),
    traces: () => traceTable(own, name, peakModes[0]),
    table2: () =>
      inTurn(
        headChoices.flatMap((heads) =>
          eachMode((modes) => table2(measured[keyOf({ ...base, heads })]!, name, { ...tested, ...modes })),
        ),
      ),
    prominenceSweep: () =>
      prominenceSweep(own, name, { prominences: options.prominences ?? SWEPT_PROMINENCES, bootstrap }),
    controls: () => controls({ [name]: own, ...(permuted && { [PERMUTED]: permuted }) }, { ...table, positionBins }),
    layerThirds: () =>
      inTurn(
        plan.thirds ? eachMode((modes) => layerThirds(thirdsOf(measured, base), name, { ...tested, ...modes })) : [],
      ),
    sideBySide: () =>
      inTurn(
        Object.keys(models).length > 0
          ? eachMode((modes) => sideBySide({ [name]: own, ...models }, { ...tested, ...modes }))
          : [],
      ),
    differences: () =>
      Object.entries(others).flatMap(([other, m]) =>
        compareSets({ name, measures: own }, { name: other, measures: m }, table),
      ),
    peakOverlap: () => peakOverlap(own, name, table),
    peakOverlapByTrace: () => peakOverlapByTrace(own, name, table),
    entropyAroundPeaks: () => entropyAroundPeaks(own, name, table),
    rhythmAroundAnchors: () => rhythmAroundAnchors(own, name, { bootstrap }),
    crossCorrelation: () => crossCorrelation(own, name, { bootstrap }),
    robustness: () =>
      robustness(
        plan.settings.map((setting) => ({ setting, measures: measured[keyOf(setting.options)]! })),
        { options: base, measures: own },
        name,
        { peakModes: peakModes.slice(0, 1), bootstrap, variedPeaks: plan.variedPeaks },
      ),
    paper: () => PAPER_VALUES.map((value) => ({ ...value })),
  }
  const tables: Record<string, unknown> = {}
  const names = Object.keys(steps) as (keyof AnalysisTables)[]
  for (const [i, step] of names.entries()) {
    await pause()
    tables[step] = await steps[step]()
    onProgress?.(i + 1, names.length, `table ${step}`)
  }
  return tables as unknown as AnalysisTables
}

/** The name of the control in tables. */
export const PERMUTED = 'permuted weights'

/** Options that are the same are measured once. */
const keyOf = (options: MeasureOptions) => JSON.stringify(options)

interface Plan {
  /** Everything that is measured in one reading. */
  sets: Record<string, MeasureOptions>
  thirds: boolean
  settings: RobustnessSetting[]
  variedPeaks: readonly PeakMode[]
}

function planSets(
  first: AnalysisTrace,
  base: MeasureOptions,
  headChoices: readonly MeasureOptions['heads'][],
  options: AnalyzeOptions,
): Plan {
  const hasSeries = Boolean(first.series ?? first.withoutSink)
  const sets: Record<string, MeasureOptions> = {}
  const add = (set: MeasureOptions) => {
    sets[keyOf(set)] = set
  }
  for (const heads of headChoices) add({ ...base, heads })
  const thirds = options.thirds ?? (hasSeries && first.record.spans.length >= 3)
  if (thirds) for (const third of THIRDS) add({ ...base, layers: third })
  if (options.robustness === false) return { sets, thirds, settings: [], variedPeaks: [] }
  const given = typeof options.robustness === 'object' ? options.robustness : {}
  const grid = robustnessGrid(first, base, { heads: headChoices, ...given })
  const settings = robustnessSettings(grid, base)
  for (const setting of settings) add(setting.options)
  return { sets, thirds, settings, variedPeaks: grid.peakModes }
}

function thirdsOf(measured: Record<string, TraceMeasures[]>, base: MeasureOptions): Record<Third, TraceMeasures[]> {
  const of = (third: Third) => measured[keyOf({ ...base, layers: third })]!
  return { bottom: of('bottom'), middle: of('middle'), top: of('top') }
}

async function firstTrace(source: TraceSource): Promise<AnalysisTrace> {
  for await (const trace of source()) return trace
  throw new InvalidArgument('no traces to analyse: the source gave none')
}
