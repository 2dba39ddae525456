/** One entry of `added_tokens` in a tokenizer.json. */
export interface AddedToken {
  id: number
  content: string
  special: boolean
  normalized: boolean
  single_word: boolean
  lstrip: boolean
  rstrip: boolean
}

/** A tokenizer.json of a byte-level BPE, checked and in the subset that `@huggingface/tokenizers` follows exactly. */
export interface TokenizerJson {
  model: {
    type: 'BPE'
    vocab: Record<string, number>
    merges: string[] | [string, string][]
    ignore_merges: boolean
    unk_token: string | null
  }
  added_tokens: AddedToken[]
  normalizer: object | null
  pre_tokenizer: object
  post_processor: object | null
  decoder: { type: 'ByteLevel' }
}

/** All that a tokenizer is built from, whatever file it came in. */
export interface TokenizerDescription {
  /** Where it came from, for messages. */
  source: string
  tokenizerJson: TokenizerJson
  tokenizerConfig: object
  vocabSize: number
  bosTokenId: number | null
  eosTokenIds: number[]
  padTokenId: number | null
}

/** GPT-2's split, which ByteLevel applies unless told otherwise. */
export const GPT2_SPLIT = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/** Each match of a pattern a piece of its own, and so is what lies between matches. */
export function isolatedSplit(regex: string): object {
  return { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false }
}

/** The bytes of each piece written in the byte alphabet, without further splitting. */
export const BYTES_ONLY = { type: 'ByteLevel' as const, add_prefix_space: false, trim_offsets: true, use_regex: false }
