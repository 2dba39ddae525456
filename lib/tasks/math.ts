import { type FinalAnswerOptions, finalAnswer } from './finalAnswer'
import { sameAnswer } from './mathAnswer'

export { type FinalAnswerOptions, finalAnswer } from './finalAnswer'
export { sameAnswer } from './mathAnswer'

/**
 * Whether a response's final answer (`finalAnswer`: the last `\boxed{…}`, else `#### …`) is the right one; null where it has
 * none. `answer` is the right answer, or a solution that ends in `\boxed{…}` or `#### …`. What counts as the same,
 * and what is not understood: `sameAnswer`. Never throws; the time is bounded.
 */
export function verifyMath(response: string, answer: string, options: FinalAnswerOptions = {}): boolean | null {
  const given = finalAnswer(response, options)
  return given === null ? null : sameAnswer(given, finalAnswer(answer) ?? answer)
}
