import { deviceReport } from '../../engine/tensorflow'
import { type ForwardSizes, forwardSizes, GPU_FORWARD_SIZES } from '../../model/forwardSizes'

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
  /** Of passes without gradients. */
  forward: ForwardSizes
}

/** A block of attention stays in the processor's cache. */
const CPU: Omit<BlockSizes, 'forward'> = {
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
  forward: GPU_FORWARD_SIZES,
}

/** What suits the device at hand, with changes. */
export const blockSizes = (changes: Partial<BlockSizes> = {}): BlockSizes => ({
  ...(deviceReport().device === 'GPU' ? GPU_BLOCK_SIZES : { ...CPU, forward: forwardSizes() }),
  ...changes,
})
