/** Files of named arrays in the safetensors format (https://huggingface.co/docs/safetensors): checkpoints, and series of traces. */
import { CheckpointError, quoted } from './checkpointError'
import { allFinite, narrowToBfloat16, narrowToFloat16, widenBfloat16, widenFloat16 } from './halfPrecision'
import { RandomAccessFile } from './randomAccessFile'
import { writeFileAtomically } from './writeFileAtomically'

/** Number types that can be read. Float16 and bfloat16 become float32, which holds them exactly. */
export type SafetensorsDtype =
  | 'F64'
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'I64'
  | 'I32'
  | 'I16'
  | 'I8'
  | 'U64'
  | 'U32'
  | 'U16'
  | 'U8'
  | 'BOOL'

export type SafetensorsArray =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array

export interface SafetensorsTensor {
  /** Outermost dimension first; `[]` is a single number. */
  shape: number[]
  data: SafetensorsArray
  /** How the numbers are stored in the file. Default: as `data` holds them. */
  dtype?: SafetensorsDtype
}

/** A float32 tensor whose numbers are made only when they are written. */
export interface LazyTensor {
  shape: number[]
  load: () => Float32Array | Promise<Float32Array>
  /** Default F32. */
  dtype?: 'F32' | 'F16' | 'BF16'
}

export interface SafetensorsContent {
  tensors: Record<string, SafetensorsTensor>
  metadata: Record<string, string>
}

const arrayTypes = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
}

/** Bounds on the header, as in the reference implementation. */
const MAX_HEADER_BYTES = 100_000_000
/** Largest array of V8 in bytes. */
const MAX_TENSOR_BYTES = 2 ** 32
/** Tensors are read and converted in pieces of this size. */
const PIECE_BYTES = 4 * 2 ** 20

interface Entry {
  dtype: SafetensorsDtype
  shape: number[]
  /** First byte, counted from the start of the file. */
  position: number
  bytes: number
}

/** A safetensors file open for reading single tensors. */
export class SafetensorsFile {
  private constructor(
    private readonly file: RandomAccessFile,
    private readonly entries: Map<string, Entry>,
    readonly metadata: Record<string, string>,
  ) {}

  /** Opens a file and checks its whole header. Throws CheckpointError if it is damaged. */
  static async open(path: string): Promise<SafetensorsFile> {
    const file = RandomAccessFile.open(path)
    try {
      const { entries, metadata } = await readHeader(file)
      return new SafetensorsFile(file, entries, metadata)
    } catch (error) {
      file.close()
      throw error
    }
  }

  get path(): string {
    return this.file.path
  }

  names(): string[] {
    return [...this.entries.keys()]
  }

  shape(name: string): number[] {
    return [...this.entry(name).shape]
  }

  dtype(name: string): SafetensorsDtype {
    return this.entry(name).dtype
  }

  /** The numbers of a tensor: F16 and BF16 as float32, every other type as it is. NaN and infinities pass. */
  async read(name: string): Promise<SafetensorsArray> {
    return this.readPieces(name, () => undefined)
  }

  /** The numbers of a floating-point tensor as float32. Throws CheckpointError on NaN, infinity or an integer type. */
  async readFloat32(name: string): Promise<Float32Array> {
    const dtype = this.dtype(name)
    if (!['F64', 'F32', 'F16', 'BF16'].includes(dtype))
      throw new CheckpointError(
        `${this.path}: tensor ${quoted(name)} is of type ${dtype}; expected F32, F16, BF16 or F64`,
      )
    const check = (values: Float32Array) => {
      if (!allFinite(values))
        throw new CheckpointError(
          `${this.path}: tensor ${quoted(name)} holds NaN or infinity: the file is damaged, or its training diverged`,
        )
    }
    const stored = await this.readPieces(name, check)
    if (stored instanceof Float32Array) return stored
    const values = Float32Array.from(stored as Float64Array)
    check(values)
    return values
  }

  /** Reads a tensor; `check` sees its numbers piece by piece, if they are 32-bit or narrower floats. */
  private async readPieces(name: string, check: (piece: Float32Array) => void): Promise<SafetensorsArray> {
    const { dtype, position, bytes: length } = this.entry(name)
    const what = `tensor ${quoted(name)}`
    const ArrayType = arrayTypes[dtype]
    const widen = dtype === 'F16' ? widenFloat16 : dtype === 'BF16' ? widenBfloat16 : undefined
    const memory = widen ? length * 2 : length
    if (memory > MAX_TENSOR_BYTES)
      throw new CheckpointError(
        `${this.path}: ${what} would take ${memory} bytes of memory; ${MAX_TENSOR_BYTES} are possible`,
      )
    const data = widen ? new Float32Array(length / 2) : new ArrayType(length / ArrayType.BYTES_PER_ELEMENT)
    const range = { position, length, pieceBytes: PIECE_BYTES, what }
    const into = widen ? undefined : new Uint8Array(data.buffer)
    await this.file.readPieces({ ...range, into }, (bytes, done) => {
      if (!(data instanceof Float32Array)) return
      const first = done / ArrayType.BYTES_PER_ELEMENT
      const piece = data.subarray(first, first + bytes.length / ArrayType.BYTES_PER_ELEMENT)
      widen?.(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2), piece)
      check(piece)
    })
    return data
  }

  async close(): Promise<void> {
    this.file.close()
  }

  private entry(name: string): Entry {
    const entry = this.entries.get(name)
    if (!entry) throw new CheckpointError(`${this.path} has no tensor ${quoted(name)}`)
    return entry
  }
}

