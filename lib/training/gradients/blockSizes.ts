import { deviceReport } from '../../engine/tensorflow'

/** How much is computed at a time. Changes speed, memory and the last bits, nothing else. */
export interface BlockSizes {
  /** Tokens, padding included, that go through the layers together. */
  groupTokens: number
  /** Attention exists for one block of query rows: under this many numbers, and */
  attentionNumbers: number
  /** at most this many rows. */
  queryRows: number
  /** Logits exist for this many numbers. */
  logitNumbers: number
  /** Of the gradients by the logits, this many numbers are kept from the forward pass at most; beyond, logits are computed twice. */
  keptLogitNumbers: number
}

/** A block of attention stays in the processor's cache. */
const CPU: BlockSizes = {
  groupTokens: 2048,
  attentionNumbers: 2 ** 20,
  queryRows: 128,
  logitNumbers: 2 ** 24,
  keptLogitNumbers: 2 ** 26,
}

/** An op has enough to do for the 10 µs that it takes to start: 256 MB of attention or logits. Reasoned, not measured. */
export const GPU_BLOCK_SIZES: BlockSizes = {
  groupTokens: 8192,
  attentionNumbers: 2 ** 26,
  queryRows: 1024,
  logitNumbers: 2 ** 26,
  keptLogitNumbers: 2 ** 28,
}

/** What suits the device at hand, with changes. */
export const blockSizes = (changes: Partial<BlockSizes> = {}): BlockSizes => ({
  ...(deviceReport().device === 'GPU' ? GPU_BLOCK_SIZES : CPU),
  ...changes,
})

/** Query rows that are computed together, for `numbersPerRow` of all sequences and heads. */
export function queryRows({ queryRows, attentionNumbers }: BlockSizes, numbersPerRow: number): number {
  let rows = queryRows
  while (rows > 1 && rows * numbersPerRow > attentionNumbers) rows /= 2
  return rows
}
