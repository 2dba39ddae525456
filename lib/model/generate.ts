import { pacer } from '../engine/cooperate'
import { concat, indexTensor, reshape, take } from '../engine/ops'
import { Scope } from '../engine/scope'
import { tf } from '../engine/tensorflow'
import { type RandomStream, randomStream } from '../random/randomStream'
import { KeyValueCache } from './cache'
import { decodeStep, forward, logits } from './decoder'
import { GreedyHead } from './greedyHead'
import type { LanguageModel } from './languageModel'
import { LeavingRule } from './leavingRule'
import { checkSampling, type SamplingOptions, sampleTokens } from './sampling'
import { StreamDecoder } from './streamDecoder'

export interface GenerateOptions extends SamplingOptions {
  /** Most tokens of a response. Default 256. */
  maxNewTokens?: number
  /** Ids that end a response. Default: those that the model names. */
  stopTokens?: readonly number[]
  /** Texts that end a response; the text returned ends before the first of them. */
  stopStrings?: readonly string[]
  /** Same seed, same responses; response i of a call has a stream of its own, whatever else is in the batch. Default 0. */
  seed?: number
  /** Responses that are written together; as they are complete, the next begin in their places. Default: all. */
  batch?: number
  /** Names the stream of each prompt, a whole number; its index by default. With it a prompt's response does not depend on its place. */
  streams?: readonly number[]
  /** Called for each token as it is written. */
  onToken?: (token: GeneratedToken) => void
  /** Told of tokens of `maxNewTokens`, or, where some wait, of responses. */
  onProgress?: (done: number, total: number, note?: string) => void
  signal?: AbortSignal
}

export interface GeneratedToken {
  /** Index of the prompt in the call. */
  sequence: number
  id: number
  /** Text that this token completes: '' while a character or a possible stop string is incomplete. */
  text: string
}

export interface Generation {
  promptIds: number[]
  /** Ids of the response, with the stop token if one ended it. */
  ids: number[]
  /** Text of the response without special tokens, up to a stop string. */
  text: string
  /** Why it ended: a stop token or string, `maxNewTokens`, or the model's context. */
  stopReason: 'stop-token' | 'stop-string' | 'length' | 'context'
}

/** A response while it is written. */
class Response {
  readonly ids: number[] = []
  text = ''
  stopReason: Generation['stopReason'] | null = null
  private readonly decoder: StreamDecoder | null
  private emitted = 0

  constructor(
    private readonly model: LanguageModel,
    readonly sequence: number,
    readonly promptIds: number[],
    readonly stream: RandomStream,
    private readonly options: { stopTokens: ReadonlySet<number>; stopStrings: readonly string[]; maxNewTokens: number },
  ) {
    this.decoder = model.tokenizer && new StreamDecoder(model.tokenizer)
  }

  /** Takes the next token; returns the text that can be shown now. */
  push(id: number): string {
    const { stopTokens, stopStrings, maxNewTokens } = this.options
    this.ids.push(id)
    if (stopTokens.has(id)) this.stopReason = 'stop-token'
    else if (!this.model.tokenizer?.specialTokenIds.has(id)) this.text += this.decoder?.push(id) ?? ''
    const stops = stopStrings.map((stop) => this.text.indexOf(stop)).filter((at) => at >= 0)
    if (stops.length > 0) {
      this.stopReason = 'stop-string'
      this.text = this.text.slice(0, Math.min(...stops))
    }
    if (this.stopReason === null) {
      if (this.ids.length >= maxNewTokens) this.stopReason = 'length'
      else if (this.promptIds.length + this.ids.length >= this.model.config.maxPositionEmbeddings)
        this.stopReason = 'context'
    }
    if (this.stopReason !== null && this.stopReason !== 'stop-string') this.text += this.decoder?.end() ?? ''
    const ready = this.stopReason === null ? this.text.length - this.heldBack() : this.text.length
    const shown = this.text.slice(this.emitted, Math.max(ready, this.emitted))
    this.emitted += shown.length
    return shown
  }

