/** FAI horizon `[Hlo, Hhi]` in tokens (Def. 4.2); `null` = to the end of the response. */
export type Horizon = readonly [number, number | null]

/**
 * What one forward pass keeps of every observed head: per-token series that are linear in attention, so the series of
 * any head group is the plain mean over its heads (Eq. 8). `heads` counts heads of one layer; row `i * heads + h` of a
 * series is layer `layers[i]`, head `h`. All series are over the response: index 0 = its first token. `R` = response tokens.
 */
export interface HeadSeries {
  /** The observed layers, ascending. */
  layers: number[]
  heads: number
  promptLength: number
  responseLength: number
  /** Mean look-back distance over the response in tokens (Eq. 7), `[layers.length * heads]`. */
  span: Float32Array
  /** Look-back distance of each response token, `[layers.length * heads, R]`. */
  lookback: Float32Array
  /** One entry for each window W: `sum_s A[t,s] * min(t - s, W)` (Eq. 9), `[layers.length * heads, R]`. */
  waad: { window: number; values: Float32Array }[]
  /** One entry for each horizon: mean attention that token s receives from `T(s)` (Eq. 10), 0 where empty, `[layers.length * heads, R]`. */
  fai: { horizon: Horizon; values: Float32Array }[]
  /** Mean attention that each response token receives from strictly later ones, 0 at the last token, `[layers.length * heads, R]`. */
  inbound: Float32Array
  /** Mean attention between sentences of prompt + response, `[layers.length * heads, S, S]`, if sentences were asked for. */
  sentences?: { /** First token of each sentence. */ starts: number[]; values: Float32Array }
}
