import { deviceReport } from '../engine/tensorflow'

/** How much of a forward pass is computed at a time. Changes speed, memory and the last bits, nothing else. */
export interface ForwardSizes {
  /** Attention exists for one block of query rows: under this many numbers, and */
  attentionNumbers: number
  /** at most this many rows. */
  queryRows: number
  /** Rows that go through the MLP together. */
  mlpRows: number
  /** Positions whose logits exist together. */
  logitRows: number
  /** Tokens, padding included, of responses that are scored together; null: a whole micro-batch. */
  scoredTokens: number | null
}

/** A block of attention stays in the processor's cache. */
const CPU: ForwardSizes = {
  attentionNumbers: 2 ** 22,
  queryRows: 128,
  mlpRows: 1024,
  logitRows: 128,
  scoredTokens: null,
}

/**
 * An op has enough to do for the 10 µs that it takes to start, and long responses go through alone: every block of query rows reads all keys of all
 * sequences that are with it. Reasoned, not measured.
 */
export const GPU_FORWARD_SIZES: ForwardSizes = {
  attentionNumbers: 2 ** 26,
  queryRows: 1024,
  mlpRows: 8192,
  logitRows: 512,
  scoredTokens: 8192,
}

/** What suits the device at hand, with changes. */
export function forwardSizes(changes: Partial<ForwardSizes> = {}): ForwardSizes {
  const given = Object.entries(changes).filter(([, value]) => value !== undefined)
  return { ...(deviceReport().device === 'GPU' ? GPU_FORWARD_SIZES : CPU), ...Object.fromEntries(given) }
}

/** Query rows that are computed together, for `numbersPerRow` of all sequences and heads. */
export function queryRows(
  { queryRows, attentionNumbers }: Pick<ForwardSizes, 'queryRows' | 'attentionNumbers'>,
  numbersPerRow: number,
): number {
  let rows = queryRows
  while (rows > 1 && rows * numbersPerRow > attentionNumbers) rows = Math.ceil(rows / 2)
  return rows
}