  result(): Generation {
    return { promptIds: this.promptIds, ids: this.ids, text: this.text, stopReason: this.stopReason ?? 'length' }
  }

  /** Characters at the end that may be the beginning of a stop string. */
  private heldBack(): number {
    let most = 0
    for (const stop of this.options.stopStrings) {
      for (let n = Math.min(stop.length - 1, this.text.length); n > most; n--) {
        if (this.text.endsWith(stop.slice(0, n))) most = n
      }
    }
    return most
  }
}

/**
 * Writes a response to each prompt: texts (taken verbatim) or ids. Prompts may differ in length; equal ones that begin together are read
 * once. Complete responses make room for those that wait, or leave the batch. Results are in the order of the prompts.
 * Throws on options out of range, text prompts for a model without tokenizer, prompts that leave no room in the model's context,
 * and `Interrupted`.
 */
export async function generate(
  model: LanguageModel,
  prompts: readonly (string | readonly number[])[],
  options: GenerateOptions = {},
): Promise<Generation[]> {
  checkSampling(options)
  const { maxNewTokens = 256, seed = 0, stopStrings = [] } = options
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens > 0)) {
    throw new RangeError(`maxNewTokens ${maxNewTokens}; expected a whole number above 0`)
  }
  if (stopStrings.includes('')) throw new RangeError('stopStrings has an empty string; leave it out')
  if (options.batch !== undefined && !(Number.isInteger(options.batch) && options.batch > 0))
    throw new RangeError(`batch ${options.batch}; expected a whole number above 0`)
  const stopTokens = new Set(options.stopTokens ?? model.config.eosTokenIds)
  const responses = prompts.map((prompt, i) => {
    const ids = typeof prompt === 'string' ? model.encode(prompt) : [...prompt]
    if (ids.length >= model.config.maxPositionEmbeddings) {
      throw new RangeError(
        `prompt ${i} has ${ids.length} tokens, the model's context is ${model.config.maxPositionEmbeddings}: no room for a response`,
      )
    }
    return new Response(model, i, ids, randomStream(seed, options.streams?.[i] ?? i), {
      stopTokens,
      stopStrings,
      maxNewTokens,
    })
  })
  const pause = pacer(options.signal)
  const greedy = options.temperature === 0 && responses.length > 0 ? GreedyHead.of(model) : null
  const waiting = [...responses]
  const batch = options.batch ?? responses.length
  const someWait = responses.length > batch
  const total = someWait ? responses.length : maxNewTokens
  const onStep = (step: number, beingWritten: number) => {
    const done = someWait ? responses.length - waiting.length - beingWritten : Math.min(step, maxNewTokens)
    options.onProgress?.(done, total, `${beingWritten} of ${responses.length} being written`)
  }
  // Where all of a batch end together, the next begins as the first did.
  try {
    while (waiting.length > 0) {
      await writeBatch(model, waiting, batch, { ...options, greedy, onStep, pause })
      await pause()
    }
  } finally {
    greedy?.dispose()
  }
  if (responses.length > 0) options.onProgress?.(total, total, 'written')
  return responses.map((response) => response.result())
}

