/** Bytes of GGUF files for tests, right or wrong in any place. */

export const bytes = (...values: number[]) => Buffer.from(values)

export function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32LE(value)
  return buffer
}

export function uint64(value: number | bigint): Buffer {
  const buffer = Buffer.alloc(8)
  buffer.writeBigUInt64LE(BigInt(value))
  return buffer
}

export function text(value: string | Buffer): Buffer {
  const content = Buffer.from(value as string)
  return Buffer.concat([uint64(content.length), content])
}

/** One metadata entry; `value` follows the type as it is. */
export const entry = (key: string, type: number, ...value: Buffer[]) =>
  Buffer.concat([text(key), uint32(type), ...value])

export interface TensorBytes {
  name?: string
  /** Innermost dimension first, as in the file. */
  dimensions?: (number | bigint)[]
  type?: number
  offset?: number | bigint
}

export interface FileBytes {
  magic?: string
  version?: Buffer
  tensorCount?: number | bigint
  entryCount?: number | bigint
  entries?: Buffer[]
  tensors?: TensorBytes[]
  data?: Buffer
}

export function ggufBytes(file: FileBytes): Buffer {
  const { magic = 'GGUF', version = uint32(3), entries = [], tensors = [], data = Buffer.alloc(0) } = file
  const header = Buffer.concat([
    Buffer.from(magic, 'latin1'),
    version,
    uint64(file.tensorCount ?? tensors.length),
    uint64(file.entryCount ?? entries.length),
    ...entries,
    ...tensors.map(({ name = 'a.weight', dimensions = [4], type = 0, offset = 0 }) =>
      Buffer.concat([text(name), uint32(dimensions.length), ...dimensions.map(uint64), uint32(type), uint64(offset)]),
    ),
  ])
  return Buffer.concat([header, Buffer.alloc((32 - (header.length % 32)) % 32), data])
}
