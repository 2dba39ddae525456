import { pacer } from '../engine/cooperate'
import { concat, indexTensor, multiply, reshape, slice, sumOver, takeColumns } from '../engine/ops'
import { execute, tf } from '../engine/tensorflow'
import { type Decoder, logits } from './decoder'
import { type ForwardSizes, forwardSizes } from './forwardSizes'

/** What the model thought of each response token before it was written, in nats, index 0 = first response token. */
export interface TokenStatistics {
  /** Entropy of the untempered distribution that produced the token: of the logits one position earlier. */
  entropy: Float32Array
  /** Log-probability of the token under that distribution. */
  logprob: Float32Array
}

/**
 * Entropy and log-probability of the response tokens of each sequence, from the states that `forward` returned for the same
 * sequences, `[B, N, hidden]`. Logits are computed in chunks of positions and never kept: memory is independent of N.
 * Throws a RangeError on prompts that leave no position before, or no token of, a response, and `Interrupted`.
 */
export async function tokenStatistics(
  decoder: Decoder,
  states: tf.Tensor3D,
  sequences: readonly ArrayLike<number>[],
  promptLengths: readonly number[],
  options: { sizes?: Partial<ForwardSizes>; signal?: AbortSignal } = {},
): Promise<TokenStatistics[]> {
  const { logitRows } = forwardSizes(options.sizes)
  const pause = pacer(options.signal)
  const [, N, hidden] = states.shape
  const results: TokenStatistics[] = []
  for (const [b, sequence] of sequences.entries()) {
    const prompt = promptLengths[b]
    if (prompt === undefined || !(prompt >= 1 && prompt < sequence.length)) {
      throw new RangeError(
        `token statistics: sequence ${b} has ${sequence.length} tokens and a prompt of ${prompt}; both prompt and response need at least one`,
      )
    }
    const count = sequence.length - prompt
    const entropy = new Float32Array(count)
    const logprob = new Float32Array(count)
    for (let done = 0; done < count; done += logitRows) {
      const rows = Math.min(logitRows, count - done)
      const read = tf.tidy(() => {
        const chosen = indexTensor(
          Int32Array.from({ length: rows }, (_, i) => sequence[prompt + done + i]!),
          [rows, 1],
        )
        const from = b * N + prompt - 1 + done
        const part = slice(reshape(states, [-1, hidden]), [from, 0], [rows, hidden]) as tf.Tensor2D
        const logProbabilities = execute('LogSoftmax', [logits(decoder, part)])
        const negative = sumOver(multiply(execute('Exp', [logProbabilities]), logProbabilities), 1)
        const ofChosen = takeColumns(logProbabilities, chosen)
        // Read together: a GPU stands still each time.
        return concat([negative, reshape(ofChosen, [rows])], 0).dataSync()
      })
      for (let i = 0; i < rows; i++) {
        entropy[done + i] = -read[i]!
        logprob[done + i] = read[rows + i]!
      }
      await pause()
    }
    results.push({ entropy, logprob })
  }
  return results
}
