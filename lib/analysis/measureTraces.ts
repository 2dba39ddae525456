import { pacer } from '../engine/cooperate'
import { InvalidArgument } from '../rhythm/invalidArgument'
import type { AnalysisTrace, TraceSource } from './analysisTrace'
import { calibratedHeads, type HeadCalibration, HeadCalibrator } from './calibrateHeads'
import { type MeasureOptions, measureOptions } from './measureOptions'
import type { TokenClassFunction } from './tokenClass'
import { type TraceMeasures, tokenFacts, traceMeasures } from './traceMeasures'

export interface MeasureTracesOptions {
  /** Class of each token for the class-matched baselines. Default: `textTokenClass`. */
  tokenClass?: TokenClassFunction
  /** Heads calibrated elsewhere (on other traces) for the sets with calibrated heads. Default: over these traces. */
  calibration?: HeadCalibration
  /** Number of traces, if known, for progress. */
  count?: number
  signal?: AbortSignal
  onProgress?: (done: number, total: number, note?: string) => void
}

/**
 * Measures every trace of a source for many sets of options in one reading, two if some of them ask for calibrated heads.
 * One trace's series are held at a time; what is kept is about 40 bytes for each token and set.
 * Throws on traces without the series that a set needs, on a source without traces, and `Interrupted`.
 * @param sets options by name
 * @returns the measures of each set by its name, in the order of the source
 */
export async function measureTraces(
  source: TraceSource,
  sets: Readonly<Record<string, Partial<MeasureOptions>>>,
  options: MeasureTracesOptions = {},
): Promise<Record<string, TraceMeasures[]>> {
  const chosen = Object.entries(sets).map(([name, given]) => [name, measureOptions(given)] as const)
  const calibrated = chosen.map(([, set]) => set).filter((set) => set.heads === 'calibrated')
  let calibration = options.calibration
  if (calibrated.length > 0 && !calibration) {
    const calibrator = new HeadCalibrator(calibrated)
    await eachTrace(source, options, 'calibrating heads', (trace) => calibrator.add(trace))
    calibration = calibrator.result()
  }
  const heads = new Map(
    chosen.map(([name, set]) => [
      name,
      set.heads === 'calibrated' ? calibratedHeads(calibration as HeadCalibration, set) : undefined,
    ]),
  )
  const measured: Record<string, TraceMeasures[]> = Object.fromEntries(chosen.map(([name]) => [name, []]))
  await eachTrace(source, options, 'measuring', (trace) => {
    const facts = tokenFacts(trace, options.tokenClass)
    for (const [name, set] of chosen) measured[name]!.push(traceMeasures(trace, set, heads.get(name), facts))
  })
  return measured
}

async function eachTrace(
  source: TraceSource,
  { count, signal, onProgress }: MeasureTracesOptions,
  note: string,
  use: (trace: AnalysisTrace) => void,
): Promise<void> {
  const pause = pacer(signal)
  const seen = new Set<string>()
  for await (const trace of source()) {
    await pause()
    if (seen.has(trace.id)) throw new InvalidArgument(`trace ${trace.id} comes twice: ids name the traces of a set`)
    seen.add(trace.id)
    use(trace)
    onProgress?.(seen.size, count ?? seen.size, note)
  }
  if (seen.size === 0) throw new InvalidArgument('no traces to analyse: the source gave none')
}
