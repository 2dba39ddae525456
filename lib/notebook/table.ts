import { escapeMarkup } from '../plots/tokenText'

/** An arquero table, as far as it is read here. */
export interface ArqueroTable {
  columnNames(): string[]
  objects(options?: { limit?: number }): object[]
  numRows(): number
}

/** A danfojs data frame, as far as it is read here. */
export interface DanfoDataFrame {
  columns: string[]
  values: unknown
}

export type TableSource = readonly object[] | ArqueroTable | DanfoDataFrame

export interface TableOptions {
  title?: string
  /** Which columns, in which order. Default: all. */
  columns?: readonly string[]
  /** Headings by column, with units. Default: the column's name. */
  headings?: Record<string, string>
  /** By column: digits after the decimal point, or a function from value to text. Default: four significant digits. */
  format?: Record<string, number | ((value: never) => string)>
  /** Most rows to show. Default 30. */
  limit?: number
}

/** A table as text: what is shown, and how many rows are not. */
export interface TextTable {
  title: string | null
  headings: string[]
  /** Whether the column holds numbers. */
  numeric: boolean[]
  rows: string[][]
  rowsLeftOut: number
}

/** Reads `source` and writes its cells as text. Throws on an unknown column, or what is no table. */
export function tableOf(source: TableSource, options: TableOptions = {}): TextTable {
  const { limit = 30, headings = {}, format = {} } = options
  const { names, records } = read(source)
  const columns = options.columns ?? names
  for (const column of [...columns, ...Object.keys(headings), ...Object.keys(format)]) {
    if (!names.includes(column) && records.length > 0) {
      throw new Error(`no column '${column}' in this table; it has ${names.join(', ')}`)
    }
  }
  const shown = records.slice(0, limit)
  const values = (column: string) => shown.map((record) => (record as Record<string, unknown>)[column])
  return {
    title: options.title ?? null,
    headings: columns.map((column) => headings[column] ?? column),
    numeric: columns.map((column) => {
      const present = values(column).filter((value) => value !== null && value !== undefined)
      return present.length > 0 && present.every((value) => typeof value === 'number' || typeof value === 'bigint')
    }),
    rows: shown.map((record) =>
      columns.map((column) => cell((record as Record<string, unknown>)[column], format[column])),
    ),
    rowsLeftOut: records.length - shown.length,
  }
}

/** An HTML table that takes its colours from the page, light or dark. Dollar signs and TeX in it are text, not mathematics. */
export function tableHtml(table: TextTable): string {
  const side = (i: number) => (table.numeric[i] ? 'right' : 'left')
  const style = (i: number) => `text-align:${side(i)};padding:3px 10px;white-space:pre-wrap`
  const head = table.headings.map((heading, i) => `<th style="${style(i)}">${escapeMarkup(heading)}</th>`).join('')
  const body = table.rows
    .map((row) => `<tr>${row.map((text, i) => `<td style="${style(i)}">${escapeMarkup(text)}</td>`).join('')}</tr>`)
    .join('\n')
  const title =
    table.title === null
      ? ''
      : `<caption style="text-align:left;font-weight:bold;padding:3px 10px">${escapeMarkup(table.title)}</caption>`
  const more = table.rowsLeftOut > 0 ? `<div style="padding:3px 10px">${leftOut(table)}</div>` : ''
  return `<table class="mathjax_ignore" style="font-variant-numeric:tabular-nums">${title}<thead><tr>${head}</tr></thead>\n<tbody>${body}</tbody></table>${more}`
}

/** The table in columns of equal width. */
export function tableText(table: TextTable): string {
  const all = [table.headings, ...table.rows]
  const width = (text: string) => Array.from(text).length
  const widths = table.headings.map((_, i) => Math.max(...all.map((row) => width(row[i]))))
  const pad = (text: string, i: number) => {
    const space = ' '.repeat(widths[i] - width(text))
    return table.numeric[i] ? space + text : text + space
  }
  const lines = all.map((row) => row.map(pad).join('  ').trimEnd())
  lines.splice(1, 0, widths.map((columns) => '-'.repeat(columns)).join('  '))
  if (table.title !== null) lines.unshift(table.title)
  if (table.rowsLeftOut > 0) lines.push(leftOut(table))
  return lines.join('\n')
}

const leftOut = (table: TextTable) =>
  `… and ${table.rowsLeftOut} more rows; raise limit (${table.rows.length}) to see them`

function read(source: TableSource): { names: string[]; records: readonly object[] } {
  if (Array.isArray(source)) {
    const names = new Set<string>()
    for (const record of source as object[]) for (const name of Object.keys(record)) names.add(name)
    return { names: [...names], records: source as object[] }
  }
  if (typeof (source as ArqueroTable)?.columnNames === 'function') {
    const table = source as ArqueroTable
    return { names: table.columnNames(), records: table.objects({ limit: Number.POSITIVE_INFINITY }) }
  }
  const frame = source as DanfoDataFrame
  if (Array.isArray(frame?.columns) && Array.isArray(frame.values)) {
    const rows = frame.values as unknown[][]
    return {
      names: frame.columns,
      records: rows.map((row) => Object.fromEntries(frame.columns.map((name, i) => [name, row[i]]))),
    }
  }
  throw new Error('expected rows (a list of objects), an arquero table or a danfojs data frame')
}

function cell(value: unknown, format: number | ((value: never) => string) | undefined): string {
  if (typeof format === 'function') return format(value as never)
  if (value === null || value === undefined || (typeof value === 'number' && Number.isNaN(value))) return '–'
  if (typeof value === 'number') {
    if (format !== undefined) return value.toFixed(format)
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)))
  }
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return String(value)
}
