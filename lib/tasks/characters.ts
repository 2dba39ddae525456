/** An alphabet in which every character is one token: its id is its place in `characters`. */
export interface CharacterAlphabet {
  /** The characters, each once, in the order of their ids. */
  readonly characters: string
  /** Number of characters. */
  readonly size: number
  /** The token that ends a response; also fills up shorter ones. */
  readonly endId: number
  /** One id a character. Throws on a character outside the alphabet, naming it and its place. */
  encode(text: string): number[]
  /** Throws on anything that is not an id. */
  decode(ids: ArrayLike<number>): string
}

/** The alphabet of these characters (one UTF-16 code unit each), where `end`, one of them, ends a response. */
export function characterAlphabet(characters: string, end: string): CharacterAlphabet {
  const idOf = new Map([...characters].map((character, id) => [character, id]))
  if (idOf.size !== characters.length)
    throw new RangeError(`an alphabet has each character once, of one code unit; got ${JSON.stringify(characters)}`)
  const endId = idOf.get(end)
  if (endId === undefined)
    throw new RangeError(`the alphabet ${JSON.stringify(characters)} lacks its end, ${JSON.stringify(end)}`)

  function idAt(text: string, i: number): number {
    const id = idOf.get(text[i] as string)
    if (id !== undefined) return id
    throw new RangeError(
      `character ${i}, ${JSON.stringify(text[i])}, is not in the alphabet ${JSON.stringify(characters)}`,
    )
  }
  function characterOf(id: number): string {
    const character = Number.isInteger(id) ? characters[id] : undefined
    if (character !== undefined) return character
    throw new RangeError(`not a token id: ${id}; expected an integer from 0 to ${characters.length - 1}`)
  }
  return {
    characters,
    size: characters.length,
    endId,
    encode: (text) => Array.from({ length: text.length }, (_, i) => idAt(text, i)),
    decode: (ids) => Array.from(ids, characterOf).join(''),
  }
}
