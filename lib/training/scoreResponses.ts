import { HeadStatistics } from '../attention/headStatistics'
import type { RhythmOptions } from '../credit/rhythmOptions'
import { Scope } from '../engine/scope'
import { tf } from '../engine/tensorflow'
import { type Decoder, forward } from '../model/decoder'
import { type ForwardSizes, forwardSizes } from '../model/forwardSizes'
import { tokenStatistics } from '../model/tokenStatistics'
import type { HeadSeries } from '../rhythm/headSeries'
import { resolveLayers } from '../rhythm/layerRange'

/** Prompt + response, as the policy wrote it. */
export interface WrittenSequence {
  ids: readonly number[]
  promptLength: number
}

/** What one teacher-forced pass says about a response. Per response token, nats. */
export interface ScoredResponse {
  /** Log-probability at the sampling temperature: what ratios are taken of. */
  logprob: Float32Array
  /** Entropy at temperature 1 (method, section 3). */
  entropy: Float32Array
  /** Of the layers that credit looks at; null where no rhythm was asked for. */
  series: HeadSeries | null
}

export interface ScoreOptions {
  /** Sequences that go through the decoder together. */
  batch: number
  /** Sampling temperature. Default 1. */
  temperature?: number
  /** Observe attention for these options' `rl` block. Null: no observer. */
  rhythm: Pick<RhythmOptions, 'rl' | 'excludeSink'> | null
  /** How much is computed at a time. Default: what suits the device. */
  sizes?: Partial<ForwardSizes>
  signal?: AbortSignal
}

/**
 * Log-probabilities, entropy and head series of responses: the pass of the old policy, on which the observers of the rhythm
 * ride; both are nearer to float32's than an update's own in bfloat16, from which the log-probabilities differ no more than a pass in bfloat16
 * would. Sequences of similar length go together, on a GPU so many as its block sizes say; results are in the order given.
 */
export async function scoreResponses(
  decoder: Decoder,
  sequences: readonly WrittenSequence[],
  options: ScoreOptions,
): Promise<ScoredResponse[]> {
  const { batch, temperature = 1, rhythm, signal } = options
  const sizes = forwardSizes(options.sizes)
  const results = new Array<ScoredResponse>(sequences.length)
  const lengths = sequences.map(({ ids }) => ids.length)
  for (const part of byLength(lengths, batch).flatMap((part) => scoredTogether(part, lengths, sizes))) {
    const ids = part.map((i) => sequences[i]!.ids)
    const promptLengths = part.map((i) => sequences[i]!.promptLength)
    const statistics =
      rhythm &&
      new HeadStatistics({
        promptLengths,
        layers: resolveLayers(rhythm.rl.layers, decoder.config.numHiddenLayers),
        windows: [rhythm.rl.window],
        horizons: [rhythm.rl.horizon],
        excludeSink: rhythm.excludeSink,
        lookback: false,
        inbound: false,
      })
    const scope = new Scope()
    try {
      const states = scope.keep(
        await forward(decoder, ids, { observers: statistics ? [statistics] : [], exactMlp: true, sizes, signal }),
      )
      const untempered = await tokenStatistics(decoder, states, ids, promptLengths, { sizes, signal })
      // Dividing states divides logits.
      const tempered =
        temperature === 1
          ? untempered
          : await tokenStatistics(decoder, scope.keep(tf.div(states, temperature)), ids, promptLengths, {
              sizes,
              signal,
            })
      const series = statistics?.results()
      for (const [k, i] of part.entries())
        results[i] = {
          logprob: tempered[k]!.logprob,
          entropy: untempered[k]!.entropy,
          series: series?.[k] ?? null,
        }
    } finally {
      scope.end()
    }
  }
  return results
}

/** A part of similar lengths, longest first, cut where its padded tokens would be more than are scored together. */
export function scoredTogether(
  part: readonly number[],
  lengths: readonly number[],
  { scoredTokens }: Pick<ForwardSizes, 'scoredTokens'>,
): number[][] {
  const pieces: number[][] = []
  for (let from = 0; from < part.length; ) {
    const most = scoredTokens === null ? part.length : Math.max(1, Math.floor(scoredTokens / lengths[part[from]!]!))
    pieces.push(part.slice(from, from + most))
    from += most
  }
  return pieces
}

/** Indices in parts of at most `size`, such that a part holds similar lengths; longest first, ties in the order given. */
export function byLength(lengths: readonly number[], size: number): number[][] {
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b)
  return Array.from({ length: Math.ceil(order.length / size) }, (_, k) => order.slice(k * size, (k + 1) * size))
}
