/**
 * The numbers in ggml's blocks, as float32: bit for bit those of ggml's reference formulas. A block's scales and offsets
 * are float16, its quants are small integers, so a double holds every product and sum here exactly, and storing to a
 * Float32Array rounds once, like ggml's float arithmetic.
 */
import { CheckpointError } from './checkpointError'
import { ggmlTypeName, ggmlTypes } from './ggmlTypes'
import { allFinite, float16Values, widenBfloat16, widenFloat16 } from './halfPrecision'

/** Reads whole blocks from the start of `blocks` and fills `out`. Returns false if a scale or number is NaN or infinite. */
type Dequantizer = (blocks: Uint8Array, out: Float32Array) => boolean

/**
 * Fills `out` from the blocks of one ggml type. `blocks` must be as long as `out` needs, which must be whole blocks.
 * Throws CheckpointError on a NaN or infinite scale or number; `what` names the tensor in the message.
 */
export function dequantize(type: number, blocks: Uint8Array, out: Float32Array, what: string): void {
  const dequantizer = dequantizers[type]
  const layout = ggmlTypes.get(type)
  if (!dequantizer || !layout) throw new CheckpointError(unreadableType(type, what))
  const bytes = (out.length / layout.blockSize) * layout.blockBytes
  if (blocks.length !== bytes)
    throw new CheckpointError(
      `${what}: ${out.length} numbers of type ${layout.name} take ${bytes} bytes, not ${blocks.length}`,
    )
  if (!dequantizer(blocks, out)) throw new CheckpointError(`${what} holds NaN or infinity: the file is damaged`)
}

/** Message for a type that is known or unknown, but cannot be read. */
export function unreadableType(type: number, what: string): string {
  const readable = [...ggmlTypes.values()].map((layout) => layout.name).join(', ')
  return `${what} is of ggml type ${ggmlTypeName(type)}; types that can be read: ${readable}`
}

const dequantizers: Record<number, Dequantizer | undefined> = {
  0: (bytes, out) => {
    new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes)
    return allFinite(out)
  },
  1: (bytes, out) => {
    widenFloat16(asUint16(bytes), out)
    return allFinite(out)
  },
  30: (bytes, out) => {
    widenBfloat16(asUint16(bytes), out)
    return allFinite(out)
  },
  2: dequantizeQ4_0,
  3: dequantizeQ4_1,
  6: dequantizeQ5_0,
  7: dequantizeQ5_1,
  8: dequantizeQ8_0,
  12: dequantizeQ4_K,
  13: dequantizeQ5_K,
  14: dequantizeQ6_K,
}

function asUint16(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : Uint8Array.from(bytes)
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2)
}

/** Reaches bit 15 if the exponent is all ones, that is for NaN and infinities. */
const exponentCarry = (float16Bits: number) => (float16Bits & 0x7c00) + 0x0400
const finite = (carries: number) => (carries & 0x8000) === 0

/** Scale, 16 bytes of nibbles: the low ones are the first 16 values, the high ones the rest. */
function dequantizeQ4_0(bytes: Uint8Array, out: Float32Array): boolean {
  const half = float16Values()
  let carries = 0
  for (let p = 0, o = 0; o < out.length; p += 18, o += 32) {
    const scaleBits = bytes[p] | (bytes[p + 1] << 8)
    carries |= exponentCarry(scaleBits)
    const scale = half[scaleBits]
    for (let i = 0; i < 16; i++) {
      const pair = bytes[p + 2 + i]
      out[o + i] = scale * ((pair & 15) - 8)
      out[o + 16 + i] = scale * ((pair >> 4) - 8)
    }
  }
  return finite(carries)
}

/** Scale, offset, 16 bytes of nibbles. */
function dequantizeQ4_1(bytes: Uint8Array, out: Float32Array): boolean {
  const half = float16Values()
  let carries = 0
  for (let p = 0, o = 0; o < out.length; p += 20, o += 32) {
    const scaleBits = bytes[p] | (bytes[p + 1] << 8)
    const offsetBits = bytes[p + 2] | (bytes[p + 3] << 8)
    carries |= exponentCarry(scaleBits) | exponentCarry(offsetBits)
    const scale = half[scaleBits]
    const offset = half[offsetBits]
    for (let i = 0; i < 16; i++) {
      const pair = bytes[p + 4 + i]
      out[o + i] = scale * (pair & 15) + offset
      out[o + 16 + i] = scale * (pair >> 4) + offset
    }
  }
  return finite(carries)
}

