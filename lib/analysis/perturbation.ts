import { eng } from 'stopword'
import { InvalidArgument } from '../rhythm/invalidArgument'
import { type BootstrapOptions, bootstrapSums, type Estimate, ratio } from './bootstrap'

/** A greedy continuation after a forced token, as text. */
export interface RolloutText {
  /** Text of the forced token. */
  tokenText: string
  /** Text after it. */
  text: string
}

/** One perturbed position: what follows the response's own token, and what follows the other candidates. */
export interface PerturbedPositionTexts {
  /** By FAI. */
  kind: 'top' | 'bottom'
  /** Nats. */
  entropy: number
  reference: RolloutText
  alternatives: readonly RolloutText[]
}

/** The roll-outs of one response. `readRollouts` gives these. */
export interface PerturbedResponseTexts {
  id: string
  /** Responses to one problem count together. */
  problem: string
  positions: readonly PerturbedPositionTexts[]
}

export interface PerturbationScoreOptions {
  bootstrap?: Partial<BootstrapOptions>
  /** Words that do not count. Default: the 108 English ones of the package `stopword`, a short list (`she` and `not` are not in it). */
  stopWords?: readonly string[]
}

/** Mean similarity at the two kinds of positions for one problem; null where nothing can be compared. */
export interface PerturbationProblem {
  problem: string
  top: number | null
  bottom: number | null
}

/** Table 1: does another token at a position with high FAI change what follows more than at one with low FAI? */
export interface PerturbationScore {
  /** Mean over problems of the mean Jaccard similarity at top positions; the lower, the more they steer. */
  top: Estimate
  bottom: Estimate
  /** Bottom less top. */
  difference: Estimate
  /** Share of problems where top < bottom, a tie counting one half. */
  probability: Estimate
  /** Mean entropy in nats at the positions, which `match: 'entropy'` makes alike. */
  entropy: { top: number | null; bottom: number | null }
  /** Problems with a value of both kinds: those that all of the above is of, entropy apart. */
  problems: number
  /** Problems left out because they have no position of a kind, or none with a pair that can be compared. */
  leftOut: number
  /** Pairs of roll-outs compared, and those left out because neither text has a content word. */
  pairs: { compared: number; bothEmpty: number }
  perProblem: PerturbationProblem[]
  paper: { top: number; bottom: number; probability: number; setting: string }
}

/** The paper's Table 1. */
export const PAPER_PERTURBATION = {
  top: 0.534,
  bottom: 0.631,
  probability: 0.8714,
  setting: 'Qwen3-4B-Base, 70 GSM8K problems; neither k nor the number and length of roll-outs is given',
} as const

/** Letters and numbers with what may stand inside: `don't`, `3.5`, `1,200`. */
const WORD = /\p{N}+(?:[.,]\p{N}+)*|[\p{L}\p{M}]+(?:['’][\p{L}\p{M}]+)*/gu

/**
 * The content words of a text as a set, in lower case: words that are not stop words, and numbers, which carry the content of a
 * calculation. A word that the forced token began is left out (`first` + `ly`): it belongs to the token, not to what follows.
 */
export function contentWords(
  { tokenText, text }: RolloutText,
  stopWords: ReadonlySet<string> = DEFAULT_STOP_WORDS,
): Set<string> {
  const begun = /[\p{L}\p{M}\p{N}]$/u.test(tokenText)
  const words = [...text.matchAll(WORD)].flatMap(({ 0: word, index }) => (begun && index === 0 ? [] : [word]))
  const plain = words.map((word) => word.toLowerCase().replaceAll('’', "'"))
  return new Set(plain.filter((word) => !stopWords.has(word)))
}

const DEFAULT_STOP_WORDS: ReadonlySet<string> = new Set(eng)

/** Shared elements over all elements; null for two empty sets, which say nothing about similarity. */
export function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number | null {
  const shared = [...a].filter((word) => b.has(word)).length
  const all = a.size + b.size - shared
  return all === 0 ? null : shared / all
}

/**
 * Scores the roll-outs of the perturbation test (Table 1). Similarity is averaged over the alternatives of a position, over the positions
 * of a kind in a problem (all its responses), then over problems; intervals are bootstrapped over problems. A tie counts one half
 * in Pr(top < bottom). Pairs in which neither text has a content word are left out and counted.
 * Throws if there is nothing to score.
 */
export function scorePerturbation(
  responses: readonly PerturbedResponseTexts[],
  options: PerturbationScoreOptions = {},
): PerturbationScore {
  if (responses.length === 0)
    throw new InvalidArgument('no roll-outs to score: expected those of at least one response')
  const stopWords = options.stopWords ? new Set(options.stopWords) : DEFAULT_STOP_WORDS
  const pairs = { compared: 0, bothEmpty: 0 }
  const similarity = ({ reference, alternatives }: PerturbedPositionTexts): number | null => {
    const own = contentWords(reference, stopWords)
    const found = alternatives.map((other) => jaccard(own, contentWords(other, stopWords)))
    const compared = found.filter((value) => value !== null)
    pairs.compared += compared.length
    pairs.bothEmpty += found.length - compared.length
    return mean(compared)
  }
  const scored = responses.flatMap(({ problem, positions }) =>
    positions.map((place) => ({ problem, kind: place.kind, entropy: place.entropy, value: similarity(place) })),
  )
  const meanOf = (problem: string, kind: 'top' | 'bottom') =>
    mean(scored.flatMap((s) => (s.problem === problem && s.kind === kind && s.value !== null ? [s.value] : [])))
  const ids = [...new Set(responses.map(({ problem }) => problem))]
  const perProblem = ids.map((problem) => ({
    problem,
    top: meanOf(problem, 'top'),
    bottom: meanOf(problem, 'bottom'),
  }))
  const vectors = perProblem.flatMap(({ top, bottom }) =>
    top === null || bottom === null ? [] : [[1, top, bottom, top < bottom ? 1 : top === bottom ? 0.5 : 0]],
  )
  const [top, bottom, difference, probability] = bootstrapSums(
    [vectors],
    (sums) => {
      const [n = 0, tops = 0, bottoms = 0, wins = 0] = sums
      return [ratio(tops, n), ratio(bottoms, n), ratio(bottoms - tops, n), ratio(wins, n)]
    },
    options.bootstrap,
  ) as [Estimate, Estimate, Estimate, Estimate]
  const entropyOf = (kind: 'top' | 'bottom') => mean(scored.filter((s) => s.kind === kind).map((s) => s.entropy))
  return {
    top,
    bottom,
    difference,
    probability,
    entropy: { top: entropyOf('top'), bottom: entropyOf('bottom') },
    problems: vectors.length,
    leftOut: perProblem.length - vectors.length,
    pairs,
    perProblem,
    paper: { ...PAPER_PERTURBATION },
  }
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length
}
