import { Tokenizer } from '@huggingface/tokenizers'
import { bytesOfEntry, entryOfText, readableText } from './byteAlphabet'
import { CheckpointError } from './checkpointError'
import { checkCharacters, narrowAlphabet } from './knownCharacters'
import type { TokenizerDescription } from './tokenizerDescription'

/** A byte-level BPE tokenizer. Ids are indices into the vocabulary. */
export interface TextTokenizer {
  /** Where it came from, for messages. */
  readonly source: string
  /** Largest token id + 1. A checkpoint's embedding may have more rows than that. */
  readonly vocabSize: number
  readonly bosTokenId: number | null
  /** Tokens that end a text or a turn, as the tokenizer's own files name them. */
  readonly eosTokenIds: readonly number[]
  readonly padTokenId: number | null
  /** Control tokens, e.g. `<|im_start|>`: those that `skipSpecialTokens` leaves out. */
  readonly specialTokenIds: ReadonlySet<number>
  /**
   * Token ids of a text taken verbatim. Added tokens written in the text (`<|im_start|>`) become their single ids.
   * `addSpecialTokens` (default false) also adds what the tokenizer puts around every text, e.g. a beginning-of-text token.
   * A vocabulary that lacks some printable ASCII (a decoder of single characters) refuses characters that it has no token for, naming
   * them; of any other, the few bytes that it has no token for are dropped, as in the reference implementation.
   */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[]
  /**
   * Text of the ids, bytes that are not UTF-8 as U+FFFD, spaces never tidied. An id below 2^24 that has no token (a padded
   * embedding row) gives no text. Throws on anything else that is not an id.
   */
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string
  /** One token for display: its text, with bytes that are only part of a character written as `<0xE2>`. */
  token(id: number): string
  /**
   * Text of each token, such that the texts joined are `decode(ids)`. A character spread over several tokens belongs to
   * the last of them; the earlier ones get ''.
   */
  pieces(ids: ArrayLike<number>): string[]
  /** Id of the token with this text (` the`, `<|im_end|>`) or, failing that, with this vocabulary entry (`Ġthe`). */
  idOf(token: string): number | undefined
  /** The bytes that a token stands for; none for an id without a token. */
  bytes(id: number): Uint8Array
}

/** A tokenizer from what its files say. */
export function createTokenizer(description: TokenizerDescription): TextTokenizer {
  return new ByteLevelTokenizer(description)
}

const ID_LIMIT = 2 ** 24
const NO_BYTES = new Uint8Array(0)
const encoder = new TextEncoder()

class ByteLevelTokenizer implements TextTokenizer {
  readonly source: string
  readonly vocabSize: number
  readonly bosTokenId: number | null
  readonly eosTokenIds: readonly number[]
  readonly padTokenId: number | null
  readonly specialTokenIds: ReadonlySet<number>
  private readonly tokenizer: Tokenizer
  private readonly addedIds = new Map<string, number>()
  private readonly addedTexts = new Map<number, string>()
  private readonly bytesOfId = new Map<number, Uint8Array>()
  private readonly alphabet: ReadonlySet<number> | null

  constructor({ source, tokenizerJson, tokenizerConfig, vocabSize, ...ids }: TokenizerDescription) {
    this.source = source
    this.vocabSize = vocabSize
    this.bosTokenId = ids.bosTokenId
    this.eosTokenIds = ids.eosTokenIds
    this.padTokenId = ids.padTokenId
    try {
      this.tokenizer = new Tokenizer(tokenizerJson, tokenizerConfig)
    } catch (error) {
      throw new CheckpointError(
        `the tokenizer of ${source} cannot be built: ${error instanceof Error ? error.message : error}`,
        {
          cause: error,
        },
      )
    }
    const special = new Set<number>()
    for (const token of tokenizerJson.added_tokens) {
      this.addedIds.set(token.content, token.id)
      this.addedTexts.set(token.id, token.content)
      if (token.special) special.add(token.id)
    }
    this.specialTokenIds = special
    this.alphabet = narrowAlphabet((entry) => this.tokenizer.token_to_id(entry) !== undefined)
  }

  encode(text: string, { addSpecialTokens = false }: { addSpecialTokens?: boolean } = {}): number[] {
    if (typeof text !== 'string') throw new Error(`encode takes a string, got ${text === null ? 'null' : typeof text}`)
    if (this.alphabet) checkCharacters(this.withoutAddedTokens(text), this.alphabet, this.source)
    return this.tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids
  }

  decode(ids: ArrayLike<number>, { skipSpecialTokens = false }: { skipSpecialTokens?: boolean } = {}): string {
    const parts: Uint8Array[] = []
    for (let i = 0; i < ids.length; i++)
      if (!(skipSpecialTokens && this.specialTokenIds.has(ids[i]))) parts.push(this.bytes(ids[i]))
    return Buffer.concat(parts).toString('utf8')
  }

  token(id: number): string {
    return this.addedTexts.get(id) ?? readableText(this.bytes(id))
  }

  pieces(ids: ArrayLike<number>): string[] {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
    const pieces: string[] = []
    for (let i = 0; i < ids.length; i++) {
      const bytes = this.bytes(ids[i])
      // A byte that continues no character shows that the earlier tokens' character will never be completed.
      if (i > 0 && bytes.length > 0 && (bytes[0] & 0xc0) !== 0x80) pieces[i - 1] += decoder.decode()
      pieces.push(decoder.decode(bytes, { stream: true }))
    }
    if (pieces.length > 0) pieces[pieces.length - 1] += decoder.decode()
    return pieces
  }

  private withoutAddedTokens(text: string): string {
    return [...this.addedIds.keys()].reduce((rest, token) => rest.replaceAll(token, ''), text)
  }

  idOf(token: string): number | undefined {
    return (
      this.addedIds.get(token) ?? this.tokenizer.token_to_id(entryOfText(token)) ?? this.tokenizer.token_to_id(token)
    )
  }

  bytes(id: number): Uint8Array {
    const known = this.bytesOfId.get(id)
    if (known) return known
    if (!Number.isInteger(id) || id < 0 || id >= ID_LIMIT)
      throw new Error(`not a token id: ${id}; expected an integer from 0 to ${this.vocabSize - 1}`)
    const added = this.addedTexts.get(id)
    const entry = this.tokenizer.id_to_token(id)
    const bytes = added !== undefined ? encoder.encode(added) : entry === undefined ? NO_BYTES : bytesOfEntry(entry)
    this.bytesOfId.set(id, bytes)
    return bytes
  }
}
