/** A response token as a class function sees it. */
export interface ClassifiedToken {
  /** Decoded text; null where the trace has no texts. */
  text: string | null
  id: number
  /** Position in prompt + response. */
  position: number
  /** Decoded tokens of prompt + response; null where the trace has no texts. */
  tokens: readonly string[] | null
}

/** Names the class of a token for baselines among its like; null where it has none. */
export type TokenClassFunction = (token: ClassifiedToken) => string | null

/** The classes of `textTokenClass`. */
export const TEXT_CLASSES = ['word-initial', 'word-internal', 'digit', 'punctuation', 'space'] as const

/**
 * Classes of text tokens: `space` (white space alone), `digit` (begins with a digit, after white space), `word-initial` (a letter that
 * begins a word: after white space, or after a token that does not end in a letter or combining mark), `word-internal` (a letter that continues
 * one), `punctuation` (everything else, symbols included). Null for a token without text.
 */
export function textTokenClass({ text, position, tokens }: ClassifiedToken): string | null {
  if (text === null) return null
  const trimmed = text.trimStart()
  if (trimmed === '') return 'space'
  if (/^\p{N}/u.test(trimmed)) return 'digit'
  if (!/^[\p{L}\p{M}]/u.test(trimmed)) return 'punctuation'
  const continues = trimmed === text && position > 0 && /[\p{L}\p{M}]$/u.test(tokens?.[position - 1] ?? '')
  return continues ? 'word-internal' : 'word-initial'
}

/**
 * Classes where a token is a character and a text is written by a grammar: a digit is the first or a later one of its number, any
 * other character is a class of its own.
 */
export function symbolClass({ text, position, tokens }: ClassifiedToken): string | null {
  if (text === null || !/^\d$/.test(text)) return text
  return /^\d$/.test(tokens?.[position - 1] ?? '') ? 'later digit' : 'first digit'
}
