import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { InvalidArgument } from '../rhythm/invalidArgument'
import type { AnalysisTables } from './analyzeTraces'
import type { PerturbationProblem } from './perturbation'
import type { PerturbationRow } from './perturbationTable'

export const TABLE_FORMATS = ['json', 'csv', 'arrow'] as const
export type TableFormat = (typeof TABLE_FORMATS)[number]

/** Tables by name, each an array of plain rows: what `analyzeTraces` gives, and what can stand beside it. */
export type NamedTables = { readonly [name: string]: readonly object[] }

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
  tables: NamedTables | Partial<RecordedTables>,
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

/** What `rhythm analyze` writes: the tables of `analyzeTraces`, and Table 1 if there were roll-outs. */
export interface RecordedTables extends AnalysisTables {
  perturbation: PerturbationRow[]
  perturbationByProblem: PerturbationProblem[]
}

const empty = (): RecordedTables => ({
  ...{ summary: [], traces: [], table2: [], prominenceSweep: [], controls: [], layerThirds: [], sideBySide: [] },
  ...{ differences: [], peakOverlap: [], peakOverlapByTrace: [], entropyAroundPeaks: [], rhythmAroundAnchors: [] },
  ...{ crossCorrelation: [], robustness: [], paper: [], perturbation: [], perturbationByProblem: [] },
})

export const TABLE_NAMES = Object.keys(empty()) as (keyof RecordedTables)[]

/**
 * Reads the tables that `rhythm analyze` wrote as JSON, as rows; those that it left out are empty. Throws on a folder without any, on
 * a file that is no table, and on a table of another name.
 */
export function readTables(folder: string): RecordedTables {
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : []
  if (files.length === 0)
    throw new InvalidArgument(
      `${folder} holds no table NAME.json: make them with rhythm analyze SET --output ${folder}`,
    )
  const tables: RecordedTables = empty()
  for (const file of files) {
    const name = file.slice(0, -'.json'.length) as keyof RecordedTables
    if (!TABLE_NAMES.includes(name))
      throw new InvalidArgument(`${join(folder, file)} is none of the tables: ${TABLE_NAMES.join(', ')}`)
    tables[name] = rowsOf(readFileSync(join(folder, file), 'utf8'), join(folder, file)) as never[]
  }
  return tables
}

function rowsOf(text: string, file: string): object[] {
  const columns: unknown = JSON.parse(text)
  const entries = columns !== null && !Array.isArray(columns) ? Object.entries(columns as object) : []
  const { length } = (entries[0]?.[1] ?? []) as unknown[]
  if (entries.length === 0 || entries.some(([, values]) => !Array.isArray(values) || values.length !== length))
    throw new InvalidArgument(`${file} is no table: expected an object of columns of one length`)
  return Array.from({ length }, (_, i) => Object.fromEntries(entries.map(([name, values]) => [name, values[i]])))
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
