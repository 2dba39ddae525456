import { closeSync, fstatSync, openSync, readSync, read as readWithCallback, statSync } from 'node:fs'
import { promisify } from 'node:util'
import { CheckpointError } from './checkpointError'

const readAsync = promisify(readWithCallback)

/** One call of the operating system reads less than 2 GiB; smaller pieces also let the event loop run in between. */
const MAX_BYTES_PER_READ = 32 * 2 ** 20

/** A regular file open for reading at any position. Every range is checked against the file's size before memory is taken for it. */
export class RandomAccessFile {
  private closed = false
  private constructor(
    readonly path: string,
    readonly size: number,
    private readonly descriptor: number,
  ) {}

  /** Throws CheckpointError if the path is not a readable regular file. */
  static open(path: string): RandomAccessFile {
    try {
      // Asked before opening: opening a pipe would wait for its writer.
      if (!statSync(path).isFile()) throw new CheckpointError(`${path} is not a regular file`)
      const descriptor = openSync(path, 'r')
      return new RandomAccessFile(path, fstatSync(descriptor).size, descriptor)
    } catch (error) {
      if (error instanceof CheckpointError) throw error
      const code = (error as NodeJS.ErrnoException).code
      const reason = code === 'ENOENT' ? 'no such file' : (error as Error).message
      throw new CheckpointError(`cannot open ${path}: ${reason}`, { cause: error })
    }
  }

  /** Throws CheckpointError unless bytes `position` to `position + length` lie inside the file. */
  checkRange(position: number, length: number, what: string): void {
    if (!Number.isSafeInteger(position) || !Number.isSafeInteger(length) || position < 0 || length < 0)
      throw new CheckpointError(`${this.path}: ${what} has the impossible byte range ${position} + ${length}`)
    if (position + length > this.size)
      throw new CheckpointError(
        `${this.path}: ${what} needs bytes ${position} to ${position + length}, but the file has ${this.size}: it is truncated or damaged`,
      )
  }

  /** Fills `bytes` from `position` on. `what` names the content in messages. */
  async read(bytes: Uint8Array, position: number, what: string): Promise<void> {
    this.checkRange(position, bytes.length, what)
    this.checkOpen()
    for (let done = 0; done < bytes.length; ) {
      const wanted = Math.min(bytes.length - done, MAX_BYTES_PER_READ)
      const { bytesRead } = await readAsync(this.descriptor, bytes, done, wanted, position + done)
      if (bytesRead === 0) throw new CheckpointError(`${this.path} became shorter while ${what} was read`)
      done += bytesRead
    }
  }

  /**
   * Reads `length` bytes in pieces, and hands each to `use` while the next is read. Pieces lie one after the other in
   * `into`, if it is given; without it they are lent until `use` returns. All but the last have `pieceBytes`.
   */
  async readPieces(
    range: { position: number; length: number; pieceBytes: number; into?: Uint8Array; what: string },
    use: (bytes: Uint8Array, done: number) => void,
  ): Promise<void> {
    const { position, length, pieceBytes, into, what } = range
    this.checkRange(position, length, what)
    const size = Math.min(length, pieceBytes)
    const lent = into ? [] : [new Uint8Array(size), new Uint8Array(length > size ? size : 0)]
    const start = async (done: number): Promise<Uint8Array> => {
      const bytes = Math.min(size, length - done)
      const piece = into ? into.subarray(done, done + bytes) : lent[(done / size) % 2].subarray(0, bytes)
      await this.read(piece, position + done, what)
      return piece
    }
    let pending = length > 0 ? start(0) : undefined
    for (let done = 0; pending; done += size) {
      const piece = await pending
      pending = done + size < length ? start(done + size) : undefined
      try {
        use(piece, done)
      } catch (error) {
        // Nothing may still be reading when the file is closed.
        await pending?.catch(() => undefined)
        throw error
      }
    }
  }

  /** `read`, but holding the thread: for small headers only. */
  readSync(bytes: Uint8Array, position: number, what: string): void {
    this.checkRange(position, bytes.length, what)
    this.checkOpen()
    for (let done = 0; done < bytes.length; ) {
      const wanted = Math.min(bytes.length - done, MAX_BYTES_PER_READ)
      const bytesRead = readSync(this.descriptor, bytes, done, wanted, position + done)
      if (bytesRead === 0) throw new CheckpointError(`${this.path} became shorter while ${what} was read`)
      done += bytesRead
    }
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    closeSync(this.descriptor)
  }

  private checkOpen(): void {
    // The operating system may have given the number to another file by now.
    if (this.closed) throw new CheckpointError(`${this.path} was closed already; open it again to read from it`)
  }
}
