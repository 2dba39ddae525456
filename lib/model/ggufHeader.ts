/**
 * The header of a GGUF file (versions 2 and 3, little endian): metadata and the directory of tensors.
 *
 * Why not the package @huggingface/gguf: it is made for ranges of remote files, does not dequantise, and leaves to its
 * caller what a damaged file needs: it keeps the last of two equal keys or tensors, and does not compare tensor offsets
 * with the file's size, their alignment and each other.
 */
import { CheckpointError, quoted } from './checkpointError'
import { type GgmlType, ggmlTypeName, ggmlTypes } from './ggmlTypes'
import { RandomAccessFile } from './randomAccessFile'

export type GgufArray =
  | string[]
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array

/** A metadata value. 64-bit integers are numbers where a number holds them exactly, else bigints; arrays of booleans are 0 and 1. */
export type GgufValue = string | number | bigint | boolean | GgufArray

/** Metadata of a GGUF file by key, such as `general.architecture` or `tokenizer.ggml.tokens`. It has no prototype. */
export type GgufMetadata = Readonly<Record<string, GgufValue | undefined>>

export interface GgufTensor {
  name: string
  /** Outermost dimension first (`[out, in]`), the reverse of the order in the file. */
  shape: number[]
  /** Number of elements. */
  size: number
  /** Number of the ggml type, which may be one that this project cannot read. */
  type: number
  /** First byte, counted from the start of the file. */
  position: number
}

export interface GgufHeader {
  version: number
  metadata: GgufMetadata
  tensors: GgufTensor[]
}

/** Largest header read: a vocabulary of 256,000 tokens with merges takes 15 MB. All counts below are bounded by it. */
const MAX_HEADER_BYTES = 64 * 2 ** 20
/** Largest dimension and number of elements of a tensor. */
const MAX_ELEMENTS = 2 ** 40
const MAX_DIMENSIONS = 4

/** Value types of metadata, by their number in the file. */
const STRING = 8
const ARRAY = 9
const arrayOf = {
  0: Uint8Array,
  1: Int8Array,
  2: Uint16Array,
  3: Int16Array,
  4: Uint32Array,
  5: Int32Array,
  6: Float32Array,
  7: Uint8Array, // booleans
  10: BigUint64Array,
  11: BigInt64Array,
  12: Float64Array,
} as const

/**
 * Reads the metadata of a GGUF file without its tensors.
 * Throws CheckpointError if the file is not GGUF, is damaged, or is of an unsupported version or byte order.
 */
export async function readGgufMetadata(path: string): Promise<GgufMetadata> {
  const file = RandomAccessFile.open(path)
  try {
    return readGgufHeader(file).metadata
  } finally {
    file.close()
  }
}

/** Reads and checks the header: every tensor of a known type lies inside the file, aligned, and overlaps no other. */
export function readGgufHeader(file: RandomAccessFile): GgufHeader {
  const cursor = new HeaderCursor(file)
  const magic = cursor.bytes(4, 'the magic number').toString('latin1')
  if (magic !== 'GGUF')
    throw new CheckpointError(`${file.path} is not a GGUF file: it starts with ${quoted(magic)} instead of "GGUF"`)
  const version = cursor.uint32('the version')
  if (version !== 0 && (version & 0xffff) === 0)
    throw new CheckpointError(
      `${file.path} is a big-endian GGUF file; only little-endian ones can be read: convert it again`,
    )
  if (version !== 2 && version !== 3)
    throw new CheckpointError(`${file.path} is GGUF version ${version}; versions 2 and 3 can be read`)
  // A tensor takes at least 24 bytes of header and a metadata entry 13.
  const tensorCount = cursor.count(24, 'tensors')
  const entryCount = cursor.count(13, 'metadata entries')

  const metadata: Record<string, GgufValue> = Object.create(null)
  for (let i = 0; i < entryCount; i++) {
    const key = cursor.string(`the key of metadata entry ${i}`)
    if (key in metadata) throw new CheckpointError(`${file.path}: metadata key ${quoted(key)} appears twice`)
    metadata[key] = readValue(cursor, key)
  }

  const tensors: GgufTensor[] = []
  const names = new Set<string>()
  for (let i = 0; i < tensorCount; i++) {
    const tensor = readTensorInfo(cursor, i)
    if (names.has(tensor.name)) throw new CheckpointError(`${file.path}: tensor ${quoted(tensor.name)} appears twice`)
    names.add(tensor.name)
    tensors.push(tensor)
  }

  placeTensors(file, tensors, cursor.position, alignmentOf(file, metadata))
  return { version, metadata, tensors }
}

