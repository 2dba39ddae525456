import type { Precision } from '../../engine/precision'
import type { ModelConfig } from '../../model/config'
import { queryRows } from '../../model/forwardSizes'
import type { BlockSizes } from './blockSizes'

/** Sequences that go through the layers together, padded to one length. */
export interface ActivationShape {
  sequences: number
  /** Tokens read of each. */
  length: number
  /** Response tokens of all of them. */
  predicted: number
}

/** Bytes that a gradient takes beside weights and gradients. */
export interface ActivationBytes {
  /** What the forward pass of all groups keeps for the way back. */
  kept: number
  /** What the way back through one layer, or the head, of one group takes beside that, where it is largest. An estimate. */
  working: number
}

/**
 * Activations, float32 but for gate and up in bfloat16 where products without adapters are, of a batch in `accumulateGradients`, which cuts it into `groups` of at most `sizes.groupTokens` tokens. `kept`
 * follows number by number from what is kept; `working` from measured peaks of the process (within about a fifth).
 */
export function activationBytes(
  config: ModelConfig,
  groups: readonly ActivationShape[],
  sizes: BlockSizes,
  recompute: boolean,
  precision: Precision = 'float32',
  lora = false,
): ActivationBytes {
  const { hiddenSize, intermediateSize, numHiddenLayers: L, numAttentionHeads: H, numKeyValueHeads: K } = config
  const { headDim: D, vocabSize, queryKeyNorm } = config
  const predicted = groups.reduce((sum, group) => sum + group.predicted, 0)
  const keepLogits = predicted * vocabSize <= sizes.keptLogitNumbers
  const tables = new Map<string, number>()
  // Gate and up: bfloat16 is half a number of float32.
  const inner = precision === 'bf16' && !lora ? intermediateSize : 2 * intermediateSize
  let kept = 0
  let working = 0
  for (const { sequences: B, length: N, predicted } of groups) {
    const T = B * N
    const rows = queryRows(sizes, B * H * N)
    const layer =
      // Queries, keys, values and what was read; queries and keys before their norms; the MLP's input, gate and up; patterns.
      T * ((2 * H + 2 * K) * D + (queryKeyNorm ? (H + K) * D : 0) + hiddenSize + inner) +
      (patternsAreSmall(config, N) ? B * H * patternNumbers(N, rows) : 0)
    kept += L * (T * hiddenSize + (recompute ? 0 : layer)) + predicted * (hiddenSize + (keepLogits ? vocabSize : 0))
    // Turns of queries and keys, there and back, and the mask.
    tables.set(`${N},${rows}`, 2 * N * (H + K) * D + rows * (N + rows))
    const wide = Math.max(
      WORKING.mlp * intermediateSize,
      (queryKeyNorm ? WORKING.normedHeads : WORKING.heads) * (H + K) * D,
    )
    const back =
      (recompute ? layer : 0) + T * (WORKING.hidden * hiddenSize + wide) + WORKING.patterns * B * H * rows * N
    const logits =
      WORKING.logits * Math.min(predicted * vocabSize, Math.max(vocabSize, sizes.logitNumbers)) +
      // The head in bfloat16, on the way back.
      (precision === 'bf16' ? (vocabSize * hiddenSize) / 2 : 0)
    working = Math.max(working, back, logits)
  }
  for (const numbers of tables.values()) kept += numbers
  return { kept: 4 * kept, working: 4 * working }
}

/** Copies of a group's states, of the MLP's inner states, of queries and keys, of one block of attention, of one chunk of logits. */
const WORKING = { hidden: 5, mlp: 10, heads: 10, normedHeads: 16, patterns: 4, logits: 3 }

/** Whether a token's patterns take no more memory than the rest that is kept of it. */
export function patternsAreSmall(config: ModelConfig, length: number): boolean {
  const { hiddenSize, intermediateSize, numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = config
  return (H * length) / 2 <= 2 * (hiddenSize + intermediateSize + (H + K) * D)
}

/** Numbers of one head's causal patterns in blocks of `rows`: rows times the keys up to the block's last. */
function patternNumbers(N: number, rows: number): number {
  let numbers = 0
  for (let start = 0; start < N; start += rows) {
    const here = Math.min(rows, N - start)
    numbers += here * (start + here)
  }
  return numbers
}
