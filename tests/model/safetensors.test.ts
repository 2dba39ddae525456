import assert from 'node:assert/strict'
import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { CheckpointError } from '../../lib/model/checkpointError'
import {
  allFinite,
  float16Values,
  narrowToBfloat16,
  narrowToFloat16,
  widenBfloat16,
} from '../../lib/model/halfPrecision'
import { readSafetensors, SafetensorsFile, writeSafetensors } from '../../lib/model/safetensors'
import { temporaryFolder } from '../support/temporaryFolder'

const folder = temporaryFolder()
const fixtures = path.join(__dirname, '..', 'fixtures')

/** A file with this header and so many bytes of zeros. */
function fileOf(name: string, header: unknown, dataBytes: number): string {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  const file = path.join(folder, name)
  writeFileSync(file, Buffer.concat([length, text, Buffer.alloc(dataBytes)]))
  return file
}

const refused = (file: string, message: RegExp) =>
  assert.rejects(readSafetensors(file), (error: Error) => {
    assert.ok(error instanceof CheckpointError, String(error.stack))
    assert.match(error.message, message)
    assert.ok(error.message.includes(file), `names the file: ${error.message}`)
    return true
  })

test('a file written by hand is read', async () => {
  // 1.5 as F32, F16 and BF16; -2 and 3 as I16; 2^40 as I64.
  const data = Buffer.from('0000c03f' + '0000000000010000' + '003e' + 'c03f' + 'feff0300' + '01', 'hex')
  const header = JSON.stringify({
    __metadata__: { format: 'pt' },
    a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] },
    e: { dtype: 'I64', shape: [], data_offsets: [4, 12] },
    b: { dtype: 'F16', shape: [1, 1], data_offsets: [12, 14] },
    c: { dtype: 'BF16', shape: [1], data_offsets: [14, 16] },
    d: { dtype: 'I16', shape: [2], data_offsets: [16, 20] },
    f: { dtype: 'BOOL', shape: [1], data_offsets: [20, 21] },
    g: { dtype: 'F32', shape: [3, 0], data_offsets: [21, 21] },
  })
  const file = fileOf('hand.safetensors', header, 0)
  writeFileSync(file, Buffer.concat([readFileSync(file), data]))
  const { tensors, metadata } = await readSafetensors(file)
  assert.deepEqual(metadata, { format: 'pt' })
  assert.deepEqual(tensors.a, { shape: [1], data: Float32Array.of(1.5), dtype: 'F32' })
  assert.deepEqual(tensors.b, { shape: [1, 1], data: Float32Array.of(1.5), dtype: 'F16' })
  assert.deepEqual(tensors.c, { shape: [1], data: Float32Array.of(1.5), dtype: 'BF16' })
  assert.deepEqual(tensors.d, { shape: [2], data: Int16Array.of(-2, 3), dtype: 'I16' })
  assert.deepEqual(tensors.e, { shape: [], data: BigInt64Array.of(2n ** 40n), dtype: 'I64' })
  assert.deepEqual(tensors.f, { shape: [1], data: Uint8Array.of(1), dtype: 'BOOL' })
  assert.deepEqual(tensors.g, { shape: [3, 0], data: new Float32Array(0), dtype: 'F32' })
})

test('what is written is read back, whatever the type and the bits', async () => {
  const file = path.join(folder, 'round.safetensors')
  const odd = new Uint32Array([0x7fc00001, 0x7f800001, 0xffc12345, 0x80000000, 1, 0x7f800000, 0xff7fffff])
  const tensors = {
    bits: { shape: [7], data: new Float32Array(odd.buffer) },
    double: { shape: [2, 1], data: Float64Array.of(Math.PI, -1e300) },
    int: { shape: [3], data: Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1) },
    bytes: { shape: [1, 3], data: Uint8Array.of(0, 128, 255) },
    long: { shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) },
    'ü "__proto__"': { shape: [], data: Float32Array.of(7) },
    ['__proto__']: { shape: [1], data: Int8Array.of(-7) },
    none: { shape: [0, 4], data: new Float32Array(0) },
    flags: { shape: [2], data: Uint8Array.of(1, 0), dtype: 'BOOL' as const },
  }
  await writeSafetensors(file, tensors, { note: 'zwölf' })
  const back = await readSafetensors(file)
  assert.deepEqual(back.metadata, { note: 'zwölf' })
  assert.deepEqual(Object.keys(back.tensors).sort(), Object.keys(tensors).sort())
  for (const [name, tensor] of Object.entries(tensors)) {
    const { shape, data } = back.tensors[name]
    assert.deepEqual(shape, tensor.shape)
    assert.equal(data.constructor, tensor.data.constructor)
    assert.deepEqual(new Uint8Array(data.buffer), new Uint8Array(tensor.data.buffer), name)
  }
  const source = await SafetensorsFile.open(file)
  await assert.rejects(source.readFloat32('bits'), /round\.safetensors: tensor "bits" holds NaN or infinity/)
  await assert.rejects(source.readFloat32('double'), /holds NaN or infinity/, '-1e300 is beyond float32')
  await assert.rejects(source.readFloat32('int'), /of type I32; expected F32, F16, BF16 or F64/)
  await assert.rejects(source.read('missing'), /has no tensor "missing"/)
  await source.close()
  await assert.rejects(source.read('int'), /was closed already/)
})

