/** What `StreamDecoder` needs of a tokenizer. */
export interface TokenBytes {
  bytes(id: number): Uint8Array
}

/**
 * Turns token ids into text one at a time. A character whose bytes are spread over several tokens comes out whole, with
 * the token that completes it; until then the earlier tokens give ''. Bytes that can no longer become a character come
 * out as U+FFFD. All that `push` and `end` return, joined, is what `decode` gives for the whole sequence.
 */
export class StreamDecoder {
  private readonly decoder = new TextDecoder('utf-8', { ignoreBOM: true })

  constructor(private readonly tokenizer: TokenBytes) {}

  /** The text that this token completes; '' while a character is incomplete. */
  push(id: number): string {
    return this.decoder.decode(this.tokenizer.bytes(id), { stream: true })
  }

  /** What is left of an incomplete character (U+FFFD), or ''. The decoder can then be used for another sequence. */
  end(): string {
    return this.decoder.decode()
  }
}
