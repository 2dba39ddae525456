/**
 * Conversions between float32 and the 16-bit formats of checkpoints: float16 (IEEE binary16) and bfloat16 (the upper half
 * of a float32). Widening is exact, infinities and NaN included; narrowing rounds to nearest, ties to even.
 * 16-bit values are held as bits in a Uint16Array.
 */

let float16Table: Float32Array | undefined

/** The float32 value of each of the 65,536 float16 bit patterns. */
export function float16Values(): Float32Array {
  if (float16Table) return float16Table
  const table = new Float32Array(2 ** 16)
  for (let bits = 0; bits < 2 ** 15; bits++) {
    const exponent = bits >>> 10
    const fraction = bits & 0x3ff
    const magnitude =
      exponent === 0
        ? fraction * 2 ** -24
        : exponent === 31
          ? fraction === 0
            ? Infinity
            : NaN
          : (1024 + fraction) * 2 ** (exponent - 25)
    table[bits] = magnitude
    table[bits + 2 ** 15] = -magnitude
  }
  float16Table = table
  return table
}

/** Writes the values of float16 bits to `to`, which is as long. */
export function widenFloat16(from: Uint16Array, to: Float32Array): void {
  const table = float16Values()
  for (let i = 0; i < from.length; i++) to[i] = table[from[i]]
}

/** Writes the values of bfloat16 bits to `to`, which is as long. */
export function widenBfloat16(from: Uint16Array, to: Float32Array): void {
  const bits = new Uint32Array(to.buffer, to.byteOffset, to.length)
  for (let i = 0; i < from.length; i++) bits[i] = from[i] << 16
}

/** Rounds to float16 bits. Returns false if a finite number became an infinity: those beyond ±65,504 do. */
export function narrowToFloat16(from: Float32Array, to: Uint16Array): boolean {
  const bits = new Uint32Array(from.buffer, from.byteOffset, from.length)
  let inRange = true
  for (let i = 0; i < from.length; i++) {
    to[i] = float16Bits(bits[i])
    if ((to[i] & 0x7fff) === 0x7c00 && (bits[i] & 0x7fffffff) !== 0x7f800000) inRange = false
  }
  return inRange
}

function float16Bits(float32Bits: number): number {
  const sign = (float32Bits >>> 16) & 0x8000
  const magnitude = float32Bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  // From 65,520 on, the nearest is out of range.
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  // Below 2^-14 float16 is subnormal: multiples of 2^-24, which 0.5 + value leaves in its last bits, rounded to even.
  if (magnitude < 0x38800000) return sign | (float32ToBits(bitsToFloat32(magnitude) + 0.5) - 0x3f000000)
  const rebiased = magnitude - 0x38000000
  return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13)
}

const scratch = new Float32Array(1)
const scratchBits = new Uint32Array(scratch.buffer)

function bitsToFloat32(bits: number): number {
  scratchBits[0] = bits
  return scratch[0]
}

function float32ToBits(value: number): number {
  scratch[0] = value
  return scratchBits[0]
}

/** Rounds to bfloat16 bits. Returns false if a finite number became an infinity. */
export function narrowToBfloat16(from: Float32Array, to: Uint16Array): boolean {
  const bits = new Uint32Array(from.buffer, from.byteOffset, from.length)
  let inRange = true
  for (let i = 0; i < from.length; i++) {
    const magnitude = bits[i] & 0x7fffffff
    // Rounding could turn a NaN into an infinity.
    if (magnitude > 0x7f800000) to[i] = (bits[i] >>> 16) | 0x40
    else to[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16
    if (magnitude >= 0x7f7f8000 && magnitude < 0x7f800000) inRange = false
  }
  return inRange
}

/** True if no value is NaN or infinite. */
export function allFinite(values: Float32Array): boolean {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length)
  // Adding one to an exponent of all ones carries into the sign.
  let carries = 0
  for (let i = 0; i < bits.length; i++) carries |= (bits[i] & 0x7f800000) + 0x00800000
  return (carries | 0) >= 0
}