/** Writes the first of those that wait, and as they are complete the next in their places, until none is being written. */
async function writeBatch(
  model: LanguageModel,
  waiting: Response[],
  batch: number,
  options: GenerateOptions & {
    greedy: GreedyHead | null
    onStep: (step: number, beingWritten: number) => void
    pause: () => Promise<void>
  },
): Promise<void> {
  const { signal, pause } = options
  const scope = new Scope()
  /** Those whose keys and values the cache holds, in its order. */
  let held = waiting.splice(0, batch)
  const { cache, last: first } = await readPrompts(model, held, signal)
  try {
    let last = scope.keep(first)
    /** Indices in `held` of those that are incomplete, ascending: `last` has their states. */
    let going = [...held.keys()]
    const leaving = new LeavingRule()
    for (let step = 1; ; step++) {
      const active = going.map((i) => held[i]!)
      const tokens =
        options.greedy?.tokens(last) ??
        tf.tidy(() =>
          sampleTokens(
            logits(model, last),
            active.map((r) => r.stream),
            options,
          ),
        )
      scope.release(last)
      for (const [i, response] of active.entries()) {
        const text = response.push(tokens[i]!)
        options.onToken?.({ sequence: response.sequence, id: tokens[i]!, text })
      }
      options.onStep(step, active.length)
      going = indicesOfIncomplete(held)
      if (going.length === 0) break
      const isDue = leaving.isDue(held.length - going.length, going.length)
      if (isDue && waiting.length === 0) {
        cache.select(going)
        held = going.map((i) => held[i]!)
        going = [...held.keys()]
      }
      last = scope.keep(
        tf.tidy(() => {
          const states = decodeStep(
            model,
            held.map(({ ids }) => ids.at(-1)!),
            cache,
            going,
          )
          return going.length < held.length ? (take(states, indexTensor(going)) as tf.Tensor2D) : states
        }),
      )
      if (isDue && waiting.length > 0) {
        const free = [...held.keys()].filter((i) => !going.includes(i))
        const next = waiting.splice(0, Math.min(free.length, mostEntering(batch)))
        const places = free.slice(0, next.length)
        const entered = await readPrompts(model, next, signal)
        const beside = scope.keep(entered.last)
        cache.replaceSequences(places, entered.cache)
        for (const [k, place] of places.entries()) held[place] = next[k]!
        const unsorted = [...going, ...places]
        const order = [...unsorted.keys()].sort((a, b) => unsorted[a]! - unsorted[b]!)
        const before = last
        last = scope.keep(tf.tidy(() => take(concat([before, beside], 0), indexTensor(order)) as tf.Tensor2D))
        scope.release(before, beside)
        going = order.map((k) => unsorted[k]!)
      }
      await pause()
    }
  } finally {
    cache.dispose()
    scope.end()
  }
}

/** Responses that begin together in the places of others, at most: their prompts are read beside a whole cache. */
export const mostEntering = (batch: number): number => Math.max(1, Math.floor(batch / 4))

/** A cache that holds the prompts of these responses, and the states of their last tokens `[responses, hidden]`. The caller owns both. */
async function readPrompts(
  model: LanguageModel,
  responses: readonly Response[],
  signal: AbortSignal | undefined,
): Promise<{ cache: KeyValueCache; last: tf.Tensor2D }> {
  const distinct = new Map<string, number>()
  const prefixes: number[][] = []
  const prefixOf = responses.map(({ promptIds }) => {
    const key = promptIds.join()
    if (!distinct.has(key)) distinct.set(key, prefixes.push(promptIds) - 1)
    return distinct.get(key)!
  })
  const cache = new KeyValueCache(
    model.config,
    prefixes.map((p) => p.length),
  )
  const scope = new Scope()
  try {
    const states = scope.keep(await forward(model, prefixes, { cache, signal }))
    const [, N, hidden] = states.shape
    const last = scope.keep(
      tf.tidy(() => {
        const rows = prefixOf.map((p) => p * N + prefixes[p]!.length - 1)
        return take(reshape(states, [-1, hidden]), indexTensor(rows)) as tf.Tensor2D
      }),
    )
    scope.release(states)
    if (prefixes.length < responses.length) cache.select(prefixOf)
    return { cache, last: scope.give(last) }
  } catch (error) {
    cache.dispose()
    throw error
  } finally {
    scope.end()
  }
}

const indicesOfIncomplete = (responses: readonly Response[]) =>
  responses.flatMap(({ stopReason }, i) => (stopReason === null ? [i] : []))
