import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import path from 'node:path'

/**
 * Writes a file whole or not at all: into a temporary file of the same folder, flushed to disk, then renamed to `filePath`.
 * If `fill` throws, nothing is left behind and what was there before stays.
 */
export async function writeFileAtomically(
  filePath: string,
  fill: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<void> {
  const temporary = temporaryName(filePath)
  const file = await open(temporary, 'wx')
  try {
    try {
      await fill((bytes) => writeAll(file, bytes))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, filePath)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(path.dirname(filePath))
}

/** A name in the same folder that nothing else has; hidden, so that half-written files are not taken for results. */
export function temporaryName(filePath: string): string {
  return path.join(
    path.dirname(filePath),
    `.${path.basename(filePath)}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`,
  )
}

/** Makes a rename in a folder survive a power failure. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  const piece = 32 * 2 ** 20
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(piece, bytes.length - done))
    done += bytesWritten
  }
}