test("PyTorch's files are read as its own library writes them, and ours have the same bytes", async () => {
  // Both were written by the safetensors package.
  for (const model of ['tiny-llama', 'tiny-qwen3']) {
    const original = path.join(fixtures, 'reference', model, 'model.safetensors')
    const { tensors, metadata } = await readSafetensors(original)
    assert.ok(Object.values(tensors).every(({ data }) => data instanceof Float32Array && allFinite(data)))
    const copy = path.join(folder, `${model}.safetensors`)
    await writeSafetensors(copy, tensors, metadata)
    assert.ok(readFileSync(copy).equals(readFileSync(original)))
  }
})

test('every float16 has its value', () => {
  // The definition of IEEE binary16, evaluated on strings of bits.
  const values = float16Values()
  for (let bits = 0; bits < 2 ** 16; bits++) {
    const digits = bits.toString(2).padStart(16, '0')
    const sign = digits[0] === '1' ? -1 : 1
    const exponent = Number.parseInt(digits.slice(1, 6), 2)
    const fraction = Number.parseInt(digits.slice(6), 2) / 1024
    const expected =
      exponent === 31
        ? fraction === 0
          ? sign * Infinity
          : NaN
        : exponent === 0
          ? sign * fraction * 2 ** -14
          : sign * (1 + fraction) * 2 ** (exponent - 15)
    assert.ok(Object.is(values[bits], expected), `${digits}: ${values[bits]} instead of ${expected}`)
  }
})

/** Checks a rounding at every representable number, at every midpoint between two, and just beside it. */
function checkRounding(
  narrow: (from: Float32Array, to: Uint16Array) => void,
  numberOf: (bits: number) => number,
  infinity: number,
) {
  const round = (values: Float32Array) => {
    const bits = new Uint16Array(values.length)
    narrow(values, bits)
    return [...bits]
  }
  const neighbour = new Float32Array(1)
  const neighbourBits = new Int32Array(neighbour.buffer)
  for (let bits = 0; bits < infinity; bits++) {
    const low = numberOf(bits)
    // Past the largest number the format would go on one step further.
    const high = bits + 1 === infinity ? 2 * low - numberOf(bits - 1) : numberOf(bits + 1)
    const middle = Math.fround((low + high) / 2)
    if (!Number.isFinite(middle)) continue
    neighbour[0] = middle
    neighbourBits[0]++
    const above = neighbour[0]
    neighbourBits[0] -= 2
    const below = neighbour[0]
    const even = bits % 2 === 0 ? bits : bits + 1
    assert.deepEqual(round(Float32Array.of(low, below, middle, above)), [bits, bits, even, bits + 1], `at ${low}`)
    assert.deepEqual(round(Float32Array.of(-low, -middle)), [bits | 0x8000, even | 0x8000], `at ${-low}`)
  }
  assert.deepEqual(round(Float32Array.of(Infinity, -Infinity)), [infinity, infinity | 0x8000])
  const [nan] = round(Float32Array.of(NaN))
  assert.ok((nan & infinity) === infinity && nan !== infinity, 'NaN stays NaN')
}

test('float16 is rounded to nearest, ties to even', () => {
  checkRounding(narrowToFloat16, (bits) => float16Values()[bits], 0x7c00)
})

test('bfloat16 is rounded to nearest, ties to even', () => {
  const numberOf = (bits: number) => {
    const value = new Float32Array(1)
    widenBfloat16(Uint16Array.of(bits), value)
    return value[0]
  }
  assert.deepEqual([0x3f80, 0x4049, 0xc000, 1].map(numberOf), [1, 3.140625, -2, 2 ** -133])
  checkRounding(narrowToBfloat16, numberOf, 0x7f80)
  const quiet = new Uint16Array(1)
  narrowToBfloat16(new Float32Array(Uint32Array.of(0x7f800001).buffer), quiet)
  assert.ok((quiet[0] & 0x7fff) > 0x7f80, 'a NaN whose upper half is that of infinity stays NaN')
})

