import { sampleCorrelation } from 'simple-statistics'
import { type BootstrapOptions, bootstrapSums, ratio } from './bootstrap'
import type { TraceMeasures } from './traceMeasures'

/** Correlation of two series at a lag: a measure of the rhythm that needs no peaks. */
export interface CrossCorrelationRow {
  set: string
  first: string
  second: string
  /** Tokens by which the second series is later: WAAD at t beside the other at t + lag. */
  lag: number
  /** Mean over traces of each trace's Pearson correlation; null where no trace has one. */
  correlation: number | null
  low: number | null
  high: number | null
  /** Traces in which it is defined: at least three pairs of tokens, and neither series constant. */
  traces: number
  tokens: number
}

export interface CrossCorrelationOptions {
  /** Largest lag on either side, in tokens. Default 10. */
  reach?: number
  bootstrap?: Partial<BootstrapOptions>
}

/** Cross-correlation of WAAD and FAI, and of WAAD and entropy, at lags -10…+10, with bootstrap intervals over traces. */
export function crossCorrelation(
  measures: readonly TraceMeasures[],
  set: string,
  { reach = 10, bootstrap }: CrossCorrelationOptions = {},
): CrossCorrelationRow[] {
  const lags = Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach)
  const tokens = measures.reduce((sum, trace) => sum + trace.tokens, 0)
  return (['FAI', 'entropy'] as const).flatMap((second) => {
    const vectors = measures.map((trace) => {
      const other = second === 'entropy' ? trace.entropy : trace.fai.slice(0, trace.valid.filter(Boolean).length)
      return lags.flatMap((lag) => {
        const value = laggedCorrelation(trace.waad, other, lag)
        return value === null ? [0, 0] : [1, value]
      })
    })
    const estimates = bootstrapSums(
      [vectors],
      (sums) => lags.map((_, i) => ratio(sums[2 * i + 1] ?? 0, sums[2 * i] ?? 0)),
      bootstrap,
    )
    return lags.map((lag, i) => ({
      set,
      first: 'WAAD',
      second,
      lag,
      correlation: estimates[i]!.value,
      low: estimates[i]!.low,
      high: estimates[i]!.high,
      traces: vectors.reduce((sum, vector) => sum + vector[2 * i]!, 0),
      tokens,
    }))
  })
}

/** Pearson correlation of `x[t]` and `y[t + lag]` over the tokens that have both; null for fewer than three, or if one is constant. */
export function laggedCorrelation(x: readonly number[], y: readonly number[], lag: number): number | null {
  const from = Math.max(0, -lag)
  const to = Math.min(x.length, y.length - lag)
  if (to - from < 3) return null
  const [a, b] = [x.slice(from, to), y.slice(from + lag, to + lag)]
  if (a.every((value) => value === a[0]) || b.every((value) => value === b[0])) return null
  const value = sampleCorrelation(a, b)
  return Number.isFinite(value) ? value : null
}
