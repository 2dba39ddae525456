import type { Horizon } from './headSeries'
import { InvalidArgument } from './invalidArgument'

/**
 * Distance drop `delta_t = |WAAD_t - WAAD_{t+1}|` within one response, in tokens; null at the last token, where it is
 * undefined (never 0: a 0 would enter medians and top shares).
 */
export function distanceDrop(waad: ArrayLike<number>): (number | null)[] {
  return Array.from(waad, (value, t) => (t + 1 < waad.length ? Math.abs(value - waad[t + 1]!) : null))
}

/** Where FAI is defined: tokens s with at least one response token t >= s + Hlo. */
export function faiValidity(responseLength: number, [low]: Horizon): boolean[] {
  return Array.from({ length: responseLength }, (_, s) => s + low < responseLength)
}

/**
 * Moves a series of the tokens (entropy, log-probability) to the rows that predicted them: value t of the result belongs
 * to token t + 1, which attention row t predicts; null at the last token. The second way to read Table 2's row 1.
 */
export function alignToPredictor(values: ArrayLike<number>): (number | null)[] {
  return Array.from(values, (_, t) => (t + 1 < values.length ? values[t + 1]! : null))
}

/**
 * Entropy and log-probability of each response token in nats, from untempered logits. Token t was produced by the logits
 * at position t - 1.
 * @param logits `[N][vocabulary]`, of prompt + response
 * @param ids `[N]`
 */
export function tokenStatistics(
  logits: ArrayLike<ArrayLike<number>>,
  ids: ArrayLike<number>,
  promptLength: number,
): { entropy: number[]; logprob: number[] } {
  if (!(Number.isInteger(promptLength) && promptLength >= 1 && promptLength <= ids.length))
    throw new InvalidArgument(
      `invalid prompt length ${promptLength}: the first response token needs a token before it (1-${ids.length})`,
    )
  if (logits.length < ids.length - 1)
    throw new InvalidArgument(
      `${logits.length} rows of logits for ${ids.length} tokens: expected one for each position`,
    )
  const entropy: number[] = []
  const logprob: number[] = []
  for (let t = promptLength; t < ids.length; t++) {
    const row = logits[t - 1]!
    const id = ids[t]!
    if (!(Number.isInteger(id) && id >= 0 && id < row.length))
      throw new InvalidArgument(`token id ${id} at position ${t} is outside the vocabulary of ${row.length}`)
    let max = Number.NEGATIVE_INFINITY
    for (let v = 0; v < row.length; v++) max = Math.max(max, row[v]!)
    let sum = 0
    let weighted = 0
    for (let v = 0; v < row.length; v++) {
      const shifted = row[v]! - max
      const weight = Math.exp(shifted)
      sum += weight
      if (weight > 0) weighted += weight * shifted
    }
    entropy.push(Math.log(sum) - weighted / sum)
    logprob.push(row[id]! - max - Math.log(sum))
  }
  return { entropy, logprob }
}
