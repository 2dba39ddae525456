import type { Problem } from './problems'

/** The instruction of the paper's analysis (Sec. 4). */
export const ANALYSIS_INSTRUCTION = 'Please reason step by step, and put your final answer within \\boxed{}.'

/** A turn of a conversation, as chat templates read it. */
export type AnalysisMessage = { role: 'system' | 'user'; content: string }

/**
 * The analysis prompt (paper, Sec. 4) for a model with a chat template: the instruction as the system's turn, and
 * `Context: …` and `Question: …` on two lines as the user's. A problem without a context is split by `splitQuestion`; if that
 * leaves none, the user's turn is its question alone.
 */
export function analysisMessages(problem: Problem): AnalysisMessage[] {
  return [
    { role: 'system', content: ANALYSIS_INSTRUCTION },
    { role: 'user', content: contextAndQuestion(problem).join('\n') },
  ]
}

/** The same prompt as plain text, for a base model: lines `System: …`, `Context: …`, `Question: …`, each with its line end. */
export function analysisText(problem: Problem): string {
  return [`System: ${ANALYSIS_INSTRUCTION}`, ...contextAndQuestion(problem), ''].join('\n')
}

/** What the prompt needs of a model: `LanguageModel` has it. */
export interface ChatModel {
  readonly chatTemplate: unknown
  chat(messages: readonly AnalysisMessage[]): string
}

/**
 * The analysis prompt as the text that a model reads: through its chat template, or `plain`, as `analysisText` writes it.
 * Default: plain for a model without a chat template. Throws what the template throws.
 */
export function analysisPrompt(model: ChatModel, problem: Problem, options: { plain?: boolean } = {}): string {
  const plain = options.plain ?? (model.chatTemplate === null || model.chatTemplate === undefined)
  return plain ? analysisText(problem) : model.chat(analysisMessages(problem))
}

function contextAndQuestion({ context, question }: Problem): string[] {
  const parts = context ? { context, question } : splitQuestion(question)
  return [...(parts.context ? [`Context: ${parts.context}`] : []), `Question: ${parts.question}`]
}

/**
 * Divides a problem that is one text, as GSM8K's are, into the situation and what is asked. Our choice: the question is the
 * last sentence that ends in a question mark and all that follows it (`(Round to the nearest integer.)`); without a question
 * mark, the last sentence (`Calculate …`). `context` is empty where nothing comes before that.
 */
export function splitQuestion(text: string): { context: string; question: string } {
  const sentences = splitSentences(text.trim())
  const asked = sentences.map((sentence) => /\?["'”’)\]]*$/.test(sentence.trim())).lastIndexOf(true)
  const start = asked === -1 ? sentences.length - 1 : asked
  return { context: sentences.slice(0, start).join('').trim(), question: sentences.slice(start).join('').trim() }
}

/**
 * A sentence ends at `.`, `?` or `!` with closing quotes or brackets, before white space and what can begin the next one.
 * Titles and the like are followed by a name, not by a sentence.
 */
const SENTENCE_END =
  /(?<!\b(?:Mr|Mrs|Ms|Dr|St|Mt|Prof|Jr|Sr|vs|No)(?=\.))[.?!]["'”’)\]]*\s+(?=["'“‘([$]*[\p{Lu}\p{N}])/gu

/** Sentences with the white space after them: joined, they are the text. */
function splitSentences(text: string): string[] {
  const sentences: string[] = []
  let start = 0
  for (const { 0: end, index } of text.matchAll(SENTENCE_END)) {
    sentences.push(text.slice(start, index + end.length))
    start = index + end.length
  }
  return [...sentences, text.slice(start)]
}
