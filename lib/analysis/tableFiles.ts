import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { InvalidArgument } from '../rhythm/invalidArgument'

export const TABLE_FORMATS = ['json', 'csv', 'arrow'] as const
export type TableFormat = (typeof TABLE_FORMATS)[number]

/** Tables by name, each an array of plain rows: what `analyzeTraces` gives, and what can stand beside it. */
export type NamedTables = Readonly<Record<string, readonly object[]>>

export interface WriteTablesOptions {
  /** Default: all three. */
  formats?: readonly TableFormat[]
  /** Significant digits of numbers. Default: all of them. */
  digits?: number
}

/**
 * Writes each table with rows as `NAME.json` (an object of columns, which arquero, danfojs and pandas read), `NAME.csv` and
 * `NAME.arrow`. An empty table, which was not asked for, has no file. Returns the paths.
 */
export async function writeTables(
  tables: NamedTables,
  folder: string,
  options: WriteTablesOptions = {},
): Promise<string[]> {
  const { formats = TABLE_FORMATS, digits } = options
  const unknown = formats.find((format) => !TABLE_FORMATS.includes(format))
  if (unknown) throw new InvalidArgument(`unknown table format '${unknown}': expected ${TABLE_FORMATS.join(', ')}`)
  // Loaded when first needed: it takes a second.
  const { table: columnTable } = await import('arquero')
  mkdirSync(folder, { recursive: true })
  return Object.entries(tables).flatMap(([name, rows]) => {
    if (rows.length === 0) return []
    const columns = columnsOf(rows, digits)
    const shaped = columnTable(columns)
    return formats.map((format) => {
      const path = join(folder, `${name}.${format}`)
      if (format === 'arrow') writeFileSync(path, shaped.toArrowIPC() as Uint8Array)
      else writeFileSync(path, format === 'csv' ? shaped.toCSV() : columnsText(columns))
      return path
    })
  })
}

/** Reads the tables that `writeTables` wrote as JSON, as rows. Throws on a folder without any, and on a file that is no table. */
export function readTables(folder: string): Record<string, Record<string, string | number | boolean | null>[]> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'))
  if (names.length === 0)
    throw new InvalidArgument(`${folder} holds no table NAME.json: make them with rhythm analyze --output ${folder}`)
  return Object.fromEntries(
    names.sort().map((name) => {
      const columns = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<string, (string | null)[]>
      const keys = Object.keys(columns)
      const length = columns[keys[0]!]?.length
      if (Array.isArray(columns) || keys.some((key) => columns[key]!.length !== length))
        throw new InvalidArgument(`${join(folder, name)} is no table: expected an object of columns of one length`)
      const rows = Array.from({ length: length ?? 0 }, (_, i) =>
        Object.fromEntries(keys.map((key) => [key, columns[key]![i]!])),
      )
      return [name.slice(0, -'.json'.length), rows]
    }),
  )
}

function columnsOf(rows: readonly object[], digits: number | undefined): Record<string, unknown[]> {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const cell = (value: unknown) => {
    if (typeof value !== 'number' || digits === undefined || Number.isInteger(value)) return value ?? null
    return Number(value.toPrecision(digits))
  }
  return Object.fromEntries(
    names.map((name) => [name, rows.map((row) => cell((row as Record<string, unknown>)[name]))]),
  )
}

/** One column a line, so that a changed table shows where. */
function columnsText(columns: Record<string, unknown[]>): string {
  const lines = Object.entries(columns).map(([name, values]) => `  ${JSON.stringify(name)}: ${JSON.stringify(values)}`)
  return `{\n${lines.join(',\n')}\n}\n`
}
