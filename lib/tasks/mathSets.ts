import path from 'node:path'
import { type DatasetRow, missing, questionAt, readRows, textAt } from './datasetRow'
import { type GivenItems, givenItems, questionPrompt } from './givenItems'
import { hubFile, parquetRows } from './hubFile'
import { finalAnswer, verifyMath } from './math'
import type { Task } from './task'

/** A problem with one final answer. */
export interface MathItem {
  id: string
  question: string
  /** Without `\boxed`; several answers are separated by commas. */
  answer: string
}

/** Files on the hub that `readMathSet` knows by name. */
export const mathSetFiles = {
  'aime-2024': { repository: 'Maxwell-Jia/AIME_2024', inRepository: 'aime_2024_problems.parquet' },
  'aime-2025': { repository: 'math-ai/aime25', inRepository: 'test.jsonl' },
  amc: { repository: 'AI-MO/aimo-validation-amc', inRepository: 'data/train-00000-of-00001.parquet' },
  'math-500': { repository: 'HuggingFaceH4/MATH-500', inRepository: 'test.jsonl' },
  olympiadbench: {
    repository: 'Hothan/OlympiadBench',
    inRepository: 'OE_TO_maths_en_COMP/OE_TO_maths_en_COMP.parquet',
  },
  'dapo-math-17k': { repository: 'open-r1/DAPO-Math-17k-Processed', inRepository: 'en/train-00000-of-00001.parquet' },
} as const
export type MathSetName = keyof typeof mathSetFiles

export interface ReadMathSetOptions {
  /** Where files from the hub are kept. Needed only for these. */
  downloadsFolder?: string
  /** Base URL of the hub. Default: HF_ENDPOINT, else the usual one. */
  endpoint?: string
  signal?: AbortSignal
}

const QUESTION = ['problem', 'Problem', 'question', 'Question', 'prompt']
const ANSWER = ['answer', 'Answer', 'final_answer', 'reward_model.ground_truth', 'solution', 'Solution']
const ID = ['unique_id', 'id', 'ID', 'extra_info.index', 'url']

/**
 * Problems of AIME, AMC, MATH500, OlympiadBench, DAPO-Math-17K or alike: from a local JSONL file with the keys of the
 * published ones (question: problem, question or prompt; answer: answer, final_answer, reward_model.ground_truth, or a
 * solution with `\boxed`), or by a name of `mathSetFiles` from the hub, or `owner/name:path/in/it` there. Repeated questions
 * are left out. Throws errors that name file, line and key.
 */
export async function readMathSet(source: string, options: ReadMathSetOptions = {}): Promise<MathItem[]> {
  const onHub = hubSource(source)
  if (!onHub)
    return distinct(
      (await readRows(source)).map(({ row, where }, i) => mathItem(row, where, `${stem(source)}-${i + 1}`)),
    )
  if (!options.downloadsFolder)
    throw new Error(
      `${source} is on the hub: give downloadsFolder, where its file is kept, or the path of a JSONL file`,
    )
  const { downloadsFolder } = options
  const otherwise = 'Give the path of a copy in JSONL ({"problem", "answer"}) instead.'
  const file = await hubFile({ ...onHub, ...options, downloadsFolder, otherwise })
  const rows = file.endsWith('.parquet')
    ? (await parquetRows(file, onHub.repository)).map((row, i) => ({ row, where: `${file}, row ${i + 1}` }))
    : await readRows(file)
  const name = source in mathSetFiles ? source : stem(onHub.repository)
  return distinct(rows.map(({ row, where }, i) => mathItem(row, where, `${name}-${i + 1}`)))
}

function hubSource(source: string): { repository: string; inRepository: string } | null {
  if (Object.hasOwn(mathSetFiles, source)) return mathSetFiles[source as MathSetName]
  const match = /^([\w.-]+\/[\w.-]+):([\w./-]+)$/.exec(source)
  return match ? { repository: match[1] as string, inRepository: match[2] as string } : null
}

function mathItem(row: DatasetRow, where: string, idIfNone: string): MathItem {
  const question = questionAt(row, QUESTION)
  const given = textAt(row, ANSWER)
  if (question === undefined) throw missing(where, 'question', QUESTION, row)
  if (given === undefined) throw missing(where, 'answer', ANSWER, row)
  return { id: textAt(row, ID) ?? idIfNone, question, answer: finalAnswer(given) ?? given }
}

function distinct(items: MathItem[]): MathItem[] {
  return [...new Map(items.map((item) => [item.question, item])).values()]
}

const stem = (file: string) => path.parse(file).name.replace(/[^\w.-]+/g, '-')

export interface MathTaskOptions {
  /** Default: the paper's, `Please reason step by step, and put your final answer within \boxed{}.` */
  instruction?: string
  prompt?: 'chat' | 'text'
  /** Also take the last number of a response without a marked answer. Default false. */
  lenient?: boolean
}

/**
 * The task of solving these problems; `verifyMath` decides. Items: `givenItems`. A problem read by `readProblems` is one, too.
 * Throws a RangeError where a question is in two splits.
 */
export function mathTask(given: GivenItems<MathItem>, options: MathTaskOptions = {}): Task<MathItem> {
  const {
    instruction = 'Please reason step by step, and put your final answer within \\boxed{}.',
    prompt = 'chat',
    lenient = false,
  } = options
  return {
    name: 'math',
    items: givenItems('math', given, ({ question }) => question),
    prompt: ({ question }) => questionPrompt(question, instruction, prompt),
    verify({ answer }, response) {
      const correct = verifyMath(response, answer, { lenient })
      return {
        reward: correct ? 1 : 0,
        correct: correct === true,
        wellFormed: correct !== null,
        answer: finalAnswer(response, { lenient }),
      }
    },
  }
}
