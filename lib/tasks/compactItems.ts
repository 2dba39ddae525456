import type { CountdownItem } from './countdownItems'
import { splitOf } from './countdownItems'
import type { TaskSplit } from './task'

/** Ranges of the compact form: numbers 1 to 20, every value on the way 0 to 99, targets 1 to 99. */
const LARGEST_NUMBER = 20
const LARGEST_VALUE = 99

/** A way to an item's target: two of its numbers are combined, then the result and the third, in this order. */
export interface Branch {
  first: string
  second: string
  value: number
  /** The whole as one expression, with the parentheses that it needs. */
  expression: string
}

const orders = [
  [0, 1, 2],
  [1, 0, 2],
  [0, 2, 1],
  [2, 0, 1],
  [1, 2, 0],
  [2, 1, 0],
] as const

/**
 * Every branch of three numbers whose values all are whole numbers from 0 to 99, each once, in a fixed order. Of two ways to
 * write a sum or a product only one counts: the larger number first, and a result before the third number.
 */
export function branchesOf(nums: readonly number[]): Branch[] {
  const branches = new Map<string, Branch>()
  for (const [i, j, k] of orders) {
    const [a, b, c] = [nums[i]!, nums[j]!, nums[k]!]
    for (const sign of '+-*/') {
      const inner = combine(a, sign, b)
      if (inner === null || (isCommutative(sign) && a < b)) continue
      const first = `${a}${sign}${b}=${inner}`
      for (const outer of '+-*/') {
        for (const isLeft of isCommutative(outer) ? [true] : [true, false]) {
          const [left, right] = isLeft ? [inner, c] : [c, inner]
          const value = combine(left, outer, right)
          if (value === null) continue
          const second = `${left}${outer}${right}=${value}`
          const step = `${a}${sign}${b}`
          const inside = needsBrackets(sign, outer, isLeft) ? `(${step})` : step
          const expression = isLeft ? `${inside}${outer}${c}` : `${c}${outer}${inside}`
          branches.set(`${first},${second},${expression}`, { first, second, value, expression })
        }
      }
    }
  }
  return [...branches.values()]
}

const isCommutative = (sign: string) => sign === '+' || sign === '*'

/** The value if it is a whole number from 0 to 99. */
function combine(left: number, sign: string, right: number): number | null {
  const value = sign === '+' ? left + right : sign === '-' ? left - right : sign === '*' ? left * right : left / right
  return Number.isInteger(value) && value >= 0 && value <= LARGEST_VALUE ? value : null
}

/** Whether `a sign b` needs parentheses as an operand of `outer`. */
function needsBrackets(sign: string, outer: string, isLeft: boolean): boolean {
  const isSum = '+-'.includes(sign)
  if ('*/'.includes(outer)) return isSum || !isLeft
  return isSum && outer === '-' && !isLeft
}

/** Share of test and of validation among what can be asked: enough for 512 items of each where three ways are required. */
const HELD_OUT = 0.1

/**
 * What can be asked in the compact form, by split: numbers in ascending order and target, each once, where at least `leastWays`
 * branches reach the target.
 */
export function compactKeys(split: TaskSplit, leastWays: number): CountdownItem[] {
  keys ??= enumerate()
  return keys[split].filter(({ ways }) => ways >= leastWays).map(({ item }) => item)
}

interface Key {
  item: CountdownItem
  ways: number
}

let keys: Record<TaskSplit, Key[]> | undefined

function enumerate(): Record<TaskSplit, Key[]> {
  const found: Record<TaskSplit, Key[]> = { train: [], validation: [], test: [] }
  for (let a = 1; a <= LARGEST_NUMBER; a++)
    for (let b = a; b <= LARGEST_NUMBER; b++)
      for (let c = b; c <= LARGEST_NUMBER; c++) {
        const nums = [a, b, c]
        const ways = new Map<number, number>()
        for (const { value } of branchesOf(nums)) if (value > 0) ways.set(value, (ways.get(value) ?? 0) + 1)
        for (const [target, count] of [...ways].sort(([x], [y]) => x - y)) {
          const item = { nums, target }
          found[splitOf(item, HELD_OUT)].push({ item, ways: count })
        }
      }
  return found
}

/** The different orders of three numbers. */
export function arrangements(nums: readonly number[]): number[][] {
  const found = new Map(orders.map((order) => [`${order.map((i) => nums[i])}`, order.map((i) => nums[i] as number)]))
  return [...found.values()]
}
