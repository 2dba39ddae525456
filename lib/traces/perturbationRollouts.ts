import { pacer } from '../engine/cooperate'
import { indexTensor, reshape, take } from '../engine/ops'
import { Scope } from '../engine/scope'
import { execute, tf } from '../engine/tensorflow'
import { KeyValueCache } from '../model/cache'
import { decodeStep, forward, logits } from '../model/decoder'
import type { LanguageModel } from '../model/languageModel'
import { LeavingRule } from '../model/leavingRule'
import type { PerturbedPosition } from './perturbationPositions'
import type { TokenSequence } from './traceResponse'

/** A greedy continuation after one token. */
export interface Continuation {
  token: number
  /** The token's own text. */
  tokenText: string
  /** Ids after the token, with the stop token if one ended it. */
  ids: number[]
  /** Text of the ids, without special tokens. */
  text: string
}

/** What follows each candidate at one position. */
export interface PerturbedRollouts extends PerturbedPosition {
  /** After the token that the response has there. */
  reference: Continuation
  /** After each of the top-k candidates but that token, likeliest first. `logprob` in nats, temperature 1. */
  alternatives: (Continuation & { logprob: number })[]
}

export interface RolloutOptions {
  /** How many of the likeliest tokens are candidates. Default 5. */
  candidates?: number
  /** Tokens of a roll-out after the forced one. Default 48. */
  tokens?: number
  /** Roll-outs written together; limits memory. Default 64. */
  rowsAtOnce?: number
  signal?: AbortSignal
  onProgress?: (done: number, total: number, note?: string) => void
}

interface Row {
  place: PerturbedPosition
  token: number
  /** Null for the response's own token. */
  logprob: number | null
  ids: number[]
  ended: boolean
}

/**
 * Forces candidates at positions of a response and continues greedily (Table 1). Prompt and response are read once into a key-value
 * cache, of which each roll-out gets its prefix; nothing is copied at a step.
 * Throws if a position has no room for its roll-outs in the model's context, and `Interrupted`.
 */
export async function perturbationRollouts(
  model: LanguageModel,
  { ids, promptLength }: TokenSequence,
  places: readonly PerturbedPosition[],
  options: RolloutOptions = {},
): Promise<PerturbedRollouts[]> {
  const { candidates = 5, tokens = 48, rowsAtOnce = 64 } = options
  for (const [name, value] of Object.entries({ candidates, tokens, rowsAtOnce })) {
    if (!(Number.isInteger(value) && value > 0))
      throw new RangeError(`${name} ${value}; expected a whole number above 0`)
  }
  for (const { position } of places) {
    const end = promptLength + position + 1 + tokens
    if (!(Number.isInteger(position) && position >= 0 && promptLength + position < ids.length))
      throw new RangeError(`perturbed position ${position}; the response has tokens 0-${ids.length - promptLength - 1}`)
    if (end > model.config.maxPositionEmbeddings)
      throw new RangeError(
        `a roll-out of ${tokens} tokens from position ${position} ends at token ${end}, the model's context is ${model.config.maxPositionEmbeddings}`,
      )
  }
  // Neighbours in length go together: attention is computed over the longest of a batch.
  const order = [...places].sort((a, b) => a.position - b.position)
  const placesAtOnce = Math.max(1, Math.floor(rowsAtOnce / (candidates + 1)))
  const found = new Map<PerturbedPosition, PerturbedRollouts>()
  for (let start = 0; start < order.length; start += placesAtOnce) {
    const part = order.slice(start, start + placesAtOnce)
    const rows = await rollOut(model, ids, promptLength, part, { ...options, candidates, tokens }, (step) =>
      options.onProgress?.(start + (part.length * step) / tokens, order.length, 'positions'),
    )
    for (const place of part) {
      const own = rows.filter((row) => row.place === place)
      found.set(place, {
        ...place,
        reference: continuation(model, own[0]!),
        alternatives: own.slice(1).map((row) => ({ ...continuation(model, row), logprob: row.logprob! })),
      })
    }
  }
  return places.map((place) => found.get(place)!)
}

async function rollOut(
  model: LanguageModel,
  ids: readonly number[],
  promptLength: number,
  places: readonly PerturbedPosition[],
  { candidates, tokens, signal }: RolloutOptions & { candidates: number; tokens: number },
  onStep: (step: number) => void,
): Promise<Row[]> {
  const pause = pacer(signal)
  const cuts = places.map(({ position }) => promptLength + position)
  const prefix = ids.slice(0, Math.max(...cuts))
  const cache = new KeyValueCache(model.config, [prefix.length])
  const scope = new Scope()
  try {
    const states = scope.keep(await forward(model, [prefix], { cache, signal }))
    const likeliest = likeliestAfter(model, states, cuts, candidates)
    scope.release(states)
    const rows = places.flatMap((place, i): Row[] => {
      const own = ids[promptLength + place.position]!
      const others = likeliest[i]!.filter(({ token }) => token !== own)
      return [{ token: own, logprob: null }, ...others].map((row) => ({ place, ...row, ids: [], ended: false }))
    })
    cache.select(
      rows.map(() => 0),
      rows.map(({ place }) => promptLength + place.position),
    )
    const stops = new Set(model.config.eosTokenIds)
    for (const row of rows) row.ended = stops.has(row.token)
    let active = rows
    let next = active.map(({ token }) => token)
    const leaving = new LeavingRule()
    for (let step = 1; step <= tokens; step++) {
      const going = active.flatMap((row, i) => (row.ended ? [] : [i]))
      if (going.length === 0) break
      if (leaving.isDue(active.length - going.length, going.length)) {
        cache.select(going)
        active = going.map((i) => active[i]!)
        next = going.map((i) => next[i]!)
      }
      next = tf.tidy(() => Array.from(tf.argMax(logits(model, decodeStep(model, next, cache)), 1).dataSync()))
      for (const [i, row] of active.entries()) {
        if (row.ended) continue
        row.ids.push(next[i]!)
        row.ended = stops.has(next[i]!)
      }
      onStep(step)
      await pause()
    }
    return rows
  } finally {
    cache.dispose()
    scope.end()
  }
}

/** For each cut, the likeliest tokens at that position with their log-probabilities, from states `[1, N, hidden]`. */
function likeliestAfter(
  model: LanguageModel,
  states: tf.Tensor3D,
  cuts: readonly number[],
  count: number,
): { token: number; logprob: number }[][] {
  return tf.tidy(() => {
    const rows = indexTensor(cuts.map((cut) => cut - 1))
    const before = take(reshape(states, [-1, states.shape[2]]), rows) as tf.Tensor2D
    const k = Math.min(count, model.config.vocabSize)
    const { values, indices } = tf.topk(execute('LogSoftmax', [logits(model, before)]), k)
    const [logprobs, tokens] = [values.dataSync(), indices.dataSync()]
    return cuts.map((_, i) =>
      Array.from({ length: k }, (_, j) => ({ token: tokens[i * k + j]!, logprob: logprobs[i * k + j]! })),
    )
  })
}

function continuation(model: LanguageModel, { token, ids }: Row): Continuation {
  const text = (some: readonly number[]) =>
    model.tokenizer ? model.tokenizer.decode(some, { skipSpecialTokens: true }) : some.join(' ')
  return { token, tokenText: text([token]), ids, text: text(ids) }
}
