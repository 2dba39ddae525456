/** The printable character that stands for each byte in a byte-level vocabulary (GPT-2's table), indexed by byte. */
export const CHARACTER_OF_BYTE: readonly string[] = (() => {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)
  let next = 0x100
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++))
})()

const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = new Map(
  CHARACTER_OF_BYTE.map((character, byte) => [character, byte]),
)

const encoder = new TextEncoder()

/** The bytes that a vocabulary entry such as `Ġthe` stands for. An entry outside the alphabet stands for its own UTF-8. */
export function bytesOfEntry(entry: string): Uint8Array {
  const bytes = new Uint8Array(entry.length)
  for (let i = 0; i < entry.length; i++) {
    const byte = BYTE_OF_CHARACTER.get(entry[i])
    if (byte === undefined) return encoder.encode(entry)
    bytes[i] = byte
  }
  return bytes
}

/** The vocabulary entry that text would have, were it one token: ` the` gives `Ġthe`. */
export function entryOfText(text: string): string {
  return Array.from(encoder.encode(text), (byte) => CHARACTER_OF_BYTE[byte]).join('')
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Text of the bytes for display: bytes that are not UTF-8 by themselves are written as `<0xE2>`. */
export function readableText(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes)
  } catch {
    let text = ''
    for (let i = 0; i < bytes.length; ) {
      const length = [1, 2, 3, 4].find((n) => i + n <= bytes.length && isUtf8(bytes.subarray(i, i + n))) ?? 0
      if (length > 0) text += strict.decode(bytes.subarray(i, i + length))
      else text += `<0x${bytes[i].toString(16).toUpperCase().padStart(2, '0')}>`
      i += Math.max(length, 1)
    }
    return text
  }
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    strict.decode(bytes)
    return true
  } catch {
    return false
  }
}
