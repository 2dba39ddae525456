import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'

/** The last lines of a text file, without reading what is before its last 64 KB; empty if there is no such file. */
export function lastLines(file: string, lines = 12): string {
  if (!existsSync(file)) return ''
  const handle = openSync(file, 'r')
  try {
    const { size } = fstatSync(handle)
    const buffer = Buffer.alloc(Math.min(size, 65_536))
    readSync(handle, buffer, 0, buffer.length, size - buffer.length)
    return buffer.toString('utf8').trimEnd().split('\n').slice(-lines).join('\n')
  } finally {
    closeSync(handle)
  }
}
