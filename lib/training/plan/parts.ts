/** Memory of one purpose. */
export interface Part {
  bytes: number
  /** Of these, those in blocks that are large enough to be given back to the system as soon as they are freed. */
  large: number
}

/** By purpose. */
export type Parts = Record<string, Part>

/** The C library maps blocks of this size one by one (glibc's largest `M_MMAP_THRESHOLD`); smaller ones come from a heap that it keeps. */
const LARGE_BLOCK = 2 ** 25

/** So many bytes in blocks of `block` bytes. */
export const inBlocks = (bytes: number, block: number): Part => ({ bytes, large: block >= LARGE_BLOCK ? bytes : 0 })

/** Both at once. */
export const together = (a: Part, b: Part): Part => ({ bytes: a.bytes + b.bytes, large: a.large + b.large })

export const bytesOf = (parts: Parts): number => Object.values(parts).reduce((sum, { bytes }) => sum + bytes, 0)
export const largeBytesOf = (parts: Parts): number => Object.values(parts).reduce((sum, { large }) => sum + large, 0)

/** Those that take most together. */
export const most = (choices: readonly Parts[]): Parts => choices.reduce((a, b) => (bytesOf(b) > bytesOf(a) ? b : a))
