import { type RandomStream, randomStream } from '../random/randomStream'
import type { TaskSplit } from './task'

/** Numbers, and the value that an expression must reach with each of them used exactly once. */
export interface CountdownItem {
  nums: number[]
  target: number
}

/** How many items each split has. */
export type SplitSizes = Record<TaskSplit, number>

/** TinyZero's sizes, and a validation split of the size of its test split. */
export const countdownSizes: Readonly<SplitSizes> = { train: 20_000, validation: 512, test: 512 }

const splitNumber: Record<TaskSplit, number> = { train: 0, validation: 1, test: 2 }

/**
 * The stream that makes item `index` of a split: a function of the split, the seed and the index alone. Further keys name
 * further streams of that item.
 */
export function itemStream(split: TaskSplit, seed: number, index: number, ...keys: number[]): RandomStream {
  return randomStream(seed, splitNumber[split], index, ...keys)
}

/**
 * The split in which an item may appear, whatever the seed: decided by a hash of its target and its numbers in ascending
 * order, so that no seeds and no order of the numbers bring an item into two splits. `heldOut` is the share of test and that of
 * validation: 90 % train, 5 % validation, 5 % test by default.
 */
export function splitOf({ nums, target }: CountdownItem, heldOut = 0.05): TaskSplit {
  const sorted = [...nums].sort((a, b) => a - b)
  let hash = 0x811c9dc5
  for (const value of [...sorted, -target]) hash = Math.imul(hash ^ (hash >>> 15) ^ value, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  const share = ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
  return share < heldOut ? 'test' : share < 2 * heldOut ? 'validation' : 'train'
}

/** Ranges from which items are drawn. */
export interface CountdownRanges {
  /** How many numbers an item has: one of these, each equally likely. */
  counts: readonly number[]
  smallest: number
  largest: number
  smallestTarget: number
  largestTarget: number
}

const ATTEMPTS = 100_000

/**
 * An item that has a solution: numbers are drawn, then combined two at a time, at random, to a target. Values on the way
 * are whole numbers of at least 1. Drawn again until the target is in range and the item belongs to the split.
 */
export function drawItem(stream: RandomStream, split: TaskSplit, ranges: CountdownRanges): CountdownItem {
  const { counts, smallest, largest, smallestTarget, largestTarget } = ranges
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const count = counts[stream.below(counts.length)] as number
    const nums = Array.from({ length: count }, () => smallest + stream.below(largest - smallest + 1))
    const target = combineAtRandom(nums, stream)
    if (target === null || target < smallestTarget || target > largestTarget) continue
    const item = { nums, target }
    if (splitOf(item) === split) return item
  }
  throw new RangeError(
    `no item of Countdown was found in ${ATTEMPTS} attempts with numbers ${smallest} to ${largest} and targets ` +
      `${smallestTarget} to ${largestTarget}: widen the ranges`,
  )
}

function combineAtRandom(nums: readonly number[], stream: RandomStream): number | null {
  const values = [...nums]
  while (values.length > 1) {
    const [left] = values.splice(stream.below(values.length), 1) as [number]
    const place = stream.below(values.length)
    const right = values[place] as number
    const value = [left + right, left - right, left * right, left / right][stream.below(4)] as number
    if (!Number.isSafeInteger(value) || value < 1) return null
    values[place] = value
  }
  return values[0] as number
}

/**
 * Items from JSONL in the published form, `{"nums": [44, 19, 35], "target": 98}` a line; other keys are ignored. `file` is
 * for messages. Throws an error that names the line for anything else, and for a file without items.
 */
export function parseCountdown(text: string, file: string): CountdownItem[] {
  const items: CountdownItem[] = []
  text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .forEach((line, i) => {
      if (line.trim() !== '') items.push(parseLine(line, `${file}, line ${i + 1}`))
    })
  if (items.length === 0) throw new Error(`${file}: it is empty; expected {"nums": [...], "target": n} on each line`)
  return items
}

function parseLine(line: string, where: string): CountdownItem {
  const expected = 'expected {"nums": [44, 19, 35], "target": 98}, whole numbers from 0 to 999999999'
  let value: Partial<CountdownItem> | null
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new Error(`${where}: it is not JSON (${(error as Error).message}); ${expected}`)
  }
  const isNumber = (n: unknown) => Number.isInteger(n) && (n as number) >= 0 && (n as number) < 1e9
  const { nums, target } = value ?? {}
  if (!Array.isArray(nums) || nums.length < 2 || nums.length > 10 || !nums.every(isNumber) || !isNumber(target))
    throw new Error(`${where}: ${expected}; got ${line.slice(0, 100)}`)
  return { nums: [...nums], target: target as number }
}
