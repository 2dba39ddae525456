import { KeyValueCache } from '../../model/cache'
import type { ModelConfig } from '../../model/config'
import type { ForwardSizes } from '../../model/forwardSizes'
import { mostEntering } from '../../model/generate'
import { inBlocks, most, type Part, type Parts, together } from './parts'

/**
 * What a forward pass over `sequences` of `length` tokens takes beside weights and cache at its most demanding moment: the
 * projections of a layer, with what the norm and the rotary embedding leave behind, a block of attention, the MLP, or rows of logits. An estimate.
 */
export function forwardPart(model: ModelConfig, sequences: number, length: number, sizes: ForwardSizes): Part {
  const { hiddenSize, intermediateSize, numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = model
  const tokens = sequences * length
  const heads = (H + 2 * K) * D
  const rotated = (model.queryKeyNorm ? 8 : 5) * (H + K) * D
  const block = Math.min(sizes.attentionNumbers, sequences * H * length ** 2)
  const projections = tokens * (4 * hiddenSize + 3 * heads + rotated)
  const attention = tokens * (hiddenSize + 2 * heads) + ATTENTION_COPIES * block
  const mlp = tokens * 2 * hiddenSize + Math.min(tokens, sizes.mlpRows) * 4 * (hiddenSize + intermediateSize)
  const logits = tokens * hiddenSize + LOGIT_COPIES * Math.min(sizes.logitRows, length) * model.vocabSize
  return inBlocks(4 * Math.max(projections, attention, mlp, logits), 4 * tokens * heads)
}

/** Scores, masked scores and probabilities, and what observers make of them; logits, their logarithms and products. */
const ATTENTION_COPIES = 6
const LOGIT_COPIES = 4

/** What is written together. */
export interface Writing {
  /** Responses. */
  batch: number
  /** Prompts that differ: equal ones are read once. */
  distinct: number
  /** Tokens of a prompt, and of a response at most. */
  prompt: number
  response: number
  /** Whether others wait for a place. */
  someWait: boolean
}

/** Writing responses, beside weights, at the most demanding moment: when the prompts have been read, when others begin beside a whole cache, and at the last token. */
export function decodingParts(
  model: ModelConfig,
  { batch, distinct, prompt, response, someWait }: Writing,
  sizes: ForwardSizes,
): Parts {
  const { numHiddenLayers: L, hiddenSize, intermediateSize, numAttentionHeads: H, numKeyValueHeads: K } = model
  const cacheOf = (sequences: number, tokens: number) => {
    const bytes = KeyValueCache.bytes(model, sequences, tokens)
    return inBlocks(bytes, bytes / (2 * L))
  }
  const prompts = Math.min(batch, distinct)
  // A complete response keeps its place, with its last token's, while others go on.
  const cache = cacheOf(batch, prompt + (someWait ? response : Math.max(1, response - 1)))
  // A layer's cache is copied when responses leave the batch or it grows.
  const copied = cache.bytes / (2 * L)
  const step = 4 * batch * (6 * hiddenSize + 4 * intermediateSize + 6 * (H + K) * model.headDim)
  const logits = 4 * batch * model.vocabSize
  const entering = mostEntering(batch)
  const entered = forwardPart(model, entering, prompt, sizes)
  return most([
    { cache: cacheOf(prompts, prompt + 1), working: forwardPart(model, prompts, prompt, sizes) },
    {
      cache,
      working: { bytes: step + copied, large: inBlocks(copied, copied).large },
      logits: inBlocks(LOGIT_COPIES * logits, logits),
    },
    ...(someWait ? [{ cache: together(cache, cacheOf(entering, prompt + 1)), working: entered }] : []),
  ])
}
