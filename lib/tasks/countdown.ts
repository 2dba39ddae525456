import { lastTagged } from './answerText'
import { parseArithmetic } from './arithmetic'
import {
  type CountdownItem,
  type CountdownRanges,
  countdownSizes,
  drawItem,
  itemStream,
  splitOf,
} from './countdownItems'
import { checkSplit, lazyItems, type Task, type TaskItems, type TaskPrompt, type TaskSplit, type Verdict } from './task'

export interface CountdownOptions {
  /** How many numbers an item has: one of these, each equally likely. Default [3, 4]; the paper's is [4]. */
  counts?: readonly number[]
  /** Smallest and largest number. Default [1, 99]. */
  numbers?: readonly [smallest: number, largest: number]
  /** Smallest and largest target. Default [10, 99]. */
  targets?: readonly [smallest: number, largest: number]
  /** Number of items in each split. Default 20,000 for training, 512 for validation, 512 for the test. */
  sizes?: Partial<Record<TaskSplit, number>>
  /**
   * Take items from these (`parseCountdown` reads the published file) instead of drawing them: each item once, in the split
   * that `splitOf` says, in an order that the seed decides, up to `sizes`.
   */
  from?: readonly CountdownItem[]
  /**
   * `text`: for a base model, a question that ends inside the answer's `<think>`. `chat`: the question as a user's turn.
   * Default `text`.
   */
  prompt?: 'text' | 'chat'
  /** What a well-formed wrong answer is paid. TinyZero: 0.1. Default 0, as in the paper. */
  formatReward?: number
}

/**
 * Countdown in TinyZero's protocol (method.md, section 7): reach the target with each number used exactly once, + - * / and
 * parentheses. The last `<answer>` of a response counts. It is parsed and computed in exact fractions; see `parseArithmetic`
 * for what is refused. Items have a solution by construction, no item is in two splits, and item i is made from the seed and
 * i alone; drawn items may repeat within a split where ranges are small. Throws a RangeError on options out of range.
 */
export function countdown(options: CountdownOptions = {}): Task<CountdownItem> {
  const ranges = checkedRanges(options)
  const sizes = { ...countdownSizes, ...options.sizes }
  for (const [split, size] of Object.entries(sizes)) checkWhole(`sizes.${checkSplit(split)}`, size, 1, 1e9)
  const { from, prompt = 'text', formatReward = 0 } = options
  if (prompt !== 'text' && prompt !== 'chat')
    throw new RangeError(`invalid prompt ${JSON.stringify(prompt)}: expected text or chat`)
  checkFormatReward(formatReward)
  return {
    name: 'countdown',
    items(split, seed) {
      checkSplit(split)
      if (from) return chosenItems(from, split, seed, sizes[split])
      return lazyItems(sizes[split], (i) => drawItem(itemStream(split, seed, i), split, ranges))
    },
    prompt: (item) => countdownPrompt(item, prompt),
    verify: (item, response) => verifyCountdown(item, lastTagged(response, 'answer'), formatReward),
  }
}

/**
 * The verdict on an expression: correct if it uses each of the item's numbers exactly once and equals the target. Null (no
 * answer was found) is wrong. `formatReward` is paid for a wrong expression that could be read.
 */
export function verifyCountdown(item: CountdownItem, expression: string | null, formatReward = 0): Verdict {
  const read = expression === null ? null : parseArithmetic(expression)
  const correct = read?.value?.equals(item.target) === true && sameNumbers(read.numbers, item.nums)
  return {
    reward: correct ? 1 : read ? formatReward : 0,
    correct,
    wellFormed: read !== null,
    answer: expression?.trim() ?? null,
  }
}

function sameNumbers(used: readonly number[], given: readonly number[]): boolean {
  const sorted = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b).join()
  return used.length === given.length && sorted(used) === sorted(given)
}

function countdownPrompt({ nums, target }: CountdownItem, form: 'text' | 'chat'): TaskPrompt {
  const question =
    `Using the numbers ${nums.join(', ')}, write an arithmetic expression that equals ${target}. Use each number exactly ` +
    'once, and only the operations + - * / and parentheses. Work it out inside <think> </think> tags, then give the ' +
    'expression alone inside <answer> </answer> tags, for example <answer>(1 + 2) / 3</answer>.'
  if (form === 'chat') return [{ role: 'user', content: question }]
  return `Question: ${question}\nResponse: Let me think step by step.\n<think>`
}

/** The items of a split in the seed's order, each set of numbers with its target once. */
function chosenItems(from: readonly CountdownItem[], split: TaskSplit, seed: number, size: number) {
  const distinct = new Map<string, CountdownItem>()
  for (const item of from) {
    const key = `${[...item.nums].sort((a, b) => a - b)}=${item.target}`
    if (!distinct.has(key) && splitOf(item) === split) distinct.set(key, item)
  }
  const items = [...distinct.values()]
  if (items.length === 0)
    throw new RangeError(`of the ${from.length} given items of Countdown none is in split ${split}`)
  const order = itemStream(split, seed, 0).permutation(items.length)
  const chosen: TaskItems<CountdownItem> = order.slice(0, size).map((i) => items[i] as CountdownItem)
  return chosen
}

function checkedRanges({ counts = [3, 4], numbers = [1, 99], targets = [10, 99] }: CountdownOptions): CountdownRanges {
  if (counts.length === 0) throw new RangeError('counts is empty: expected the numbers that an item has, e.g. [3, 4]')
  for (const count of counts) checkWhole('counts', count, 2, 6)
  for (const [name, [smallest, largest]] of [['numbers', numbers] as const, ['targets', targets] as const]) {
    checkWhole(`${name}[0]`, smallest, 1, 99_999)
    checkWhole(`${name}[1]`, largest, smallest, 99_999)
  }
  const [smallest, largest] = numbers
  const [smallestTarget, largestTarget] = targets
  return { counts, smallest, largest, smallestTarget, largestTarget }
}

function checkWhole(name: string, value: unknown, least: number, most: number): void {
  if (!(Number.isInteger(value) && (value as number) >= least && (value as number) <= most))
    throw new RangeError(`invalid ${name} ${value}: expected a whole number from ${least} to ${most}`)
}

/** Throws a RangeError unless the reward for a form is a number from 0 to less than 1. */
export function checkFormatReward(formatReward: number): void {
  if (!(formatReward >= 0 && formatReward < 1))
    throw new RangeError(`invalid formatReward ${formatReward}: expected a number from 0 to less than 1`)
}