function readValue(cursor: HeaderCursor, key: string): GgufValue {
  const what = `the value of ${quoted(key)}`
  const type = cursor.uint32(what)
  if (type === STRING) return cursor.string(what)
  if (type === ARRAY) return readArray(cursor, what)
  return readScalar(cursor, type, what)
}

function readScalar(cursor: HeaderCursor, type: number, what: string): GgufValue {
  const values = readNumbers(cursor, type, 1, what)
  const value = values[0]
  if (type === 7) return value !== 0
  if (typeof value === 'bigint' && BigInt.asIntN(54, value) === value) return Number(value)
  return value
}

function readArray(cursor: HeaderCursor, what: string): GgufArray {
  const type = cursor.uint32(what)
  if (type === ARRAY)
    throw new CheckpointError(`${cursor.file.path}: ${what} is an array of arrays, which no supported model has`)
  if (type !== STRING) return readNumbers(cursor, type, null, what)
  const count = cursor.count(8, `strings in ${what}`)
  const strings: string[] = []
  for (let i = 0; i < count; i++) strings.push(cursor.string(what))
  return strings
}

/** `count` numbers, or as many as the next 64 bits say. */
function readNumbers(cursor: HeaderCursor, type: number, count: number | null, what: string) {
  const TypedArray = Object.hasOwn(arrayOf, type) ? arrayOf[type as keyof typeof arrayOf] : undefined
  if (!TypedArray)
    throw new CheckpointError(`${cursor.file.path}: ${what} has the unknown metadata type ${type} (known: 0 to 12)`)
  const length = count ?? cursor.count(TypedArray.BYTES_PER_ELEMENT, `numbers in ${what}`)
  const bytes = cursor.bytes(length * TypedArray.BYTES_PER_ELEMENT, what)
  // A copy: the bytes are not aligned.
  return new TypedArray(Uint8Array.from(bytes).buffer)
}

/** `position` is still relative to the start of the tensor data. */
function readTensorInfo(cursor: HeaderCursor, index: number): GgufTensor {
  const path = cursor.file.path
  const name = cursor.string(`the name of tensor ${index}`)
  const what = `tensor ${quoted(name)}`
  const dimensions = cursor.uint32(what)
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS)
    throw new CheckpointError(`${path}: ${what} has ${dimensions} dimensions; 1 to ${MAX_DIMENSIONS} are possible`)
  const shape: number[] = []
  let size = 1
  for (let i = 0; i < dimensions; i++) {
    const dimension = cursor.uint64(what)
    if (dimension < 1n || dimension > MAX_ELEMENTS)
      throw new CheckpointError(`${path}: ${what} has a dimension of ${dimension}; 1 to ${MAX_ELEMENTS} are possible`)
    shape.unshift(Number(dimension))
    size *= Number(dimension)
  }
  if (size > MAX_ELEMENTS)
    throw new CheckpointError(`${path}: ${what} of shape [${shape}] has more than ${MAX_ELEMENTS} elements`)
  const type = cursor.uint32(what)
  const offset = cursor.uint64(what)
  if (offset > Number.MAX_SAFE_INTEGER)
    throw new CheckpointError(`${path}: ${what} starts at the impossible offset ${offset}`)
  return { name, shape, size, type, position: Number(offset) }
}

function alignmentOf(file: RandomAccessFile, metadata: GgufMetadata): number {
  const alignment = metadata['general.alignment'] ?? 32
  const valid =
    typeof alignment === 'number' && alignment >= 8 && alignment <= 65536 && Number.isInteger(Math.log2(alignment))
  if (!valid)
    throw new CheckpointError(
      `${file.path}: general.alignment is ${alignment}; it should be a power of two from 8 to 65536`,
    )
  return alignment
}

