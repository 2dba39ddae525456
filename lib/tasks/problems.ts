import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { GSM8K, type Gsm8kSplit, gsm8kSplits, readGsm8kFromHub } from './gsm8kHub'
import { parseProblems } from './problemLines'

export { analysisMessages, analysisPrompt, analysisText, splitQuestion } from './analysisPrompt'

/** A word problem with one right answer. */
export interface Problem {
  /** Unique in its file; letters, digits, `.`, `_` and `-`, so that it can name a file. */
  id: string
  /** The situation. Absent where a problem is one text (GSM8K): see `splitQuestion`. */
  context?: string
  question: string
  /** A number without unit or thousands separators: `38`, `12.5`, `7/20`. */
  answer: string
  /** What the answer counts, if anything. */
  unit?: string | null
  /** Number of lines of `solution`, in our own problems. */
  steps?: number
  /** The worked solution, a line a step. Ours are equations, `48 - 15 = 33`; GSM8K's are sentences, as published. */
  solution?: string[]
  /** General knowledge that the solution uses, e.g. `1 hour = 60 minutes`. */
  facts?: string[]
  topic?: string
}

export interface ReadProblemsOptions {
  /** These problems, in this order. Default: all, in the file's order. */
  ids?: readonly string[]
  /** How many problems to leave out at the beginning (of those named by `ids`). Default 0. */
  offset?: number
  /** How many problems to return at most. Default: all. */
  limit?: number
  /** Of GSM8K on the hub. Default `test`. */
  split?: Gsm8kSplit
  /** Where files from the hub are kept. Default: data/downloads of the workspace. */
  downloadsFolder?: string
  /** Base URL of the hub. Default: the environment variable HF_ENDPOINT, else the hub that `@huggingface/hub` knows. */
  endpoint?: string
  /** Stops a download. */
  signal?: AbortSignal
}

const OWN_PROBLEMS = path.join('data', 'problems', 'word-problems.jsonl')

/**
 * Word problems to reason about, from
 * - nothing given: the project's own, data/problems/word-problems.jsonl;
 * - the path of a JSONL file, in our form (`Problem`, a line each) or in GSM8K's (`{"question", "answer"}`, where the answer
 *   ends in `#### 42`; the id is then the file's name and the line's number, and commas between thousands are removed);
 * - `openai/gsm8k`: that dataset on the hub, downloaded the first time.
 * Keys that `Problem` does not have are ignored. Throws errors that name the file, the line and the key.
 */
export async function readProblems(source?: string, options: ReadProblemsOptions = {}): Promise<Problem[]> {
  checkOptions(source, options)
  return select(await readAll(source, options), source ?? OWN_PROBLEMS, options)
}

async function readAll(source: string | undefined, options: ReadProblemsOptions): Promise<Problem[]> {
  const file = source ?? path.join(workspaceFolder(), OWN_PROBLEMS)
  if (file === GSM8K && !existsSync(file)) {
    const { split, downloadsFolder = path.join(workspaceFolder(), 'data', 'downloads'), endpoint, signal } = options
    return readGsm8kFromHub({ split, downloadsFolder, endpoint, signal })
  }
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT')
      throw new Error(`cannot read problems from ${file}: ${error.message}`, { cause: error })
    throw new Error(
      `no problems at ${file}: there is no such file in ${process.cwd()}. Give the path of a JSONL file, or ${GSM8K}, or nothing for the project's own problems`,
    )
  })
  return parseProblems(bytes, file)
}

function checkOptions(source: unknown, { ids, offset, limit, split }: ReadProblemsOptions): void {
  if (source !== undefined && (typeof source !== 'string' || source.trim() === ''))
    throw new Error(`source is the path of a JSONL file or ${GSM8K}; got ${JSON.stringify(source)}`)
  if (offset !== undefined && !(Number.isSafeInteger(offset) && offset >= 0))
    throw new Error(`offset is a whole number of problems to leave out, 0 or more; got ${offset}`)
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 1))
    throw new Error(`limit is a whole number of problems to return, 1 or more; got ${limit}`)
  if (split !== undefined && !gsm8kSplits.includes(split))
    throw new Error(`split is one of ${gsm8kSplits.join(', ')}; got ${JSON.stringify(split)}`)
  if (split !== undefined && source !== GSM8K)
    throw new Error(`split chooses among the parts of ${GSM8K}; the source is ${source ?? OWN_PROBLEMS}`)
  if (ids !== undefined && !Array.isArray(ids))
    throw new Error(`ids is an array of problem ids; got ${JSON.stringify(ids)}`)
}

function select(all: Problem[], source: string, { ids, offset = 0, limit }: ReadProblemsOptions): Problem[] {
  let chosen = all
  if (ids) {
    const byId = new Map(all.map((problem) => [problem.id, problem]))
    const missing = ids.filter((id) => !byId.has(id))
    if (missing.length > 0)
      throw new Error(
        `${source} has no problem ${missing.join(', ')}: its ${all.length} ids run from ${all[0]?.id} to ${all.at(-1)?.id}`,
      )
    chosen = ids.map((id) => byId.get(id) as Problem)
  }
  return chosen.slice(offset, limit === undefined ? undefined : offset + limit)
}

/** The repository that this library is in, sources or compiled. */
function workspaceFolder(): string {
  for (let folder = __dirname; ; folder = path.dirname(folder)) {
    if (existsSync(path.join(folder, OWN_PROBLEMS))) return folder
    if (folder === path.dirname(folder))
      throw new Error(`there is no ${OWN_PROBLEMS} in any folder above ${__dirname}: restore it, or give a path`)
  }
}