/** Reads a whole safetensors file. Throws CheckpointError if it is damaged. */
export async function readSafetensors(path: string): Promise<SafetensorsContent> {
  const file = await SafetensorsFile.open(path)
  try {
    const tensors: [string, SafetensorsTensor][] = []
    for (const name of file.names())
      tensors.push([name, { shape: file.shape(name), data: await file.read(name), dtype: file.dtype(name) }])
    return { tensors: Object.fromEntries(tensors), metadata: file.metadata }
  } finally {
    await file.close()
  }
}

async function readHeader(
  file: RandomAccessFile,
): Promise<{ entries: Map<string, Entry>; metadata: Record<string, string> }> {
  const lengthBytes = Buffer.alloc(8)
  await file.read(lengthBytes, 0, 'the header length of a safetensors file')
  const headerBytes = lengthBytes.readBigUInt64LE()
  if (headerBytes < 2n || headerBytes > MAX_HEADER_BYTES)
    throw new CheckpointError(
      `${file.path} is not a safetensors file: it promises a header of ${headerBytes} bytes (2 to ${MAX_HEADER_BYTES} are possible)`,
    )
  file.checkRange(8, Number(headerBytes), 'the header')
  const bytes = Buffer.alloc(Number(headerBytes))
  await file.read(bytes, 8, 'the header')
  const header = parseJsonObject(bytes, file.path)

  const dataStart = 8 + bytes.length
  const entries = new Map<string, Entry>()
  let metadata: Record<string, string> = {}
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = checkMetadata(value, file.path)
    else entries.set(name, checkEntry(name, value, dataStart, file.path))
  }
  checkLayout(entries, dataStart, file)
  return { entries, metadata }
}

function parseJsonObject(bytes: Buffer, path: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new CheckpointError(`${path}: the header is not JSON text (${(error as Error).message})`, { cause: error })
  }
  if (!isRecord(value)) throw new CheckpointError(`${path}: the header is not a JSON object`)
  return value
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function checkMetadata(value: unknown, path: string): Record<string, string> {
  if (!isRecord(value) || Object.values(value).some((text) => typeof text !== 'string'))
    throw new CheckpointError(`${path}: __metadata__ should be an object of strings`)
  return value as Record<string, string>
}

function checkEntry(name: string, value: unknown, dataStart: number, path: string): Entry {
  const what = `${path}: tensor ${quoted(name)}`
  if (!isRecord(value)) throw new CheckpointError(`${what} is not described by an object`)
  const { dtype, shape, data_offsets: offsets } = value
  if (typeof dtype !== 'string' || !Object.hasOwn(arrayTypes, dtype))
    throw new CheckpointError(
      `${what} is of type ${quoted(String(dtype))}; types that can be read: ${Object.keys(arrayTypes).join(', ')}`,
    )
  if (!isSizes(shape)) throw new CheckpointError(`${what} has no valid shape: expected a list of whole numbers`)
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0] > offsets[1])
    throw new CheckpointError(`${what} has no valid data_offsets: expected [begin, end] in bytes`)
  const bytes = offsets[1] - offsets[0]
  const expected = shape.reduce(
    (size, dimension) => size * dimension,
    arrayTypes[dtype as SafetensorsDtype].BYTES_PER_ELEMENT,
  )
  if (bytes !== expected)
    throw new CheckpointError(`${what} of type ${dtype} and shape [${shape}] takes ${expected} bytes, but has ${bytes}`)
  return { dtype: dtype as SafetensorsDtype, shape, position: dataStart + offsets[0], bytes }
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0)
}

/** The tensors' bytes must follow each other without gaps or overlaps, up to the end of the file. */
function checkLayout(entries: Map<string, Entry>, dataStart: number, file: RandomAccessFile): void {
  let end = dataStart
  const ordered = [...entries].sort(([, a], [, b]) => a.position - b.position || a.bytes - b.bytes)
  for (const [name, entry] of ordered) {
    file.checkRange(entry.position, entry.bytes, `tensor ${quoted(name)}`)
    if (entry.position !== end)
      throw new CheckpointError(
        `${file.path}: tensor ${quoted(name)} starts at byte ${entry.position}, where ${end} was expected: ` +
          'tensors should follow each other without gaps or overlaps',
      )
    end = entry.position + entry.bytes
  }
  if (end !== file.size)
    throw new CheckpointError(`${file.path} has ${file.size} bytes, but its tensors end at ${end}: it is damaged`)
}

