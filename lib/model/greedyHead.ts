import { bfloat16Product, toBfloat16 } from '../engine/bfloat16'
import { batchMatMul, indexTensor, reshape, take } from '../engine/ops'
import { deviceReport, tf } from '../engine/tensorflow'
import type { ModelConfig } from './config'
import { type Decoder, logits } from './decoder'
import { likeliestTokens } from './sampling'

/** Tokens of each row whose exact logits are compared. */
export const CANDIDATES = 32
/** A logit from bfloat16 is taken to be at most this share of the row's largest candidate away from the exact one: several times what is seen. */
export const UNCERTAINTY = 1 / 16
/** Of fewer tokens the whole product is as fast. */
const FEWEST_TOKENS = 4096

/**
 * Greedy decoding in half the time that a head in float32 takes to be read: logits of all tokens from a copy in bfloat16 name the likeliest few, whose logits in
 * float32 decide. Where the last of these is too close to the best for the others to be left out, all are computed in float32. Whoever makes one disposes of it.
 */
export class GreedyHead {
  private readonly narrow: tf.Tensor

  /** Bytes of one on a CPU, beside a decoder with bfloat16 products. */
  static bytes({ vocabSize, hiddenSize }: ModelConfig): number {
    return vocabSize < FEWEST_TOKENS ? 0 : 2 * vocabSize * hiddenSize
  }

  /** One for a decoder with bfloat16 products on a CPU, whose time the reading of weights is; else null. */
  static of(decoder: Decoder): GreedyHead | null {
    const isNarrow = Boolean(decoder.weights.layers[0]?.products)
    const helps = deviceReport().device === 'CPU' && isNarrow && GreedyHead.bytes(decoder.config) > 0
    return helps ? new GreedyHead(decoder) : null
  }

  constructor(private readonly decoder: Decoder) {
    this.narrow = tf.keep(toBfloat16(decoder.weights.head))
  }

  /** The likeliest next token after each row of `states [rows, hidden]`. Throws if a row's logits are not finite. */
  tokens(states: tf.Tensor2D): number[] {
    const { head } = this.decoder.weights
    const [rows, hidden] = states.shape
    const K = Math.min(CANDIDATES, head.shape[0])
    const { ids, near, exact } = tf.tidy(() => {
      const top = tf.topk(bfloat16Product(states, this.narrow, { transposeB: true }), K)
      const candidates = reshape(take(head, reshape(top.indices, [rows * K])), [rows, K, hidden])
      const products = batchMatMul(candidates, reshape(states, [rows, hidden, 1]))
      return { ids: top.indices.dataSync(), near: top.values.dataSync(), exact: products.dataSync() }
    })
    const unsure: number[] = []
    const tokens = Array.from({ length: rows }, (_, row) => {
      let best = row * K
      for (let at = row * K + 1; at < (row + 1) * K; at++)
        if (exact[at]! > exact[best]! || (exact[at] === exact[best] && ids[at]! < ids[best]!)) best = at
      const [first, last] = [near[row * K]!, near[(row + 1) * K - 1]!]
      const error = UNCERTAINTY * Math.max(Math.abs(first), Math.abs(last))
      // Not so either where a number is not finite.
      const isSure = Number.isFinite(exact[best]) && (K === head.shape[0] || exact[best]! - last > error)
      if (!isSure) unsure.push(row)
      return ids[best]!
    })
    if (unsure.length === 0) return tokens
    const whole = tf.tidy(() => likeliestTokens(logits(this.decoder, take(states, indexTensor(unsure)) as tf.Tensor2D)))
    for (const [i, row] of unsure.entries()) tokens[row] = whole[i]!
    return tokens
  }

  dispose(): void {
    this.narrow.dispose()
  }
}
