import { readFile } from 'node:fs/promises'

/** A row of a dataset, as JSONL or Parquet has it. */
export type DatasetRow = Record<string, unknown>

/** Rows of a JSONL file. Throws an error that names the file and the line. */
export async function readRows(file: string): Promise<{ row: DatasetRow; where: string }[]> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new Error(`cannot read ${file}: ${error.message}. Give the path of a JSONL file`, { cause: error })
  })
  const rows = text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .flatMap((line, i) => (line.trim() === '' ? [] : [{ line, where: `${file}, line ${i + 1}` }]))
    .map(({ line, where }) => ({ row: parseRow(line, where), where }))
  if (rows.length === 0) throw new Error(`${file}: it is empty; expected a JSON object on each line`)
  return rows
}

function parseRow(line: string, where: string): DatasetRow {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new Error(`${where}: it is not JSON (${(error as Error).message}); expected an object on one line`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${where}: expected a JSON object; got ${line.slice(0, 60)}`)
  return value as DatasetRow
}

/** The first of these keys that has a text or a number; a dotted key looks inside. */
export function textAt(row: DatasetRow, keys: readonly string[]): string | undefined {
  for (const key of keys) {
    const value = key.split('.').reduce<unknown>((inside, part) => (inside as DatasetRow | undefined)?.[part], row)
    if (typeof value === 'string' && value.trim() !== '') return value.trim()
    if (typeof value === 'number' || typeof value === 'bigint') return String(value)
    if (Array.isArray(value) && value.length > 0 && value.every((part) => typeof part === 'string'))
      return value.join(', ')
  }
  return undefined
}

/** The question of a row: a text under one of these keys, or the user's turns of a conversation under `prompt`. */
export function questionAt(row: DatasetRow, keys: readonly string[]): string | undefined {
  const { prompt } = row
  if (!Array.isArray(prompt)) return textAt(row, keys)
  const turns = prompt.filter((turn) => turn?.role === 'user' && typeof turn.content === 'string')
  return turns.map((turn) => turn.content.trim()).join('\n\n') || undefined
}

/** What is missing in a row, and what it has. */
export function missing(where: string, what: string, keys: readonly string[], row: DatasetRow): Error {
  return new Error(
    `${where}: no ${what}: expected one of the keys ${keys.join(', ')}; it has ${Object.keys(row).join(', ')}`,
  )
}
