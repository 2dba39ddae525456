import { lastTagged } from './answerText'
import { type DatasetRow, missing, readRows, textAt } from './datasetRow'
import { type GivenItems, givenItems, questionPrompt } from './givenItems'
import type { Task } from './task'

/** A puzzle whose solution is a grid: a row a house, a column an attribute. */
export interface LogicGridItem {
  id: string
  puzzle: string
  /** Attributes without the house: `Name`, `Drink`, … */
  attributes: string[]
  /** `rows[house][attribute]`, houses from the first. */
  rows: string[][]
}

/**
 * Puzzles from JSONL in ZebraLogic's form: `{"id", "puzzle", "solution": {"header": ["House", "Name", …], "rows":
 * [["1", "Eric", …], …]}}`. Throws errors that name line and key, also where the solutions are hidden (`___`), as in the
 * public copy of the benchmark.
 */
export async function readLogicGrids(file: string): Promise<LogicGridItem[]> {
  return (await readRows(file)).map(({ row, where }, i) => logicGridItem(row, where, `grid-${i + 1}`))
}

function logicGridItem(row: DatasetRow, where: string, idIfNone: string): LogicGridItem {
  const puzzle = textAt(row, ['puzzle'])
  if (puzzle === undefined) throw missing(where, 'puzzle', ['puzzle'], row)
  const { header, rows } = (row.solution ?? {}) as { header?: unknown; rows?: unknown }
  const isTexts = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((v) => typeof v === 'string')
  if (!isTexts(header) || header.length < 2 || !Array.isArray(rows) || rows.length === 0)
    throw new Error(`${where}: key "solution": expected {"header": ["House", …], "rows": [["1", …], …]}`)
  if (!rows.every((cells) => isTexts(cells) && cells.length === header.length))
    throw new Error(`${where}: key "solution": each of its rows needs ${header.length} texts, as the header has`)
  if (rows.some((cells: string[]) => cells.some((cell) => /^_+$/.test(cell))))
    throw new Error(`${where}: the solution is hidden (___), as in the public copy: take the copy with solutions`)
  return {
    id: textAt(row, ['id']) ?? idIfNone,
    puzzle,
    attributes: header.slice(1),
    rows: rows.map((cells: string[]) => cells.slice(1)),
  }
}

export interface LogicGridTaskOptions {
  prompt?: 'chat' | 'text'
  /** Pay the part of the cells that is right instead of 1 or 0 for the whole puzzle. Default false. */
  payCells?: boolean
}

/**
 * The task of filling in the grid. The answer is JSON, `{"solution": {"House 1": {"Name": "…"}, …}}` or the inner object:
 * the last one in the response, after `</think>` if there is one, or inside `<answer>`. Right is the whole grid;
 * `partial` is the part of the cells that is right. Case and blanks do not count.
 */
export function logicGridTask(
  given: GivenItems<LogicGridItem>,
  options: LogicGridTaskOptions = {},
): Task<LogicGridItem> {
  const { prompt = 'chat', payCells = false } = options
  return {
    name: 'logic-grid',
    items: givenItems('logic-grid', given, ({ puzzle }) => puzzle),
    prompt: (item) => questionPrompt(item.puzzle, instruction(item), prompt),
    verify(item, response) {
      const answer = lastGrid(lastTagged(response, 'answer') ?? response)
      const partial = answer === null ? 0 : rightCells(item, answer.grid) / (item.rows.length * item.attributes.length)
      const correct = partial === 1
      const reward = payCells ? partial : correct ? 1 : 0
      return { reward, correct, wellFormed: answer !== null, answer: answer?.text ?? null, partial }
    },
  }
}

function instruction({ attributes, rows }: LogicGridItem): string {
  const house = `{${attributes.map((name) => `${JSON.stringify(name)}: "…"`).join(', ')}}`
  const houses = rows.map((_, i) => `"House ${i + 1}": ${i === 0 ? house : '{…}'}`).join(', ')
  return `Reason step by step, then give the solution as JSON in this form: {"solution": {${houses}}}`
}

type Grid = Record<string, unknown>

function rightCells({ attributes, rows }: LogicGridItem, grid: Grid): number {
  const houses = lowerKeys(grid)
  let right = 0
  rows.forEach((cells, i) => {
    const given = houses.get(`house ${i + 1}`)
    if (typeof given !== 'object' || given === null) return
    const values = lowerKeys(given as Grid)
    attributes.forEach((name, j) => {
      const value = values.get(plain(name))
      const text = Array.isArray(value) && value.length > 0 ? value[0] : value
      if ((typeof text === 'string' || typeof text === 'number') && plain(String(text)) === plain(cells[j] as string))
        right++
    })
  })
  return right
}

const plain = (text: string) => text.trim().toLowerCase().replace(/\s+/g, ' ')
const lowerKeys = (object: Grid) => new Map(Object.entries(object).map(([key, value]) => [plain(key), value]))

const MAX_LENGTH = 20_000
const MAX_ATTEMPTS = 50

/** The last object of a text that is a grid of houses. Only the last 20,000 characters and 50 closing braces are tried. */
function lastGrid(text: string): { grid: Grid; text: string } | null {
  const end = text.slice(-MAX_LENGTH)
  const pairs = bracePairs(end)
  for (const [start, stop] of pairs.reverse().slice(0, MAX_ATTEMPTS)) {
    const candidate = end.slice(start, stop + 1)
    if (!/house/i.test(candidate)) continue
    let value: unknown
    try {
      value = JSON.parse(candidate)
    } catch {
      continue // Not JSON: perhaps an earlier object is.
    }
    const inner = (value as Grid).solution
    const grid =
      typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? (inner as Grid) : (value as Grid)
    if (Object.keys(grid).some((key) => /^house \d+$/.test(plain(key)))) return { grid, text: candidate }
  }
  return null
}

/** Matching braces outside strings, outermost only, in the order in which they close. */
function bracePairs(text: string): [number, number][] {
  const pairs: [number, number][] = []
  const open: number[] = []
  for (const { 0: token, index } of text.matchAll(/[{}]/g)) {
    if (token === '{') open.push(index)
    else {
      const start = open.pop()
      if (start === undefined) continue
      // An object that encloses earlier ones takes their place.
      while (pairs.length > 0 && (pairs.at(-1) as [number, number])[0] > start) pairs.pop()
      pairs.push([start, index])
    }
  }
  return pairs
}
