import type { LanguageModel } from '../model/languageModel'
import type { TaskPrompt } from '../tasks/task'
import { promptText } from '../traces/promptText'

export { promptText }

/** Ids of a task's prompt: a text verbatim, turns through the model's chat template. Throws if it is empty. */
export function promptIds(model: LanguageModel, prompt: TaskPrompt): number[] {
  const ids = model.encode(promptText(model, prompt))
  if (ids.length === 0) throw new Error(`the task's prompt ${JSON.stringify(prompt)} has no tokens`)
  return ids
}

/** Ids of a response to imitate, with the token that ends it. */
export function responseIds(model: LanguageModel, response: string): number[] {
  const ids = model.encode(response)
  const ends = model.config.eosTokenIds
  const last = ids.at(-1)
  return ends.length === 0 || (last !== undefined && ends.includes(last)) ? ids : [...ids, ends[0]!]
}