/** Scale, 32 fifth bits, 16 bytes of nibbles. */
function dequantizeQ5_0(bytes: Uint8Array, out: Float32Array): boolean {
  const half = float16Values()
  let carries = 0
  for (let p = 0, o = 0; o < out.length; p += 22, o += 32) {
    const scaleBits = bytes[p] | (bytes[p + 1] << 8)
    carries |= exponentCarry(scaleBits)
    const scale = half[scaleBits]
    const fifth = uint32At(bytes, p + 2)
    for (let i = 0; i < 16; i++) {
      const pair = bytes[p + 6 + i]
      out[o + i] = scale * (((pair & 15) | (((fifth >>> i) & 1) << 4)) - 16)
      out[o + 16 + i] = scale * (((pair >> 4) | (((fifth >>> (i + 16)) & 1) << 4)) - 16)
    }
  }
  return finite(carries)
}

/** Scale, offset, 32 fifth bits, 16 bytes of nibbles. */
function dequantizeQ5_1(bytes: Uint8Array, out: Float32Array): boolean {
  const half = float16Values()
  let carries = 0
  for (let p = 0, o = 0; o < out.length; p += 24, o += 32) {
    const scaleBits = bytes[p] | (bytes[p + 1] << 8)
    const offsetBits = bytes[p + 2] | (bytes[p + 3] << 8)
    carries |= exponentCarry(scaleBits) | exponentCarry(offsetBits)
    const scale = half[scaleBits]
    const offset = half[offsetBits]
    const fifth = uint32At(bytes, p + 4)
    for (let i = 0; i < 16; i++) {
      const pair = bytes[p + 8 + i]
      out[o + i] = scale * ((pair & 15) | (((fifth >>> i) & 1) << 4)) + offset
      out[o + 16 + i] = scale * ((pair >> 4) | (((fifth >>> (i + 16)) & 1) << 4)) + offset
    }
  }
  return finite(carries)
}

/** Scale, 32 signed bytes. */
function dequantizeQ8_0(bytes: Uint8Array, out: Float32Array): boolean {
  const half = float16Values()
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  let carries = 0
  for (let p = 0, o = 0; o < out.length; p += 34, o += 32) {
    const scaleBits = bytes[p] | (bytes[p + 1] << 8)
    carries |= exponentCarry(scaleBits)
    const scale = half[scaleBits]
    for (let i = 0; i < 32; i++) out[o + i] = scale * signed[p + 2 + i]
  }
  return finite(carries)
}

/** Super-block of 256: scale, offset scale, eight 6-bit scales and offsets in 12 bytes, 128 bytes of nibbles. */
function dequantizeQ4_K(bytes: Uint8Array, out: Float32Array): boolean {
  const half = float16Values()
  const scales = new Uint8Array(8)
  const offsets = new Uint8Array(8)
  let carries = 0
  for (let p = 0, o = 0; o < out.length; p += 144, o += 256) {
    const scaleBits = bytes[p] | (bytes[p + 1] << 8)
    const offsetBits = bytes[p + 2] | (bytes[p + 3] << 8)
    carries |= exponentCarry(scaleBits) | exponentCarry(offsetBits)
    unpackSixBits(bytes, p + 4, scales, offsets)
    for (let group = 0; group < 8; group += 2) {
      const lowScale = half[scaleBits] * scales[group]
      const lowOffset = half[offsetBits] * offsets[group]
      const highScale = half[scaleBits] * scales[group + 1]
      const highOffset = half[offsetBits] * offsets[group + 1]
      const from = p + 16 + group * 16
      const to = o + group * 32
      for (let i = 0; i < 32; i++) {
        const pair = bytes[from + i]
        out[to + i] = lowScale * (pair & 15) - lowOffset
        out[to + 32 + i] = highScale * (pair >> 4) - highOffset
      }
    }
  }
  return finite(carries)
}

