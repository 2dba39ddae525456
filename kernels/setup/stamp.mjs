// A stamp lies inside what it vouches for, is written last and atomically, and holds the hash of all that the step was
// made from: without it, or with another hash, the step is done again.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** A hash of names and contents; values are strings, buffers or anything that JSON can say. */
export function hashOf(inputs) {
  const hash = createHash('sha256')
  for (const [name, value] of Object.entries(inputs)) {
    const content = typeof value === 'string' || Buffer.isBuffer(value) ? value : (JSON.stringify(value) ?? 'undefined')
    hash.update(`${name}\0${Buffer.byteLength(content)}\0`).update(content)
  }
  return hash.digest('hex')
}

/**
 * Every file under `folder` for which `wanted(name)` holds, sorted, as `{ relative path: content }`.
 * @param {string} folder
 * @param {(name: string) => boolean} wanted
 * @returns {Record<string, Buffer>}
 */
export function filesUnder(folder, wanted = () => true, skip = ['node_modules', 'dist']) {
  const found = {}
  const visit = (current) => {
    for (const entry of readdirSync(current, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(current, entry.name)
      if (entry.isDirectory()) {
        if (!skip.includes(entry.name)) visit(path)
      } else if (wanted(entry.name)) found[relative(folder, path)] = readFileSync(path)
    }
  }
  if (existsSync(folder)) visit(folder)
  return found
}

export function writeAtomically(path, text) {
  mkdirSync(dirname(path), { recursive: true })
  const partial = `${path}.${process.pid}.partial`
  writeFileSync(partial, text)
  renameSync(partial, path)
}

export function readStamp(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return undefined // missing, or not ours: the step is done again
  }
}

export function writeStamp(path, hash, details = {}) {
  writeAtomically(path, `${JSON.stringify({ hash, ...details })}\n`)
}
