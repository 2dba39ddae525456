import { type RandomGenerator, unsafeUniformIntDistribution as uniform } from 'pure-rand'

const extremes = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
]

/** A damaged copy of a file: one to four changes, of which most hit the first `headerLength` bytes. */
export function mutate(original: Buffer, headerLength: number, random: RandomGenerator): Buffer {
  let bytes: Buffer = Buffer.from(original)
  for (let changes = uniform(1, 4, random); changes > 0 && bytes.length > 8; changes--) {
    const reach = uniform(0, 3, random) > 0 ? Math.min(headerLength, bytes.length) : bytes.length
    const at = uniform(0, reach - 1, random)
    const length = uniform(1, 16, random)
    switch (uniform(0, 6, random)) {
      case 0: // one bit
        bytes[at] ^= 1 << uniform(0, 7, random)
        break
      case 1: // one byte
        bytes[at] = uniform(0, 255, random)
        break
      case 2: // a number
        bytes.writeBigUInt64LE(extremes[uniform(0, extremes.length - 1, random)], Math.min(at, bytes.length - 8))
        break
      case 3: // cut off
        bytes = bytes.subarray(0, at)
        break
      case 4: // left out
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
        break
      case 5: // repeated
        bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)])
        break
      default: // copied over another place
        bytes.copy(bytes, at, uniform(0, reach - 1, random), reach)
    }
  }
  return bytes
}
