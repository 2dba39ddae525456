import type { AnswerVerifier } from './openTraceSet'

export const judgeAnswer: AnswerVerifier = () => null
