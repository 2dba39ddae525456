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
  credit?: Record<string, number[]>
  coupling?: { dominated: number[]; introducedBy?: number[] }
}

/** Mean attention of a group of heads over prompt + response, as the observer `patterns` keeps it. */
export interface PlottedMap {
  /** Cells on each side. */
  size: number
  /** Positions averaged into one cell, along each side. */
  tokensPerCell: number
  /** `[size, size]`, row = query, column = key. */
  values: ArrayLike<number>
}

/** What the figures draw: one response's rhythm, its tokens and, for the heat maps, its attention. */
export interface PlottedTrace {
  rhythm: PlottedRhythm
  /** Text of each token of prompt + response. */
  tokens: readonly string[]
  maps?: { local: PlottedMap; global: PlottedMap } | null
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
