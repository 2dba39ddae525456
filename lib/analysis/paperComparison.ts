/** How one of our values stands to the paper's; `paperVerdict` has the rule. */
export const PAPER_VERDICTS = [
  'agrees in size',
  'agrees in direction',
  'undecided',
  'not seen',
  'differs in size',
  'disagrees',
  'no number',
  'not run',
] as const
export type PaperVerdict = (typeof PAPER_VERDICTS)[number]

/** A value of the paper with ours beside it. Values are in the row's unit. */
export interface PaperComparison {
  /** Where the paper has it: `Table 2`, `Fig. 9`, `top share`. */
  result: string
  quantity: string
  /** Lifts and shares in percent; accuracies and their differences in points; similarities from 0 to 1. */
  unit: '%' | 'points' | 'similarity'
  /** Null where the paper gives no number, or we do not have it. */
  paper: number | null
  /** Which way the paper's effect goes where that is all that we know of it. */
  paperSign: 1 | -1 | null
  /** Model and data. */
  paperSetting: string | null
  /** Null where nothing is recorded; `low` and `high` bound a 95 % interval. */
  ours: number | null
  low: number | null
  high: number | null
  ourSetting: string | null
  verdict: PaperVerdict
  /** What makes our value, from the repository's root. */
  command: string
}

export interface ComparedValue extends Pick<PaperComparison, 'paper' | 'ours' | 'low' | 'high'> {
  paperSign?: 1 | -1 | null
  /** The value that says that there is no effect; null where the quantity is none, such as a similarity by itself. */
  noEffect: number | null
  /** Whether a test tells ours from no effect, where there is one: it goes before the interval. */
  isDistinct?: boolean
}

/**
 * The verdict, from our value's 95 % interval. Where a test does not tell ours from "no effect", that counts as being in the interval.
 * - `not run`: nothing is recorded. `no number`: the paper gives no value, or we do not have it.
 * - `agrees in size`: the interval has the paper's value in it, and "no effect" outside. `agrees in direction`: both are outside, and ours is on the paper's side.
 * - `undecided`: "no effect" is in the interval, and so is the paper's value (or its size is unknown, or there is no interval).
 * - `not seen`: "no effect" is in the interval, the paper's value is not. `disagrees`: the interval is on the other side.
 * - A quantity that is no effect agrees in size or `differs in size`.
 */
export function paperVerdict(value: ComparedValue): PaperVerdict {
  const { paper, paperSign, ours, low, high, noEffect, isDistinct = true } = value
  if (ours === null) return 'not run'
  if (paper === null && !paperSign) return 'no number'
  if (low === null || high === null) return 'undecided'
  const has = (number: number) => low <= number && number <= high
  if (noEffect === null) return has(paper!) ? 'agrees in size' : 'differs in size'
  if (has(noEffect) || !isDistinct) return paper === null || has(paper) ? 'undecided' : 'not seen'
  if (Math.sign(ours - noEffect) !== (paperSign ?? Math.sign(paper! - noEffect))) return 'disagrees'
  return paper !== null && has(paper) ? 'agrees in size' : 'agrees in direction'
}

/** A row with its verdict. */
export function comparison(
  given: Omit<PaperComparison, 'verdict' | 'paperSign'> & Pick<ComparedValue, 'noEffect' | 'paperSign' | 'isDistinct'>,
): PaperComparison {
  const { noEffect, isDistinct, paperSign = null, command, ...row } = given
  return { ...row, paperSign, verdict: paperVerdict({ ...row, noEffect, paperSign, isDistinct }), command }
}

/** The paper's value as a text, `positive` or `negative` where we know no more of it; a dash where we know nothing. */
export function paperText({ paper, paperSign }: Pick<PaperComparison, 'paper' | 'paperSign'>): string {
  if (paper !== null) return String(paper)
  return paperSign === null ? '–' : paperSign > 0 ? 'positive' : 'negative'
}

/** Ours with its interval, in the row's unit: `17.4 [14.4, 20.6]`; a dash where nothing is recorded. Its spaces do not break. */
export function intervalText({
  ours,
  low,
  high,
  unit,
}: Pick<PaperComparison, 'ours' | 'low' | 'high' | 'unit'>): string {
  if (ours === null) return '–'
  const shown = (value: number) => value.toFixed(unit === 'similarity' ? 3 : 1)
  return low === null || high === null
    ? shown(ours)
    : `${shown(ours)} [${shown(low)}, ${shown(high)}]`.replaceAll(' ', '\u00a0')
}
