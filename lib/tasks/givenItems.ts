import { randomStream } from '../random/randomStream'
import { checkSplit, type TaskItems, type TaskMessage, type TaskPrompt, type TaskSplit } from './task'

/** Items by split, as they were read. */
export type GivenItems<Item> = Partial<Record<TaskSplit, readonly Item[]>>

/**
 * The items of a split: training in an order that the seed decides, the others as given. Throws a RangeError where the
 * split was not given, and where an item (by `keyOf`) is in two splits.
 */
export function givenItems<Item extends object>(
  name: string,
  given: GivenItems<Item>,
  keyOf: (item: Item) => string,
): (split: TaskSplit, seed: number) => TaskItems<Item> {
  const splitOfKey = new Map<string, string>()
  for (const [split, items] of Object.entries(given)) {
    for (const item of items) {
      const other = splitOfKey.get(keyOf(item))
      if (other !== undefined && other !== split)
        throw new RangeError(
          `${name}: an item of split ${split} is also in split ${other}: ${keyOf(item).slice(0, 200)}`,
        )
      splitOfKey.set(keyOf(item), checkSplit(split))
    }
  }
  const ordered = new Map<number, Item[]>()
  return (split, seed) => {
    const items = given[checkSplit(split)]
    if (!items || items.length === 0)
      throw new RangeError(`${name} has no items in split ${split}: give some, e.g. { ${split}: await read…(file) }`)
    if (split !== 'train') return items
    let order = ordered.get(seed)
    if (!order) {
      order = randomStream(seed)
        .permutation(items.length)
        .map((i) => items[i] as Item)
      if (ordered.size > 3) ordered.clear()
      ordered.set(seed, order)
    }
    return order
  }
}

/** A question with what to do, as a user's turn, or as plain text for a base model. */
export function questionPrompt(question: string, instruction: string, form: 'chat' | 'text'): TaskPrompt {
  if (form === 'text') return `Question: ${question}\n${instruction}\nResponse:`
  if (form !== 'chat') throw new RangeError(`invalid prompt ${JSON.stringify(form)}: expected chat or text`)
  const turns: TaskMessage[] = [{ role: 'user', content: `${question}\n\n${instruction}` }]
  return turns
}
