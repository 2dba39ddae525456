import { InvalidArgument } from '../rhythm/invalidArgument'
import { shareCount } from '../rhythm/shareCount'

/**
 * TopQ (Sec. 5): the positions of exactly `ceil(share * n)` of the n valid tokens of one response, those with the largest
 * values (or the smallest, for `bottom`), ties to the earlier; ascending.
 * @param values one per token; null, or false in `valid`, where undefined
 */
export function topShare(
  values: ArrayLike<number | null>,
  share: number,
  options: { valid?: readonly boolean[]; end?: 'top' | 'bottom' } = {},
): number[] {
  const { valid, end = 'top' } = options
  // Plain loops over numbers: training asks this of every response of every step.
  const sign = end === 'top' ? 1 : -1
  const scores = new Float64Array(values.length)
  let count = 0
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!
    scores[index] = Number.NaN
    if (value === null || valid?.[index] === false) continue
    if (Number.isNaN(value)) throw new InvalidArgument(`value of token ${index} is NaN: mark undefined tokens invalid`)
    scores[index] = sign * value
    count++
  }
  const chosen = shareCount(share, count)
  if (chosen === 0) return []
  // The sort puts NaN, the undefined tokens, last.
  const cut = scores.slice().sort()[count - chosen]!
  let atCut = chosen
  for (const score of scores) if (score > cut) atCut--
  // Those at the cut itself, the earlier first, fill what those above it leave.
  const tokens: number[] = []
  for (let index = 0; index < scores.length; index++)
    if (scores[index]! > cut || (scores[index] === cut && atCut-- > 0)) tokens.push(index)
  return tokens
}