test('16-bit files hold every finite number of their type', async () => {
  for (const [dtype, infinity] of [
    ['F16', 0x7c00],
    ['BF16', 0x7f80],
  ] as const) {
    const values = new Float32Array(2 * infinity)
    for (let bits = 0; bits < infinity; bits++) {
      const magnitude = new Float32Array(1)
      if (dtype === 'BF16') widenBfloat16(Uint16Array.of(bits), magnitude)
      else magnitude[0] = float16Values()[bits]
      values[2 * bits] = magnitude[0]
      values[2 * bits + 1] = -magnitude[0]
    }
    const file = path.join(folder, `${dtype}.safetensors`)
    await writeSafetensors(file, { values: { shape: [values.length], data: values, dtype } })
    assert.ok(readFileSync(file).length < 2 * values.length + 200)
    const source = await SafetensorsFile.open(file)
    assert.deepEqual(new Uint32Array((await source.readFloat32('values')).buffer), new Uint32Array(values.buffer))
    await source.close()
  }
})

test('tensors larger than the pieces they are read in', async () => {
  const length = 2_500_001
  // Whole numbers up to 256, which every type holds.
  const data = Float32Array.from({ length }, (_, i) => (i % 257) - 128)
  const file = path.join(folder, 'pieces.safetensors')
  for (const dtype of ['F32', 'F16', 'BF16'] as const) {
    await writeSafetensors(file, {
      first: { shape: [1], data: data.subarray(7, 8) },
      a: { shape: [length], data, dtype },
    })
    const source = await SafetensorsFile.open(file)
    assert.ok(Buffer.from((await source.readFloat32('a')).buffer).equals(Buffer.from(data.buffer)), dtype)
    await source.close()
  }
  const broken = Float32Array.from(data)
  broken[length - 1] = Infinity
  await writeSafetensors(file, { a: { shape: [length], data: broken } })
  const source = await SafetensorsFile.open(file)
  await assert.rejects(source.readFloat32('a'), /holds NaN or infinity/)
  await source.close()
})

test('numbers beyond a 16-bit type are refused, infinities kept', async () => {
  const file = path.join(folder, 'beyond.safetensors')
  const write = (value: number, dtype: 'F16' | 'BF16') =>
    writeSafetensors(file, { a: { shape: [1], data: Float32Array.of(value), dtype } })
  await assert.rejects(write(65520, 'F16'), /tensor "a" holds 65520, which is beyond the range of F16/)
  await assert.rejects(write(3.4e38, 'BF16'), /beyond the range of BF16/)
  assert.ok(!readdirSync(folder).some((name) => name.includes('beyond')), 'a failed write leaves nothing')
  await write(-Infinity, 'F16')
  assert.deepEqual((await readSafetensors(file)).tensors.a.data, Float32Array.of(-Infinity))
})

test('a write that fails leaves the older file', async () => {
  const file = path.join(folder, 'older.safetensors')
  await writeSafetensors(file, { a: { shape: [1], data: Float32Array.of(1) } })
  const load = () => Promise.reject(new Error('stop here'))
  await assert.rejects(writeSafetensors(file, { a: { shape: [1], load } }), /stop here/)
  await assert.rejects(
    writeSafetensors(file, { a: { shape: [2], load: () => Float32Array.of(1) } }),
    /tensor "a" of shape \[2\] has 1 numbers; expected 2/,
  )
  assert.deepEqual((await readSafetensors(file)).tensors.a.data, Float32Array.of(1))
  assert.equal(readdirSync(folder).filter((name) => name.includes('older')).length, 1)
})

test('impossible writes are refused', async () => {
  const file = path.join(folder, 'impossible.safetensors')
  const one = Float32Array.of(1)
  await assert.rejects(writeSafetensors(file, { a: { shape: [2, 2], data: one } }), /has 1 numbers; expected 4/)
  await assert.rejects(writeSafetensors(file, { a: { shape: [-1], data: one } }), /expected whole numbers/)
  await assert.rejects(
    writeSafetensors(file, { __metadata__: { shape: [1], data: one } }),
    /name that the format reserves/,
  )
  await assert.rejects(
    writeSafetensors(file, { a: { shape: [1], data: Int32Array.of(1), dtype: 'F32' } }),
    /Int32Array, which cannot be stored as F32/,
  )
  await assert.rejects(
    writeSafetensors(file, { a: { shape: [1], data: [1] as unknown as Float32Array } }),
    /expected a typed array/,
  )
})

