import type { RandomStream } from '../random/randomStream'
import { branchesOf } from './compactItems'
import type { CountdownItem } from './countdownItems'

/**
 * A search for the target, written out: branches, `17+3=20,20+20=40;`, each with `correctChance` a correct one and otherwise
 * a random one, up to the first that reaches the target, and the answer, `>17+3+20`. No line end.
 * Throws a RangeError if the item cannot be solved with three numbers and whole values from 0 to 99.
 */
export function countdownTrace(item: CountdownItem, stream: RandomStream, correctChance: number): string {
  const branches = branchesOf(item.nums)
  const correct = branches.filter(({ value }) => value === item.target)
  if (item.nums.length !== 3 || correct.length === 0)
    throw new RangeError(`no branch of three numbers and values from 0 to 99 reaches ${item.target} from ${item.nums}`)
  let text = ''
  for (;;) {
    const choices = stream.uniform() < correctChance ? correct : branches
    const branch = choices[stream.below(choices.length)]!
    text += `${branch.first},${branch.second};`
    if (branch.value === item.target) return `${text}>${branch.expression}`
  }
}
