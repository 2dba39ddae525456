/** `[layer, head]` */
export type HeadIndex = readonly [number, number]

/** The part of a trace file (TraceRhythm) that the figures read. Arrays are over the response unless said otherwise. */
export interface PlottedRhythm {
  promptLength: number
  entropy: ArrayLike<number | null>
  /** Mean look-back distance of each head in tokens, `[layer][head]`. */
  spans: ArrayLike<number | null>[]
  analysis: PlottedBlock
  rl?: PlottedBlock
  receiver: {
    heads: HeadIndex[]
    fai: ArrayLike<number | null>
    /** Peak positions for each prominence. */
    peaks: Record<string, number[]>
  }
}

/** One block of a trace file: all layers (`analysis`), or those that credit uses (`rl`). */
export interface PlottedBlock {
  window: number
  localHeads: HeadIndex[]
  globalHeads: HeadIndex[]
  waad: ArrayLike<number | null>
  fai: ArrayLike<number | null>
  delta: ArrayLike<number | null>
  peaks: Record<string, { waad: number[]; fai: number[] }>
}

/** Mean attention of a group of heads, maybe averaged over square bins of tokens. */
export interface AttentionMap {
  /** `[rows, cols]`, row-major: attention from the queries of a row's bin to one key of a column's bin. */
  values: ArrayLike<number>
  rows: number
  cols: number
  /** Position, in prompt + response, of the first row's first token. Columns start at position 0. */
  rowStart: number
  /** Tokens in a bin, along rows and columns. */
  binSize: number
}

/** What the figures draw: one response's rhythm, its tokens and, for the heat maps, its attention. */
export interface PlottedTrace {
  rhythm: PlottedRhythm
  /** Text of each token of prompt + response. */
  tokens: readonly string[]
  maps?: { local: AttentionMap; global: AttentionMap }
}

/** Text of each response token. Throws if the tokens are not those of prompt + response. */
export function responseTokens(trace: PlottedTrace): readonly string[] {
  const { promptLength, analysis } = trace.rhythm
  const expected = promptLength + analysis.waad.length
  if (trace.tokens.length !== expected) {
    throw new Error(
      `trace.tokens has ${trace.tokens.length} entries; expected ${expected}, one for each token of the prompt ` +
        `(${promptLength}) and of the response (${analysis.waad.length})`,
    )
  }
  return trace.tokens.slice(promptLength)
}

/** The entry of a trace file's `peaks` for one prominence. Throws if the trace has none. */
export function peaksAt<T>(peaks: Record<string, T>, prominence: number): T {
  const key = Object.keys(peaks).find((name) => Number(name) === prominence)
  if (key === undefined) {
    throw new Error(
      `no peaks of prominence ${prominence} in this trace; it has ${Object.keys(peaks).join(', ') || 'none'}. ` +
        'Choose one of these, or trace again with that prominence',
    )
  }
  return peaks[key]
}