test('damaged files are refused with what is wrong', async () => {
  const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
    dtype: 'F32',
    shape,
    data_offsets: [begin, end],
  })
  const cases: [string, unknown, number, RegExp][] = [
    ['overlap', { a: f32(0, 8), b: f32(4, 12) }, 12, /tensor "b" starts at byte .* without gaps or overlaps/],
    ['gap', { a: f32(0, 4), b: f32(8, 12) }, 12, /tensor "b" starts at byte .* without gaps or overlaps/],
    ['beyond the end', { a: f32(0, 8) }, 4, /tensor "a" needs bytes .* truncated or damaged/],
    ['left over', { a: f32(0, 4) }, 8, /its tensors end at/],
    ['size', { a: f32(0, 8, [3]) }, 8, /takes 12 bytes, but has 8/],
    ['huge', { a: f32(0, 8, [2 ** 31, 2 ** 31]) }, 8, /takes .* bytes, but has 8/],
    ['huge offsets', { a: f32(0, 4 * 2 ** 50) }, 8, /tensor "a" needs bytes/],
    ['negative', { a: { dtype: 'F32', shape: [-1], data_offsets: [0, 4] } }, 4, /no valid shape/],
    ['fraction', { a: { dtype: 'F32', shape: [0.5], data_offsets: [0, 2] } }, 2, /no valid shape/],
    ['backwards', { a: { dtype: 'F32', shape: [1], data_offsets: [4, 0] } }, 4, /no valid data_offsets/],
    [
      'dtype',
      { a: { dtype: 'F8_E4M3', shape: [1], data_offsets: [0, 1] } },
      1,
      /type "F8_E4M3"; types that can be read: F64/,
    ],
    ['inherited dtype', { a: { dtype: 'constructor', shape: [1], data_offsets: [0, 1] } }, 1, /type "constructor"/],
    ['no dtype', { a: { shape: [1] } }, 4, /is of type "undefined"/],
    ['entry', { a: 3 }, 0, /not described by an object/],
    ['metadata', { __metadata__: { a: 1 } }, 0, /__metadata__ should be an object of strings/],
    ['array', [], 0, /not a JSON object/],
    ['not JSON', '{"a": ', 0, /header is not JSON/],
    ['deep', '['.repeat(100000), 0, /header is not JSON/],
  ]
  for (const [name, header, dataBytes, message] of cases)
    await refused(fileOf(`${name}.safetensors`, header, dataBytes), message)
  const raw = (name: string, bytes: Buffer) => {
    writeFileSync(path.join(folder, name), bytes)
    return path.join(folder, name)
  }
  await refused(raw('empty', Buffer.alloc(0)), /header length .* truncated/)
  await refused(raw('zeros', Buffer.alloc(100)), /promises a header of 0 bytes/)
  await refused(raw('text', Buffer.from('version https://git-lfs.github.com')), /is not a safetensors file/)
  await refused(
    raw('cut', readFileSync(fileOf('whole', { a: f32(0, 4) }, 4)).subarray(0, 30)),
    /the header needs bytes/,
  )
  await refused(raw('latin1', Buffer.from('0500000000000000227b7bff22', 'hex')), /header is not JSON/)
  await refused(folder, /is not a regular file/)
  await refused(path.join(folder, 'nothing'), /no such file/)
})

test('tensors beyond 4 GiB into the file are found', async () => {
  // The file is sparse: it takes a few KB of disk.
  const first = 2 ** 32 + 2 ** 20
  const header = Buffer.from(
    JSON.stringify({
      a: { dtype: 'U8', shape: [first], data_offsets: [0, first] },
      b: { dtype: 'F32', shape: [2], data_offsets: [first, first + 8] },
    }),
  )
  const start = Buffer.alloc(8)
  start.writeBigUInt64LE(BigInt(header.length))
  const file = path.join(folder, 'large.safetensors')
  const descriptor = openSync(file, 'w')
  ftruncateSync(descriptor, 8 + header.length + first + 8)
  writeSync(descriptor, Buffer.concat([start, header]), 0, 8 + header.length, 0)
  writeSync(descriptor, Buffer.from(Float32Array.of(3, -4).buffer), 0, 8, 8 + header.length + first)
  closeSync(descriptor)
  const source = await SafetensorsFile.open(file)
  assert.deepEqual(await source.readFloat32('b'), Float32Array.of(3, -4))
  await assert.rejects(source.read('a'), /would take 4296015872 bytes of memory; 4294967296 are possible/)
  await source.close()
})
