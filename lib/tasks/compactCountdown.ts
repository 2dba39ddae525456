import { characterAlphabet } from './characters'
import { arrangements, compactKeys } from './compactItems'
import { checkFormatReward, verifyCountdown } from './countdown'
import { type CountdownItem, countdownSizes, itemStream } from './countdownItems'
import { countdownTrace } from './countdownTraces'
import { checkSplit, itemAt, lazyItems, type Task, type TaskItems, type TaskSplit } from './task'

/** The 23 characters of prompts and responses; a line end ends a response. */
export const compactAlphabet = characterAlphabet('0123456789+-*/()=,;:> \n', '\n')

/** Length of every prompt in characters. */
export const COMPACT_PROMPT_LENGTH = 12

export interface CompactCountdownOptions {
  /** Number of items in each split. Default 20,000 for training, 512 for validation, 512 for the test. */
  sizes?: Partial<Record<TaskSplit, number>>
  /** Chance that the next branch of a demonstration is drawn from the correct ones. Default 0.5. */
  correctChance?: number
  /** Only items whose target at least so many branches reach, as the search writes them. Default 1: all that can be solved. */
  leastWays?: number
  /** What a well-formed wrong answer is paid. Default 0. */
  formatReward?: number
}

/**
 * Countdown for a small model that reads characters: three numbers of 1 to 20, targets 1 to 99. The prompt is
 * ` 3 17 20=45:`, always 12 characters. A response writes a search and ends with the answer, `17+3=20,20-20=0;17+3=20,20+20=40;>17+3+20`
 * and a line end: what follows the last `>`, up to a line end, is the answer. Prompts do not repeat within a split; in
 * validation and test neither do the numbers in another order. `demonstration(seed, i)` is a written-out search for an item of the training split.
 * Throws a RangeError on options out of range.
 */
export function compactCountdown(options: CompactCountdownOptions = {}): Required<Task<CountdownItem>> {
  const sizes = { ...countdownSizes, ...options.sizes }
  const { correctChance = 0.5, leastWays = 1, formatReward = 0 } = options
  if (!(correctChance > 0 && correctChance <= 1))
    throw new RangeError(`invalid correctChance ${correctChance}: expected a number above 0, at most 1`)
  if (!(Number.isInteger(leastWays) && leastWays >= 1 && leastWays <= 6))
    throw new RangeError(`invalid leastWays ${leastWays}: expected a whole number from 1 to 6`)
  checkFormatReward(formatReward)
  for (const [split, size] of Object.entries(sizes)) {
    const most = promptsOf(checkSplit(split), leastWays).length
    if (!(Number.isInteger(size) && size >= 1 && size <= most))
      throw new RangeError(
        `invalid sizes.${split} ${size}: expected a whole number from 1 to ${most}, the prompts there are with leastWays ${leastWays}`,
      )
  }
  const items = (split: TaskSplit, seed: number) => shuffledItems(checkSplit(split), leastWays, seed, sizes[split])
  return {
    name: 'countdown-compact',
    items,
    prompt: compactPrompt,
    verify: (item, response) => verifyCountdown(item, compactAnswer(response), formatReward),
    demonstration(seed, index) {
      const item = itemAt(items('train', seed), index % sizes.train, 'the training split')
      const response = countdownTrace(item, itemStream('train', seed, index, 1), correctChance)
      return { prompt: compactPrompt(item), response: `${response}\n` }
    },
  }
}

function compactPrompt({ nums, target }: CountdownItem): string {
  return `${nums.map((n) => `${n}`.padStart(2)).join(' ')}=${`${target}`.padStart(2)}:`
}

function compactAnswer(response: string): string | null {
  const start = response.lastIndexOf('>')
  if (start < 0) return null
  const end = response.indexOf('\n', start)
  return response.slice(start + 1, end < 0 ? undefined : end)
}

/** Prompts of a split: numbers in every order in training, in one order elsewhere. */
function promptsOf(split: TaskSplit, leastWays: number): CountdownItem[] {
  const name = `${split} ${leastWays}`
  const known = prompts.get(name)
  if (known) return known
  const keys = compactKeys(split, leastWays)
  const made =
    split === 'train'
      ? keys.flatMap(({ nums, target }) => arrangements(nums).map((order) => ({ nums: order, target })))
      : keys
  prompts.set(name, made)
  return made
}

const prompts = new Map<string, CountdownItem[]>()
const shuffled: { split: TaskSplit; leastWays: number; seed: number; order: number[] }[] = []

/** The split in the seed's order. The last few orders are kept, since a demonstration asks for one item at a time. */
function shuffledItems(split: TaskSplit, leastWays: number, seed: number, size: number): TaskItems<CountdownItem> {
  const all = promptsOf(split, leastWays)
  let known = shuffled.find((kept) => kept.split === split && kept.leastWays === leastWays && kept.seed === seed)
  if (!known) {
    known = { split, leastWays, seed, order: itemStream(split, seed, 0).permutation(all.length) }
    shuffled.unshift(known)
    shuffled.length = Math.min(shuffled.length, 4)
  }
  const { order } = known
  return lazyItems(size, (i) => {
    const { nums, target } = all[order[i]!]!
    if (split === 'train') return { nums: [...nums], target }
    const choices = arrangements(nums)
    return { nums: choices[itemStream(split, seed, i, 2).below(choices.length)]!, target }
  })
}
