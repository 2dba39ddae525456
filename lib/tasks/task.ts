/** Which items: for training, for choosing rates, and for what is reported. No item is in two of them, whatever the seeds. */
export type TaskSplit = 'train' | 'validation' | 'test'
export const taskSplits: readonly TaskSplit[] = ['train', 'validation', 'test']

/** A turn of a conversation, as chat templates read it. */
export interface TaskMessage {
  role: 'system' | 'user' | 'assistant'
  content: string
}

/** A text that the model reads verbatim, or turns that go through its chat template. */
export type TaskPrompt = string | readonly TaskMessage[]

/** What a verifier says of one response. */
export interface Verdict {
  /** What training pays: 1 right, 0 wrong, or what an option of the task pays for a wrong answer in the right form. */
  reward: number
  correct: boolean
  /** Whether an answer was found that has the form asked for. A correct one always has. */
  wellFormed: boolean
  /** The answer as the response gives it, for logs. Null where none was found. */
  answer: string | null
  /** The part of the answer that is right, 0 to 1, where answers have parts (cells of a logic grid). */
  partial?: number
}

/** Items by index. Arrays are one; others make item i when it is asked for, without the items before it. */
export interface TaskItems<Item> {
  readonly length: number
  at(index: number): Item | undefined
}

/** A prompt with a response to imitate, for supervised warm-up. */
export interface Demonstration {
  prompt: TaskPrompt
  response: string
}

/**
 * What a model is trained on and measured by. Any object of this shape is a task: there is no registry.
 * All of it is deterministic: the same split, seed and index give the same item, and the same item and response the same
 * verdict. `verify` answers any text in bounded time, never throws, and never evaluates text as code.
 */
export interface Task<Item> {
  readonly name: string
  items(split: TaskSplit, seed: number): TaskItems<Item>
  prompt(item: Item): TaskPrompt
  verify(item: Item, response: string): Verdict
  /** Responses to imitate on training items, if the task can write some: number `index` of that seed, 0, 1, …, without end. */
  demonstration?(seed: number, index: number): Demonstration
}

/** Item `index` of a split, made alone. Throws a RangeError where there is none. */
export function taskItem<Item>(task: Task<Item>, split: TaskSplit, seed: number, index: number): Item {
  return itemAt(task.items(split, seed), index, `${task.name}, split ${split}`)
}

/** Item `index` of `items`. Throws a RangeError that names `what` where there is none. */
export function itemAt<Item>(items: TaskItems<Item>, index: number, what: string): Item {
  const item = Number.isSafeInteger(index) && index >= 0 && index < items.length ? items.at(index) : undefined
  if (item === undefined)
    throw new RangeError(`${what} has no item ${index}: expected a whole number from 0 to ${items.length - 1}`)
  return item
}

/** Items that `make` makes one at a time, as they are asked for. Indices outside 0 to `length - 1` have no item. */
export function lazyItems<Item>(length: number, make: (index: number) => Item): TaskItems<Item> {
  const at = (index: number) => (Number.isInteger(index) && index >= 0 && index < length ? make(index) : undefined)
  return { length, at }
}

/** The split, or a RangeError that says which there are. */
export function checkSplit(split: unknown): TaskSplit {
  if (!taskSplits.includes(split as TaskSplit))
    throw new RangeError(`invalid split ${JSON.stringify(split)}: expected one of ${taskSplits.join(', ')}`)
  return split as TaskSplit
}
