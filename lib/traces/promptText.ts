import type { LanguageModel } from '../model/languageModel'
import type { TaskPrompt } from '../tasks/task'

/** A task's prompt as the model reads it: a text verbatim, turns through the model's chat template. */
export function promptText(model: LanguageModel, prompt: TaskPrompt): string {
  return typeof prompt === 'string'
    ? prompt
    : model.chat(
        prompt.map((turn) => ({ ...turn })),
        { addGenerationPrompt: true },
      )
}
