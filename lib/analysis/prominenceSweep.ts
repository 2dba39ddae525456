import { type LiftRow, liftRows, type TableOptions } from './liftRow'
import { tracePeaks } from './peakMode'
import type { TraceMeasures } from './traceMeasures'

/** The three lifts at one prominence, and how many tokens are then peaks. */
export interface ProminenceRow extends LiftRow {
  /** Fraction of the series' population standard deviation. */
  prominence: number
  /** Share of all tokens that are WAAD peaks. */
  waadShare: number
  faiShare: number
}

export const SWEPT_PROMINENCES: readonly number[] = [0, 0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2]

/** How Table 2 depends on the prominence of peaks, which the paper does not state. */
export function prominenceSweep(
  measures: readonly TraceMeasures[],
  set: string,
  options: Omit<TableOptions, 'peakModes'> & { prominences?: readonly number[] } = {},
): ProminenceRow[] {
  const { prominences = SWEPT_PROMINENCES, bootstrap } = options
  const tokens = measures.reduce((sum, trace) => sum + trace.tokens, 0)
  return prominences.flatMap((prominence) => {
    const mode = { kind: 'prominence', prominence } as const
    const found = measures.map((trace) => tracePeaks(trace, mode))
    const share = (name: 'waad' | 'fai') =>
      tokens === 0 ? 0 : found.reduce((sum, peaks) => sum + peaks[name].length, 0) / tokens
    const shares = { waadShare: share('waad'), faiShare: share('fai') }
    return liftRows(measures, set, { peakModes: [mode], bootstrap }).map((row) => ({ ...row, prominence, ...shares }))
  })
}
