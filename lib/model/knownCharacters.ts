import { CHARACTER_OF_BYTE } from './byteAlphabet'

const encoder = new TextEncoder()
const PRINTABLE = Array.from({ length: 0x7f - 0x20 }, (_, i) => 0x20 + i)

/**
 * The bytes that a byte-level vocabulary can write, where some printable ASCII is not among them, as in a decoder of single characters;
 * null for a vocabulary that can write any text (published ones lack at most control characters and bytes of unassigned planes).
 */
export function narrowAlphabet(hasEntry: (entry: string) => boolean): ReadonlySet<number> | null {
  const knows = (byte: number) => hasEntry(CHARACTER_OF_BYTE[byte]!)
  if (PRINTABLE.every(knows)) return null
  return new Set(Array.from({ length: 256 }, (_, byte) => byte).filter(knows))
}

/** Throws, naming them, if a text has characters outside a narrow alphabet. */
export function checkCharacters(text: string, alphabet: ReadonlySet<number>, source: string): void {
  const writable = (character: string) => encoder.encode(character).every((byte) => alphabet.has(byte))
  const unknown = [...new Set(text)].filter((character) => !writable(character))
  if (unknown.length === 0) return
  const known = [...alphabet].filter((byte) => byte < 0x80).map((byte) => String.fromCharCode(byte))
  const shown = unknown.slice(0, 8).map((character) => JSON.stringify(character))
  const more = unknown.length > shown.length ? ` and ${unknown.length - shown.length} more characters` : ''
  throw new Error(
    `the tokenizer of ${source} has no token for ${shown.join(', ')}${more} of ${JSON.stringify(start(text))}: it knows ` +
      `${JSON.stringify(known.join(''))}. Give text of these characters alone (a trained run is asked its own task by --run FOLDER), or a model that reads any text`,
  )
}

const start = (text: string) => (text.length > 60 ? `${text.slice(0, 60)}…` : text)
