import type { AnyHeadSeries, Head } from './headSeries'
import { InvalidArgument } from './invalidArgument'
import { kurtosis } from './kurtosis'

/** `token`: selectivity over response tokens (this paper). `sentence`: over sentences (Bogdan et al. 2025). */
export type ReceiverVariant = 'token' | 'sentence'

/** `[layer index][head]`; null where a profile has fewer than two values or is constant. */
export type KurtosisTable = (number | null)[][]

/**
 * Kurtosis of each observed head's inbound profile over response tokens: the mean attention a token receives from
 * strictly later ones, the last token (which has none) dropped. Throws if the series have no inbound attention.
 */
export function tokenKurtosis(series: AnyHeadSeries): KurtosisTable {
  const length = series.responseLength
  if (series.inbound.length === 0)
    throw new InvalidArgument('these head series have no inbound attention: ask the forward pass for it (inbound)')
  return table(series, (row) => kurtosis(series.inbound.subarray(row * length, row * length + length - 1)))
}

/**
 * Kurtosis of each observed head's sentence profile: the score of sentence j is the mean over sentences `i >= j + gap`
 * of the mean attention from i to j; sentences without any such i are dropped.
 */
export function sentenceKurtosis(series: AnyHeadSeries, gap = 4): KurtosisTable {
  if (!series.sentences)
    throw new InvalidArgument('these head series have no sentences: ask the forward pass for them (sentence starts)')
  const { starts, values } = series.sentences
  const count = starts.length
  return table(series, (row) => {
    const scores: number[] = []
    for (let j = 0; j + gap < count; j++) {
      let sum = 0
      for (let i = j + gap; i < count; i++) sum += values[(row * count + i) * count + j]!
      scores.push(sum / (count - j - gap))
    }
    return kurtosis(scores)
  })
}

/** Mean kurtosis over traces; a trace in which a head's kurtosis is undefined does not count for that head. */
export function meanKurtosis(traces: readonly KurtosisTable[]): KurtosisTable {
  const first = traces[0]
  if (!first) throw new InvalidArgument('no traces to average over: expected the kurtosis of at least one')
  return first.map((row, l) =>
    row.map((_, h) => {
      const values = traces.map((t) => t[l]?.[h]).filter((k): k is number => typeof k === 'number')
      return values.length === 0 ? null : values.reduce((sum, k) => sum + k, 0) / values.length
    }),
  )
}

/** How many receiver heads: `min(16, ceil(heads / 4))` for `token`, 20 for `sentence`. */
export function receiverCount(variant: ReceiverVariant, headCount: number): number {
  return variant === 'token' ? Math.min(16, Math.ceil(headCount / 4)) : 20
}

/**
 * The `count` heads with the highest kurtosis, in ascending (layer, head) order, ties to the earlier head. Heads without a
 * kurtosis are never chosen, so there may be fewer.
 * @param layers the model's layer number of each row of the table
 */
export function receiverHeads(table: KurtosisTable, layers: readonly number[], count: number): Head[] {
  if (!(Number.isInteger(count) && count >= 0))
    throw new InvalidArgument(`invalid count of receiver heads ${count}: expected a whole number of at least 0`)
  return table
    .flatMap((row, i) => row.map((value, head) => ({ head: [layers[i]!, head] as Head, value })))
    .filter((h): h is { head: Head; value: number } => h.value !== null)
    .sort((a, b) => b.value - a.value)
    .slice(0, count)
    .map(({ head }) => head)
    .sort(([l1, h1], [l2, h2]) => l1 - l2 || h1 - h2)
}

function table(series: AnyHeadSeries, value: (row: number) => number | null): KurtosisTable {
  return series.layers.map((_, i) => Array.from({ length: series.heads }, (_, h) => value(i * series.heads + h)))
}
