import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { InvalidArgument } from '../rhythm/invalidArgument'
import { SWEEP_FORMAT, type SweepRecord } from './sweepRow'

const FILE = 'runs.json'

/** Reads `runs.json` of a folder into which `writeSweepRecord` wrote; null where there is none. Throws on a file of another form. */
export function readSweepRecord(folder: string): SweepRecord | null {
  const file = join(folder, FILE)
  if (!existsSync(file)) return null
  const record = JSON.parse(readFileSync(file, 'utf8')) as SweepRecord
  if (record.format !== SWEEP_FORMAT)
    throw new InvalidArgument(
      `${file} has the format ${JSON.stringify(record.format)}: expected '${SWEEP_FORMAT}', which rhythm compare writes`,
    )
  return record
}

/** Writes `runs.json`, one run a line: small enough for a repository, and a changed run shows where. Returns its path. */
export function writeSweepRecord(record: SweepRecord, folder: string): string {
  mkdirSync(folder, { recursive: true })
  const { rows, ...head } = record
  const text = JSON.stringify(head, null, 2).replace(/\n}$/, ',\n  "rows": [\n')
  const file = join(folder, FILE)
  writeFileSync(file, `${text}${rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n')}\n  ]\n}\n`)
  return file
}
