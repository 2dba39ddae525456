import type { tf } from '../engine/tensorflow'

/** Attention of a block of consecutive query positions in one layer, as an observer sees it during a forward pass. */
export interface AttentionBlock {
  /** Index of the layer, from 0. */
  layer: number
  /** Query position of the first row. */
  rowStart: number
  /**
   * Probabilities after softmax, `[batch, heads, rows, keys]`; keys are positions 0 to `keys - 1` and each row sums to 1.
   * Valid during the call only: the decoder frees it. Rows at or beyond a sequence's length are padding.
   */
  attention: tf.Tensor4D
  /** Tokens of each sequence of the batch. */
  lengths: readonly number[]
}

/** What a forward pass will show, told before its first block. */
export interface ForwardShape {
  layers: number
  heads: number
  lengths: readonly number[]
}

/**
 * Sees attention block by block and reduces it at once: nothing stores whole patterns. A user's observer is an object with
 * `observe`; tensors made inside it are freed after the call unless it calls `tf.keep`.
 */
export interface AttentionObserver {
  /** Layers that it wants to see; all if absent. */
  readonly layers?: readonly number[]
  /** Whether it needs rows `[rowStart, rowEnd)` at all; spares the call, never the computation. All if absent. */
  wants?(rowStart: number, rowEnd: number): boolean
  /** Called once, before the first block. */
  begin?(shape: ForwardShape): void
  observe(block: AttentionBlock): void
  /** Called once, after the last block or after an error or interrupt: free here what `tf.keep` holds. */
  end?(): void
}