/**
 * Writes a safetensors file: whole, or not at all (it is written beside its place, flushed to disk and renamed).
 * Throws CheckpointError if a shape does not match its data, or a number is beyond the range of its `dtype`.
 */
export async function writeSafetensors(
  path: string,
  tensors: Record<string, SafetensorsTensor | LazyTensor>,
  metadata: Record<string, string> = {},
): Promise<void> {
  const header: Record<string, unknown> = Object.create(null)
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata
  // Wider types first keeps every tensor aligned; names make the file independent of the order of insertion.
  const ordered = Object.entries(tensors)
    .map(([name, tensor]) => ({ name, tensor, dtype: storedDtype(path, name, tensor) }))
    .sort((a, b) => bytesPerElement(b.dtype) - bytesPerElement(a.dtype) || (a.name < b.name ? -1 : 1))
  let end = 0
  for (const { name, tensor, dtype } of ordered) {
    const begin = end
    end += elements(tensor.shape) * bytesPerElement(dtype)
    header[name] = { dtype, shape: tensor.shape, data_offsets: [begin, end] }
  }
  let text = Buffer.from(JSON.stringify(header), 'utf8')
  text = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')])
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))

  await writeFileAtomically(path, async (write) => {
    await write(length)
    await write(text)
    for (const { name, tensor, dtype } of ordered) {
      const data = 'load' in tensor ? await tensor.load() : tensor.data
      checkLength(path, name, tensor.shape, data.length)
      if ((dtype === 'F16' || dtype === 'BF16') && data instanceof Float32Array)
        await writeNarrowed(write, data, dtype, `${path}: tensor ${quoted(name)}`)
      else await write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    }
  })
}

async function writeNarrowed(
  write: (bytes: Uint8Array) => Promise<void>,
  data: Float32Array,
  dtype: 'F16' | 'BF16',
  what: string,
): Promise<void> {
  const narrow = dtype === 'BF16' ? narrowToBfloat16 : narrowToFloat16
  for (let done = 0; done < data.length; done += PIECE_BYTES / 2) {
    const piece = data.subarray(done, done + PIECE_BYTES / 2)
    const narrowed = new Uint16Array(piece.length)
    if (!narrow(piece, narrowed)) {
      const value = piece.find((number, i) => Number.isFinite(number) && (narrowed[i] & 0x7fff) === infinityBits[dtype])
      throw new CheckpointError(`${what} holds ${value}, which is beyond the range of ${dtype}: store it as F32`)
    }
    await write(new Uint8Array(narrowed.buffer))
  }
}

const infinityBits = { F16: 0x7c00, BF16: 0x7f80 }

function storedDtype(path: string, name: string, tensor: SafetensorsTensor | LazyTensor): SafetensorsDtype {
  const what = `cannot write ${path}: tensor ${quoted(name)}`
  if (name === '__metadata__') throw new CheckpointError(`${what} has a name that the format reserves`)
  if (!isSizes(tensor.shape))
    throw new CheckpointError(`${what} has shape [${tensor.shape}]; expected whole numbers, none negative`)
  if ('load' in tensor) return tensor.dtype ?? 'F32'
  checkLength(path, name, tensor.shape, tensor.data.length)
  const { data } = tensor
  const own = (Object.keys(arrayTypes) as SafetensorsDtype[]).find(
    (dtype) => dtype !== 'F16' && dtype !== 'BF16' && data.constructor === arrayTypes[dtype],
  )
  if (!own)
    throw new CheckpointError(`${what} is a ${data.constructor.name}; expected a typed array such as Float32Array`)
  const dtype = tensor.dtype ?? own
  const fits =
    dtype === own ||
    (own === 'F32' && (dtype === 'F16' || dtype === 'BF16')) ||
    (own === 'U8' && dtype === 'BOOL' && (data as Uint8Array).every((value) => value <= 1))
  if (!fits) throw new CheckpointError(`${what} is a ${data.constructor.name}, which cannot be stored as ${dtype}`)
  return dtype
}

function checkLength(path: string, name: string, shape: number[], length: number): void {
  if (elements(shape) !== length)
    throw new CheckpointError(
      `cannot write ${path}: tensor ${quoted(name)} of shape [${shape}] has ${length} numbers; expected ${elements(shape)}`,
    )
}

function elements(shape: number[]): number {
  return shape.reduce((size, dimension) => size * dimension, 1)
}

function bytesPerElement(dtype: SafetensorsDtype): number {
  return arrayTypes[dtype].BYTES_PER_ELEMENT
}
