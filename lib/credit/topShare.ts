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
  const tokens: { index: number; value: number }[] = []
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!
    if (value === null || valid?.[index] === false) continue
    if (Number.isNaN(value)) throw new InvalidArgument(`value of token ${index} is NaN: mark undefined tokens invalid`)
    tokens.push({ index, value })
  }
  // Stable sort over ascending positions: ties stay with the earlier token.
  tokens.sort(end === 'top' ? (a, b) => b.value - a.value : (a, b) => a.value - b.value)
  return tokens
    .slice(0, shareCount(share, tokens.length))
    .map((token) => token.index)
    .sort((a, b) => a - b)
}
