import type { ModelConfig } from '../../model/config'
import type { Predictions } from './chosenTokens'

/** Whole sequences, prompt and response, of any lengths. */
export interface TrainingBatch {
  sequences: readonly ArrayLike<number>[]
  promptLengths: readonly number[]
}

/** Sequences that are computed together, padded at their end to the longest of them. */
export interface SequenceGroup {
  /** Sequences. */
  B: number
  /** Tokens read of the longest: all but its last, which predicts nothing. */
  N: number
  /** `[B · N]` */
  ids: Int32Array
  predictions: Predictions
  /** Which sequence of the batch the predictions `[from, to)` belong to. */
  responses: { sequence: number; from: number; to: number }[]
}

/** Sequences sorted by length and cut into groups of at most `tokens` tokens (or one sequence). */
export function sequenceGroups({ sequences, promptLengths }: TrainingBatch, tokens: number): SequenceGroup[] {
  const byLength = sequences.map((_, b) => b).sort((a, b) => sequences[a]!.length - sequences[b]!.length || a - b)
  const members: number[][] = []
  for (const b of byLength) {
    const last = members[members.length - 1]
    if (last && (last.length + 1) * (sequences[b]!.length - 1) <= tokens) last.push(b)
    else members.push([b])
  }
  return members.map((group) => {
    const N = sequences[group[group.length - 1]!]!.length - 1
    const ids = new Int32Array(group.length * N)
    const rows: number[] = []
    const chosen: number[] = []
    const responses = group.map((sequence, b) => {
      const whole = Array.from(sequences[sequence]!)
      const from = rows.length
      ids.set(whole.slice(0, -1), b * N)
      for (let t = promptLengths[sequence]!; t < whole.length; t++) {
        rows.push(b * N + t - 1)
        chosen.push(whole[t]!)
      }
      return { sequence, from, to: rows.length }
    })
    const predictions = { rows: Int32Array.from(rows), chosen: Int32Array.from(chosen) }
    return { B: group.length, N, ids, predictions, responses }
  })
}

/** Throws a RangeError on a batch that the model cannot read, or one without a prompt or response somewhere. */
export function checkBatch(config: ModelConfig, { sequences, promptLengths }: TrainingBatch): void {
  if (sequences.length === 0) throw new RangeError('gradients: no sequences given; give at least one')
  if (sequences.length !== promptLengths.length) {
    throw new RangeError(
      `gradients: ${sequences.length} sequences and ${promptLengths.length} prompt lengths; give one for each`,
    )
  }
  for (const [b, sequence] of sequences.entries()) {
    const prompt = promptLengths[b]!
    if (!(Number.isInteger(prompt) && prompt >= 1 && prompt < sequence.length)) {
      throw new RangeError(
        `gradients: sequence ${b} has ${sequence.length} tokens and a prompt of ${prompt}; both prompt and response need at least one`,
      )
    }
    if (sequence.length > config.maxPositionEmbeddings) {
      throw new RangeError(
        `gradients: sequence ${b} has ${sequence.length} tokens, the model's context is ${config.maxPositionEmbeddings}; shorten it`,
      )
    }
    const wrong = Array.from(sequence).findIndex((id) => !Number.isInteger(id) || id < 0 || id >= config.vocabSize)
    if (wrong >= 0) {
      throw new RangeError(
        `gradients: sequence ${b} has id ${sequence[wrong]} at ${wrong}; ids are integers from 0 to ${config.vocabSize - 1}`,
      )
    }
  }
}
