import { InvalidArgument } from './invalidArgument'

/** FAI horizon `[Hlo, Hhi]` in tokens (Def. 4.2), both ends included; `null` = to the end of the response. */
export type Horizon = readonly [number, number | null]

/** A head as the pair `[layer, head]`, layer counted from 0 in the whole model. */
export type Head = [layer: number, head: number]

/**
 * What one forward pass keeps of every observed head: per-token series that are linear in attention, so the series of
 * any head group is the plain mean over its heads (Eq. 8). `heads` counts heads of one layer; row `i * heads + h` of a
 * series is layer `layers[i]`, head `h`. All series are over the response: index 0 = its first token. `R` = response tokens.
 * A forward pass gives 32-bit series; `rhythmFromAttention` gives 64-bit ones.
 */
export interface HeadSeries<Values extends Float32Array | Float64Array = Float32Array> {
  /** The observed layers, ascending. */
  layers: number[]
  heads: number
  promptLength: number
  responseLength: number
  /** Mean look-back distance over the response in tokens (Eq. 7), `[layers.length * heads]`. */
  span: Values
  /** Look-back distance of each response token, `[layers.length * heads, R]`; empty if not asked for. */
  lookback: Values
  /** One entry for each window W: `sum_s A[t,s] * min(t - s, W)` (Eq. 9), `[layers.length * heads, R]`. */
  waad: { window: number; values: Values }[]
  /** One entry for each horizon: mean attention that token s receives from `T(s)` (Eq. 10), 0 where empty, `[layers.length * heads, R]`. */
  fai: { horizon: Horizon; values: Values }[]
  /** Mean attention that each response token receives from strictly later ones, 0 at the last token, `[layers.length * heads, R]`; empty if not asked for. */
  inbound: Values
  /** Mean attention between sentences of prompt + response, `[layers.length * heads, S, S]`, if sentences were asked for. */
  sentences?: { /** First token of each sentence. */ starts: number[]; values: Values }
  /** True if all of the above were computed with key position 0 (the attention sink) left out and rows renormalised. */
  sinkExcluded?: boolean
}

/** Head series of either precision, as the functions of this folder take them. */
export type AnyHeadSeries = HeadSeries<Float32Array> | HeadSeries<Float64Array>

/** `[10, 100]` → `'10-100'`, `[0, null]` → `'0-end'`. */
export function horizonName([low, high]: Horizon): string {
  return `${low}-${high ?? 'end'}`
}

/** Row of a head in the series, `index of its layer * heads + head`. Throws if the head was not observed. */
export function headRow(series: Pick<AnyHeadSeries, 'layers' | 'heads'>, [layer, head]: Head): number {
  const index = series.layers.indexOf(layer)
  if (index < 0 || !(Number.isInteger(head) && head >= 0 && head < series.heads))
    throw new InvalidArgument(
      `head [${layer}, ${head}] was not observed: these series have layers ${series.layers.join(', ')} and heads 0-${series.heads - 1}`,
    )
  return index * series.heads + head
}

/** The per-head WAAD series of a window, `[layers.length * heads, R]`. Throws if the forward pass did not keep it. */
export function waadSeries(series: AnyHeadSeries, window: number): ArrayLike<number> {
  const found = series.waad.find((entry) => entry.window === window)
  if (!found)
    throw new InvalidArgument(
      `no WAAD series for window ${window}: these head series have ${series.waad.map((entry) => entry.window).join(', ') || 'none'}; ` +
        'ask the forward pass for the windows that requiredSeries(options) lists',
    )
  return found.values
}

/** The per-head FAI series of a horizon, `[layers.length * heads, R]`. Throws if the forward pass did not keep it. */
export function faiSeries(series: AnyHeadSeries, horizon: Horizon): ArrayLike<number> {
  const found = series.fai.find((entry) => entry.horizon[0] === horizon[0] && entry.horizon[1] === horizon[1])
  if (!found)
    throw new InvalidArgument(
      `no FAI series for horizon ${horizonName(horizon)}: these head series have ${series.fai.map((entry) => horizonName(entry.horizon)).join(', ') || 'none'}; ` +
        'ask the forward pass for the horizons that requiredSeries(options) lists',
    )
  return found.values
}

/** Mean look-back distance of the observed heads as `[layer index][head]`, in tokens (Eq. 7). */
export function spanTable(series: AnyHeadSeries): number[][] {
  return series.layers.map((_, i) => Array.from(series.span.subarray(i * series.heads, (i + 1) * series.heads)))
}
