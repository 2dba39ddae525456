import { alignToPredictor } from '../rhythm/tokenSeries'
import { CLAIMS } from './paperValues'
import { type PeakMode, tracePeaks } from './peakMode'
import type { TraceMeasures } from './traceMeasures'

/** The rows of Table 2; row 1 twice, as the paper does not say how it aligns entropy with attention rows. */
export interface RhythmRow {
  row: 1 | 2 | 3
  claim: string
  /** Row 1: entropy of the token itself, or of the token that the attention row predicts (t + 1). */
  alignment: 'own token' | 'next token' | null
}

export const RHYTHM_ROWS: readonly RhythmRow[] = [
  { row: 1, claim: CLAIMS[1], alignment: 'own token' },
  { row: 1, claim: CLAIMS[1], alignment: 'next token' },
  { row: 2, claim: CLAIMS[2], alignment: null },
  { row: 3, claim: CLAIMS[3], alignment: null },
]

/**
 * A row of Table 2 in one trace: the mean of `values` over the `selected` tokens is what is observed, and the mean over
 * other tokens of the domain is what it is compared with.
 */
export interface Selection {
  /** One value for each token of the domain, the first tokens of the response: nats, or 1 and 0. */
  values: Float64Array
  /** Ascending positions in the domain. */
  selected: readonly number[]
}

/**
 * The selection that a row makes in a trace. Row 1: entropy at WAAD peaks; row 2: is a global-FAI peak, at receiver-FAI peaks;
 * row 3: is at or one after a WAAD peak, at FAI peaks. The domain is the whole response, except that the last token has no next
 * one and that rows 2 and 3 leave out tokens whose FAI is undefined.
 * Null where the row cannot be asked of the trace: it has no receiver heads, or no token in the domain.
 */
export function selectionOf(measures: TraceMeasures, { row, alignment }: RhythmRow, mode: PeakMode): Selection | null {
  const { waad, fai, receiver } = tracePeaks(measures, mode)
  const domain = row === 1 ? measures.tokens : measures.valid.filter(Boolean).length
  if (row === 1) {
    const aligned = alignment === 'next token' ? alignToPredictor(measures.entropy) : measures.entropy
    return make(Float64Array.from(aligned.filter((value): value is number => value !== null)), waad)
  }
  if (row === 2) return receiver && make(marks(domain, fai), receiver)
  return make(marks(domain, [...waad, ...waad.map((t) => t + 1)]), fai)
}

function make(values: Float64Array, selected: readonly number[]): Selection | null {
  return values.length === 0 ? null : { values, selected: selected.filter((t) => t < values.length) }
}

function marks(length: number, at: readonly number[]): Float64Array {
  const values = new Float64Array(length)
  for (const t of at) if (t < length) values[t] = 1
  return values
}