/** Like Q4_K, with 32 bytes of fifth bits before the nibbles: bit `group` of byte `i` belongs to value `i` of that group. */
function dequantizeQ5_K(bytes: Uint8Array, out: Float32Array): boolean {
  const half = float16Values()
  const scales = new Uint8Array(8)
  const offsets = new Uint8Array(8)
  let carries = 0
  for (let p = 0, o = 0; o < out.length; p += 176, o += 256) {
    const scaleBits = bytes[p] | (bytes[p + 1] << 8)
    const offsetBits = bytes[p + 2] | (bytes[p + 3] << 8)
    carries |= exponentCarry(scaleBits) | exponentCarry(offsetBits)
    unpackSixBits(bytes, p + 4, scales, offsets)
    for (let group = 0; group < 8; group += 2) {
      const lowScale = half[scaleBits] * scales[group]
      const lowOffset = half[offsetBits] * offsets[group]
      const highScale = half[scaleBits] * scales[group + 1]
      const highOffset = half[offsetBits] * offsets[group + 1]
      const from = p + 48 + group * 16
      const to = o + group * 32
      for (let i = 0; i < 32; i++) {
        const pair = bytes[from + i]
        const fifth = bytes[p + 16 + i] >> group
        out[to + i] = lowScale * ((pair & 15) | ((fifth & 1) << 4)) - lowOffset
        out[to + 32 + i] = highScale * ((pair >> 4) | ((fifth & 2) << 3)) - highOffset
      }
    }
  }
  return finite(carries)
}

/** The first four pairs lie in the low 6 bits of bytes 0-7; the others' low nibbles in bytes 8-11, their high bits above the first. */
function unpackSixBits(bytes: Uint8Array, p: number, scales: Uint8Array, offsets: Uint8Array): void {
  for (let i = 0; i < 4; i++) {
    scales[i] = bytes[p + i] & 63
    offsets[i] = bytes[p + 4 + i] & 63
    scales[i + 4] = (bytes[p + 8 + i] & 15) | ((bytes[p + i] >> 6) << 4)
    offsets[i + 4] = (bytes[p + 8 + i] >> 4) | ((bytes[p + 4 + i] >> 6) << 4)
  }
}

/**
 * Super-block of 256: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales, scale. Each half of 128
 * values takes 64 nibble bytes and 32 bytes of pairs, for four runs of 32 values.
 */
function dequantizeQ6_K(bytes: Uint8Array, out: Float32Array): boolean {
  const half = float16Values()
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  let carries = 0
  for (let p = 0, o = 0; o < out.length; p += 210, o += 256) {
    const scaleBits = bytes[p + 208] | (bytes[p + 209] << 8)
    carries |= exponentCarry(scaleBits)
    const scale = half[scaleBits]
    for (let side = 0; side < 2; side++) {
      const low = p + side * 64
      const high = p + 128 + side * 32
      const scales = p + 192 + side * 8
      const to = o + side * 128
      for (let run = 0; run < 2; run++) {
        const scale0 = scale * signed[scales + run]
        const scale1 = scale * signed[scales + 2 + run]
        const scale2 = scale * signed[scales + 4 + run]
        const scale3 = scale * signed[scales + 6 + run]
        for (let i = run * 16; i < run * 16 + 16; i++) {
          const pairs = bytes[high + i]
          const first = bytes[low + i]
          const second = bytes[low + 32 + i]
          out[to + i] = scale0 * (((first & 15) | ((pairs & 3) << 4)) - 32)
          out[to + 32 + i] = scale1 * (((second & 15) | (((pairs >> 2) & 3) << 4)) - 32)
          out[to + 64 + i] = scale2 * (((first >> 4) | (((pairs >> 4) & 3) << 4)) - 32)
          out[to + 96 + i] = scale3 * (((second >> 4) | ((pairs >> 6) << 4)) - 32)
        }
      }
    }
  }
  return finite(carries)
}

function uint32At(bytes: Uint8Array, p: number): number {
  return bytes[p] | (bytes[p + 1] << 8) | (bytes[p + 2] << 16) | (bytes[p + 3] << 24)
}