/** Makes positions count from the start of the file, and checks them. */
function placeTensors(file: RandomAccessFile, tensors: GgufTensor[], headerEnd: number, alignment: number): void {
  const dataStart = Math.ceil(headerEnd / alignment) * alignment
  for (const tensor of tensors) {
    const what = `tensor ${quoted(tensor.name)}`
    if (tensor.position % alignment !== 0)
      throw new CheckpointError(
        `${file.path}: ${what} starts at offset ${tensor.position}, which is not a multiple of the alignment ${alignment}`,
      )
    tensor.position += dataStart
    file.checkRange(tensor.position, 0, what)
    const type = ggmlTypes.get(tensor.type)
    if (type) file.checkRange(tensor.position, tensorBytes(file, tensor, type), what)
  }
  let end = dataStart
  let previous = ''
  for (const tensor of [...tensors].sort((a, b) => a.position - b.position)) {
    if (tensor.position < end)
      throw new CheckpointError(`${file.path}: tensors ${quoted(previous)} and ${quoted(tensor.name)} overlap`)
    const type = ggmlTypes.get(tensor.type)
    // The size of a tensor of unknown type is unknown; it has at least a byte.
    end = tensor.position + (type ? tensorBytes(file, tensor, type) : 1)
    previous = tensor.name
  }
}

function tensorBytes(file: RandomAccessFile, tensor: GgufTensor, type: GgmlType): number {
  const rowLength = tensor.shape[tensor.shape.length - 1]
  if (rowLength % type.blockSize !== 0)
    throw new CheckpointError(
      `${file.path}: tensor ${quoted(tensor.name)} of shape [${tensor.shape}] has rows of ${rowLength}, ` +
        `which is not a multiple of the ${type.blockSize} values in a block of ${ggmlTypeName(tensor.type)}`,
    )
  return (tensor.size / type.blockSize) * type.blockBytes
}

/** Reads forward through the header, fetching more of the file as it needs it. */
class HeaderCursor {
  position = 0
  private loaded = Buffer.alloc(0)
  private view = new DataView(this.loaded.buffer, 0, 0)
  private readonly limit: number

  constructor(readonly file: RandomAccessFile) {
    this.limit = Math.min(file.size, MAX_HEADER_BYTES)
  }

  /** The next bytes, valid until the next call. */
  bytes(length: number, what: string): Buffer {
    const start = this.advance(length, what)
    return this.loaded.subarray(start, start + length)
  }

  uint32(what: string): number {
    return this.view.getUint32(this.advance(4, what), true)
  }

  uint64(what: string): bigint {
    const start = this.advance(8, what)
    return this.view.getBigUint64(start, true)
  }

  /** A 64-bit count of things of at least `bytesEach`; throws if so many cannot follow in the header. */
  count(bytesEach: number, what: string): number {
    const count = this.uint64(`the number of ${what}`)
    const possible = Math.floor((this.limit - this.position) / bytesEach)
    if (count > possible) this.overrun(`${count} ${what}`)
    return Number(count)
  }

  string(what: string): string {
    const length = this.count(1, `bytes of ${what}`)
    const bytes = this.bytes(length, what)
    const text = bytes.toString('utf8')
    // U+FFFD stands for bytes that are not UTF-8, unless it was in the file.
    if (text.includes('\ufffd') && !Buffer.from(text, 'utf8').equals(bytes))
      throw new CheckpointError(`${this.file.path}: ${what} is not valid UTF-8 text (${quoted(text)})`)
    return text
  }

  /** Makes the next `length` bytes available in `loaded` and `view`, and returns where they start. */
  private advance(length: number, what: string): number {
    const start = this.position
    const end = start + length
    if (end > this.limit) this.overrun(what)
    if (end > this.loaded.length) this.load(end)
    this.position = end
    return start
  }

  private load(end: number): void {
    const size = Math.min(this.limit, Math.max(end, 2 * this.loaded.length, 2 ** 20))
    const grown = Buffer.allocUnsafeSlow(size)
    grown.set(this.loaded)
    this.file.readSync(grown.subarray(this.loaded.length), this.loaded.length, 'the header')
    this.loaded = grown
    this.view = new DataView(grown.buffer, grown.byteOffset, grown.length)
  }

  private overrun(what: string): never {
    const limit =
      this.limit === this.file.size
        ? `the file ends at byte ${this.limit}: it is truncated or damaged`
        : `headers of more than ${MAX_HEADER_BYTES} bytes are not read`
    throw new CheckpointError(`${this.file.path}: its header promises ${what} at byte ${this.position}, but ${limit}`)
  }
}
