import { lastTagged } from './answerText'
import { type DatasetRow, missing, questionAt, readRows, textAt } from './datasetRow'
import { finalAnswer } from './finalAnswer'
import { type GivenItems, givenItems, questionPrompt } from './givenItems'
import { sameAnswer } from './mathAnswer'
import type { Task } from './task'

/** A question whose answer is one of its choices, or, without choices, a short text. */
export interface ChoiceItem {
  id: string
  question: string
  /** What each letter stands for, from A on; empty where the choices are not known or the question is open. */
  choices: string[]
  /** The right letter, or, for an open question, the text. */
  answer: string
}

const QUESTION = ['question', 'problem', 'prompt']
const ANSWER = ['reward_model.ground_truth', 'answer', 'ground_truth']

/**
 * Questions from JSONL in the form of Nemotron-CrossThink-QA, `{"prompt": [{"role": "user", "content"}], "reward_model":
 * {"ground_truth"}}`, where the choices are lines `A. …` or `(A) …` of the question; or `{"question", "choices" or
 * "options": […], "answer"}`, where the answer is a letter, a choice, or its index. Throws errors that name line and key.
 */
export async function readChoices(file: string): Promise<ChoiceItem[]> {
  return (await readRows(file)).map(({ row, where }, i) => choiceItem(row, where, `choice-${i + 1}`))
}

function choiceItem(row: DatasetRow, where: string, idIfNone: string): ChoiceItem {
  const question = questionAt(row, QUESTION)
  const given = textAt(row, ANSWER)
  if (question === undefined) throw missing(where, 'question', QUESTION, row)
  if (given === undefined) throw missing(where, 'answer', ANSWER, row)
  const listed = [row.choices, row.options].find(Array.isArray) as unknown[] | undefined
  const choices = listed ? listed.map((choice) => String(choice).replace(CHOICE_LABEL, '').trim()) : choicesIn(question)
  const byIndex = listed && typeof row.answer === 'number' && !textAt(row, ANSWER.slice(0, 1))
  const answer = byIndex ? letterAt(row.answer as number) : (letterOf(given, choices) ?? given)
  if (choices.length > 0 && !(isLetter(answer) && answer.charCodeAt(0) - 65 < choices.length))
    throw new Error(`${where}: the answer ${JSON.stringify(given)} is none of the ${choices.length} choices`)
  const withChoices = listed
    ? `${question}\n${choices.map((choice, i) => `${letterAt(i)}. ${choice}`).join('\n')}`
    : question
  return {
    id: textAt(row, ['id', 'extra_info.index', 'meta_data.index']) ?? idIfNone,
    question: withChoices,
    choices,
    answer,
  }
}

const CHOICE_LABEL = /^\s*\(?[A-Z][.):]\s*/
const letterAt = (index: number) => String.fromCharCode(65 + index)
const isLetter = (text: string) => /^[A-Z]$/.test(text)

/** Choices on lines of their own, lettered from A on without a gap; none if there are fewer than two. */
function choicesIn(question: string): string[] {
  const found: string[] = []
  for (const line of question.split('\n')) {
    const label = /^\s{0,20}\(?([A-Z])[.):]\s{0,20}(\S.*)$/.exec(line)
    if (label && label[1] === letterAt(found.length)) found.push((label[2] as string).trim())
  }
  return found.length >= 2 ? found : []
}

/** The letter that an answer names: `B`, `(b)`, `B. 12 cm`, `option B`, or the text of a choice. Null if it names none. */
function letterOf(answer: string, choices: readonly string[]): string | null {
  const text = answer
    .slice(0, 500)
    .replace(/\\(?:text|textbf|mathrm|mathbf)\s?\{([^{}]*)\}/g, '$1')
    .replace(/[*$]/g, '')
    .trim()
  const letter = /^(?:(?:option|choice|answer)\s*:?\s*)?\(?([A-Za-z])(?:\)?[.:]?$|\)|[.:]\s)/i.exec(text)
  const named = letter?.[1]?.toUpperCase()
  if (named && (choices.length === 0 || named.charCodeAt(0) - 65 < choices.length)) return named
  const same = choices.findIndex((choice) => choice.toLowerCase() === text.toLowerCase().replace(/\.$/, ''))
  return same < 0 ? null : letterAt(same)
}

export interface ChoiceTaskOptions {
  instruction?: string
  prompt?: 'chat' | 'text'
  /** What an answer in the right form is paid where it is wrong. Default 0. */
  formatReward?: number
}

/**
 * The task of choosing: right is the letter, or the text of its choice, in the last `\boxed{…}`, else the last `<answer>`,
 * else after the last `Answer:`. Open questions: `sameAnswer`. Throws a RangeError where a question is in two splits.
 */
export function choiceTask(given: GivenItems<ChoiceItem>, options: ChoiceTaskOptions = {}): Task<ChoiceItem> {
  const {
    instruction = 'Please reason step by step, and put the letter of your choice within \\boxed{}.',
    prompt = 'chat',
    formatReward = 0,
  } = options
  return {
    name: 'multiple-choice',
    items: givenItems('multiple-choice', given, ({ question }) => question),
    prompt: ({ question }) => questionPrompt(question, instruction, prompt),
    verify(item, response) {
      const answer = chosen(response)
      const letter = answer === null ? null : letterOf(answer, item.choices)
      const isOpen = !isLetter(item.answer)
      const correct = answer !== null && (isOpen ? sameAnswer(answer, item.answer) : letter === item.answer)
      const wellFormed = answer !== null && (isOpen || letter !== null)
      return { reward: correct ? 1 : wellFormed ? formatReward : 0, correct, wellFormed, answer }
    },
  }
}

function chosen(response: string): string | null {
  const marked = finalAnswer(response) ?? lastTagged(response, 'answer')?.trim()
  if (marked) return marked
  const at = Math.max(response.lastIndexOf('Answer:'), response.lastIndexOf('answer:'))
  return at < 0
    ? null
    : (
        response
          .slice(at + 7)
          .trimStart()
          .split('\n', 1)[0] as string
      ).trim() || null
}
