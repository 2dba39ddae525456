import type { LanguageModel } from '../model/languageModel'
import { analysisMessages, analysisText } from '../tasks/analysisPrompt'
import type { Problem } from '../tasks/problems'

/**
 * The prompt of the paper's analysis for a problem: instruction, context and question through the model's chat template, or as plain
 * text for a model without one (or if `plain` asks for it).
 */
export function analysisPrompt(
  model: LanguageModel,
  problem: Problem,
  { plain = false }: { plain?: boolean } = {},
): string {
  return plain || !model.chatTemplate ? analysisText(problem) : model.chat(analysisMessages(problem))
}
