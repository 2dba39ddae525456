import path from 'node:path'
import type { Problem } from './problems'

/** What is wrong with a problem, at which line and key of which file, and what is expected there. */
export class MalformedProblem extends Error {
  constructor(where: string, message: string) {
    super(`${where}: ${message}`)
    this.name = 'MalformedProblem'
  }
}

/**
 * Problems from the bytes of a JSONL file, in our form or GSM8K's, line by line. `file` is for messages, and for the ids of
 * problems that have none. Blank lines, a byte order mark and Windows line ends are fine.
 * Throws `MalformedProblem` for anything else that is no problem, for a repeated id, and for a file without problems.
 */
export function parseProblems(bytes: Uint8Array, file: string): Problem[] {
  const problems: Problem[] = []
  const lineOfId = new Map<string, number>()
  decode(bytes, file)
    .split(/\r?\n/)
    .forEach((line, i) => {
      if (line.trim() === '') return
      const where = `${file}, line ${i + 1}`
      const problem = parseProblem(parseObject(line, where), where, `${stem(file)}-${i + 1}`)
      const earlier = lineOfId.get(problem.id)
      if (earlier !== undefined)
        throw new MalformedProblem(where, `key "id": ${JSON.stringify(problem.id)} is already that of line ${earlier}`)
      lineOfId.set(problem.id, i + 1)
      problems.push(problem)
    })
  if (problems.length === 0)
    throw new MalformedProblem(file, 'it is empty; expected a JSON object with a problem on each line')
  return problems
}

/** One problem from a record in our form or GSM8K's. `where` is for messages; `idIfNone` is for GSM8K's, which have no id. */
export function parseProblem(record: Record<string, unknown>, where: string, idIfNone: string): Problem {
  const question = text(record, 'question', where)
  const answer = text(record, 'answer', where)
  if (record.id === undefined) return gsm8kProblem(idIfNone, question, answer, where)

  const id = text(record, 'id', where)
  if (!/^\w[\w.-]*$/.test(id))
    throw new MalformedProblem(where, `key "id": expected letters, digits, ".", "_" and "-"; got ${JSON.stringify(id)}`)
  const problem: Problem = { id, question, answer }
  if (record.context !== undefined && record.context !== null) problem.context = text(record, 'context', where)
  if (record.unit === null) problem.unit = null
  else if (record.unit !== undefined) problem.unit = text(record, 'unit', where)
  if (record.steps !== undefined) {
    const { steps } = record
    if (typeof steps !== 'number' || !Number.isSafeInteger(steps) || steps < 1)
      throw new MalformedProblem(where, `key "steps": expected a whole number, 1 or more; got ${shown(steps)}`)
    problem.steps = steps
  }
  if (record.solution !== undefined) problem.solution = texts(record, 'solution', where)
  if (record.facts !== undefined) problem.facts = texts(record, 'facts', where)
  if (record.topic !== undefined) problem.topic = text(record, 'topic', where)
  return problem
}

function gsm8kProblem(id: string, question: string, answer: string, where: string): Problem {
  const parts = answer.split('####')
  const final = parts[1]?.trim().replace(/(?<=\d),(?=\d{3}(?!\d))/g, '')
  if (parts.length !== 2 || !final)
    throw new MalformedProblem(
      where,
      `without a key "id", the key "answer" must end in "#### " and the number, as GSM8K's does; got ${shown(answer)}`,
    )
  const solution = parts[0].split('\n').map((line) => line.trim())
  return { id, question, answer: final, solution: solution.filter((line) => line !== '') }
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new MalformedProblem(file, `it is not UTF-8 text (${(error as Error).message}); expected JSONL`)
  }
}

function parseObject(line: string, where: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new MalformedProblem(where, `it is not JSON (${(error as Error).message}); expected an object on one line`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MalformedProblem(where, `expected an object, {"id", "question", "answer", …}; got ${shown(value)}`)
  return value as Record<string, unknown>
}

function text(record: Record<string, unknown>, key: string, where: string): string {
  const value = record[key]
  if (value === undefined) throw new MalformedProblem(where, `key "${key}" is missing; it has ${keys(record)}`)
  if (typeof value !== 'string' || value.trim() === '')
    throw new MalformedProblem(where, `key "${key}": expected a text that is not empty; got ${shown(value)}`)
  return value.trim()
}

function texts(record: Record<string, unknown>, key: string, where: string): string[] {
  const value = record[key]
  if (!Array.isArray(value) || value.some((entry) => typeof entry !== 'string'))
    throw new MalformedProblem(where, `key "${key}": expected an array of texts; got ${shown(value)}`)
  return value as string[]
}

function keys(record: Record<string, unknown>): string {
  const names = Object.keys(record)
  return names.length === 0
    ? 'no keys'
    : names
        .slice(0, 10)
        .map((name) => `"${name}"`)
        .join(', ')
}

function shown(value: unknown): string {
  const json = JSON.stringify(value)
  return json.length > 80 ? `${json.slice(0, 60)}…${json.slice(-19)}` : json
}

/** The file's name without its ending, as the beginning of ids. */
function stem(file: string): string {
  return (
    path
      .parse(file)
      .name.replace(/[^\w.-]+/g, '-')
      .replace(/^[.-]+/, '') || 'problem'
  )
}
