import { type AnyHeadSeries, type Head, headRow } from './headSeries'
import { InvalidArgument } from './invalidArgument'
import { shareCount } from './shareCount'

/** Local heads (the smallest spans) and global heads (the largest), each in ascending (layer, head) order. */
export interface HeadGroups {
  local: Head[]
  global: Head[]
}

export interface HeadGroupOptions {
  /** Share of the heads in each group. Default 0.3. */
  share?: number
  /** Layers whose heads take part; the groups are formed among them only. Default: every layer of `spans`. */
  layers?: readonly number[]
  /** `targeted` (default) chooses by span; `all` puts every head in both groups, the paper's ablation. */
  choice?: 'targeted' | 'all'
}

/**
 * Splits heads by mean look-back distance (Sec. 2 of the method, Eq. 7-8): `ceil(share * n)` local and as many global
 * heads, ties to the earlier (layer, head).
 * @param spans span of each head in tokens, `[layer][head]`, layer counted from 0 in the whole model
 */
export function headGroups(spans: readonly (readonly number[])[], options: HeadGroupOptions = {}): HeadGroups {
  const { share = 0.3, layers = spans.map((_, layer) => layer), choice = 'targeted' } = options
  if (!(share > 0 && share <= 1)) throw new InvalidArgument(`invalid head share ${share}: not in (0, 1]`)
  const heads = [...layers]
    .sort((a, b) => a - b)
    .flatMap((layer) => {
      if (!spans[layer])
        throw new InvalidArgument(`no spans for layer ${layer}: expected a layer of 0-${spans.length - 1}`)
      return spans[layer].map((span, head) => {
        if (!Number.isFinite(span))
          throw new InvalidArgument(`span of head [${layer}, ${head}] is ${span}, not a number`)
        return { head: [layer, head] as Head, span }
      })
    })
  if (heads.length === 0) throw new InvalidArgument('no heads to choose from: spans or layers is empty')
  if (choice === 'all') return { local: heads.map((h) => h.head), global: heads.map((h) => h.head) }
  const count = shareCount(share, heads.length)
  // The sort is stable and the list is in (layer, head) order: ties stay with the earlier head, at both ends.
  return {
    local: inHeadOrder([...heads].sort((a, b) => a.span - b.span).slice(0, count)),
    global: inHeadOrder([...heads].sort((a, b) => b.span - a.span).slice(0, count)),
  }
}

/** Mean span of each head over traces, `[layer][head]`, for head groups that are calibrated once and reused. */
export function meanSpans(traces: readonly (readonly (readonly number[])[])[]): number[][] {
  const first = traces[0]
  if (!first) throw new InvalidArgument('no traces to calibrate on: expected the spans of at least one')
  traces.forEach((spans, i) => {
    if (spans.length !== first.length || spans.some((row, l) => row.length !== first[l]!.length))
      throw new InvalidArgument(`trace ${i} has spans of another shape than trace 0: calibrate on traces of one model`)
  })
  return first.map((row, l) => row.map((_, h) => traces.reduce((sum, t) => sum + t[l]![h]!, 0) / traces.length))
}

/** Share of `after`'s heads that `before` did not have, from 0 to 1: how far a group moved since it was calibrated. */
export function headTurnover(before: readonly Head[], after: readonly Head[]): number {
  const known = new Set(before.map(String))
  return after.length === 0 ? 0 : after.filter((head) => !known.has(String(head))).length / after.length
}

/**
 * Mean of a per-head series over a head group (Eq. 8; every series is linear in attention), in 64 bits.
 * @param values `[layers.length * heads, R]`
 * @returns `[R]`
 */
export function groupMean(
  series: Pick<AnyHeadSeries, 'layers' | 'heads' | 'responseLength'>,
  values: ArrayLike<number>,
  heads: readonly Head[],
): number[] {
  if (heads.length === 0) throw new InvalidArgument('no heads to average over')
  const length = series.responseLength
  if (values.length !== series.layers.length * series.heads * length)
    throw new InvalidArgument(
      `a per-head series has ${values.length} values, expected ${series.layers.length} layers * ${series.heads} heads * ${length} tokens`,
    )
  const mean = new Array<number>(length).fill(0)
  for (const head of heads) {
    const start = headRow(series, head) * length
    for (let t = 0; t < length; t++) mean[t]! += values[start + t]!
  }
  return mean.map((sum) => sum / heads.length)
}

function inHeadOrder(chosen: { head: Head }[]): Head[] {
  return chosen.map(({ head }) => head).sort(([l1, h1], [l2, h2]) => l1 - l2 || h1 - h2)
}
