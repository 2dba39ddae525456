import { type BootstrapOptions, bootstrapSums, liftOf, ratio } from './bootstrap'
import { BOTH_MODES, type TableOptions } from './liftRow'
import { peakModeName, type TracePeaks, tracePeaks } from './peakMode'
import type { TraceMeasures } from './traceMeasures'

/** The series whose peaks Table 20 compares. */
export const PEAK_SERIES = ['waad', 'fai', 'receiver', 'entropy'] as const
export type PeakSeries = (typeof PEAK_SERIES)[number]

const NAMES: Record<PeakSeries, string> = { waad: 'WAAD', fai: 'FAI', receiver: 'receiver FAI', entropy: 'entropy' }

/** Overlap of the peaks of two series in one trace: shares of the first series' peaks. Null where the first series has no peak. */
export interface PeakOverlapRow {
  set: string
  trace: string
  peakMode: string
  first: string
  second: string
  tokens: number
  firstPeaks: number
  secondPeaks: number
  /** At peaks of the second series. */
  exact: number | null
  /** One token after a peak of the second series: that peak is at the previous position. */
  previous: number | null
  /** One token before a peak of the second series: that peak is at the next position. */
  next: number | null
  /** Each of the three if the peaks lay at random: the share of tokens that are peaks of the second series. */
  expected: number | null
}

/** The same pooled over traces, with bootstrap intervals over traces. */
export interface PooledOverlapRow extends Omit<PeakOverlapRow, 'trace'> {
  traces: number
  exactLow: number | null
  exactHigh: number | null
  previousLow: number | null
  previousHigh: number | null
  nextLow: number | null
  nextHigh: number | null
  /** Of `exact` over `expected`. */
  lift: number | null
  liftLow: number | null
  liftHigh: number | null
}

/** Table 20: the overlap of every ordered pair of series in every trace. */
export function peakOverlapByTrace(
  measures: readonly TraceMeasures[],
  set: string,
  options: Pick<TableOptions, 'peakModes'> = {},
): PeakOverlapRow[] {
  return (options.peakModes ?? BOTH_MODES).flatMap((mode) =>
    measures.flatMap((trace) => {
      const peaks = tracePeaks(trace, mode)
      return pairs.flatMap(([first, second]) => {
        const counts = overlap(peaks, first, second, trace.tokens)
        if (!counts) return []
        const [firstPeaks, exact, previous, next, expected, secondPeaks] = counts
        const share = (count: number) => ratio(count, firstPeaks)
        return {
          set,
          trace: trace.id,
          peakMode: peakModeName(mode),
          first: NAMES[first],
          second: NAMES[second],
          tokens: trace.tokens,
          firstPeaks,
          secondPeaks,
          exact: share(exact),
          previous: share(previous),
          next: share(next),
          expected: share(expected),
        }
      })
    }),
  )
}

/** Table 20 pooled over traces: `expected` is what shuffling the first series' peaks within each trace gives. */
export function peakOverlap(
  measures: readonly TraceMeasures[],
  set: string,
  options: TableOptions = {},
): PooledOverlapRow[] {
  return (options.peakModes ?? BOTH_MODES).flatMap((mode) => {
    const found = measures.map((trace) => ({ trace, peaks: tracePeaks(trace, mode) }))
    return pairs.map(([first, second]) => {
      const counted = found.flatMap(({ trace, peaks }) => {
        const counts = overlap(peaks, first, second, trace.tokens)
        return counts ? [{ counts, tokens: trace.tokens }] : []
      })
      const total = (i: number) => counted.reduce((sum, { counts }) => sum + counts[i]!, 0)
      return {
        set,
        peakMode: peakModeName(mode),
        first: NAMES[first],
        second: NAMES[second],
        traces: counted.length,
        tokens: counted.reduce((sum, { tokens }) => sum + tokens, 0),
        firstPeaks: total(0),
        secondPeaks: total(5),
        ...pooled(
          counted.map(({ counts }) => counts),
          options.bootstrap,
        ),
      }
    })
  })
}

const pairs = PEAK_SERIES.flatMap((first) =>
  PEAK_SERIES.filter((second) => second !== first).map((second) => [first, second] as const),
)

/** Number of first peaks; of those at, after and before a second peak; expected number at one; number of second peaks. */
type Counts = readonly [number, number, number, number, number, number]

function overlap(peaks: TracePeaks, first: PeakSeries, second: PeakSeries, tokens: number): Counts | null {
  const [a, b] = [peaks[first], peaks[second]]
  if (!a || !b) return null
  const there = new Set(b)
  const count = (offset: number) => a.filter((t) => there.has(t + offset)).length
  return [a.length, count(0), count(-1), count(1), (a.length * b.length) / tokens, b.length]
}

function pooled(counts: readonly Counts[], bootstrap: Partial<BootstrapOptions> | undefined) {
  const [exact, previous, next, expected, lift] = bootstrapSums(
    [counts],
    (sums) => {
      const shares = [1, 2, 3, 4].map((i) => ratio(sums[i] ?? 0, sums[0] ?? 0))
      return [...shares, liftOf(shares[0]!, shares[3]!)]
    },
    bootstrap,
  )
  return {
    exact: exact!.value,
    exactLow: exact!.low,
    exactHigh: exact!.high,
    previous: previous!.value,
    previousLow: previous!.low,
    previousHigh: previous!.high,
    next: next!.value,
    nextLow: next!.low,
    nextHigh: next!.high,
    expected: expected!.value,
    lift: lift!.value,
    liftLow: lift!.low,
    liftHigh: lift!.high,
  }
}
