import type { AnalysisTrace } from '../../lib/analysis/analysisTrace'
import { computeTraceRhythm } from '../../lib/credit/traceRhythm'
import { type RandomStream, randomStream } from '../../lib/random/randomStream'
import type { HeadSeries, Horizon } from '../../lib/rhythm/headSeries'

/** 3 layers of 4 heads: heads 0 and 1 are local, 2 and 3 global, head 1 of every layer is the receiver head of its layer. */
export const LAYERS = 3
export const HEADS = 4
export const HORIZONS: Horizon[] = [
  [0, null],
  [10, 100],
]

export interface Planted {
  id: string
  /** One value a response token. */
  waad: readonly number[]
  fai: readonly number[]
  receiver: readonly number[]
  entropy: readonly number[]
  /** Texts of the response tokens. */
  texts?: readonly string[]
  problem?: string
  correct?: boolean | null
  truncated?: boolean | null
  /** WAAD for W = 5 and FAI for horizon 10-100, if other than the above. */
  otherWaad?: readonly number[]
  otherFai?: readonly number[]
  /** By layer instead of `waad`, for the layer thirds. */
  waadOfLayer?: readonly (readonly number[])[]
}

export const PROMPT = 3

/** A series at 1, and 5 at the peaks. */
export function spikes(length: number, at: readonly number[]): number[] {
  return Array.from({ length }, (_, t) => (at.includes(t) ? 5 : 1))
}

/** A stored trace whose WAAD, FAI and receiver FAI are the given series, as any forward pass would have stored them. */
export function plantedTrace(planted: Planted): AnalysisTrace {
  const { id, entropy, texts, problem, correct, truncated } = planted
  const length = entropy.length
  const perHead = (of: (layer: number, head: number) => readonly number[]) =>
    Float32Array.from(
      Array.from({ length: LAYERS * HEADS }, (_, i) => of(Math.floor(i / HEADS), i % HEADS)).flatMap((v) => [...v]),
    )
  const constant = (value: number) => new Array<number>(length).fill(value)
  const local = (series: readonly number[], layer: number, head: number) =>
    head < 2 ? (planted.waadOfLayer?.[layer] ?? series) : constant(7)
  const influence = (series: readonly number[], head: number) =>
    head >= 2 ? series : head === 1 ? planted.receiver : constant(0.5)
  const inbound = (head: number) =>
    Array.from({ length }, (_, t) => (head === 1 ? (t === 1 ? 1 : 0) : t % 2 === 0 ? 0.1 : 0.2))
  const series: HeadSeries = {
    layers: Array.from({ length: LAYERS }, (_, layer) => layer),
    heads: HEADS,
    promptLength: PROMPT,
    responseLength: length,
    span: Float32Array.from({ length: LAYERS * HEADS }, (_, i) => (i % HEADS < 2 ? 1 : 50)),
    lookback: perHead(() => constant(1)),
    waad: [
      { window: 5, values: perHead((layer, head) => local(planted.otherWaad ?? planted.waad, layer, head)) },
      { window: 10, values: perHead((layer, head) => local(planted.waad, layer, head)) },
    ],
    fai: [
      { horizon: HORIZONS[0]!, values: perHead((_, head) => influence(planted.fai, head)) },
      { horizon: HORIZONS[1]!, values: perHead((_, head) => influence(planted.otherFai ?? planted.fai, head)) },
    ],
    inbound: perHead((_, head) => inbound(head)),
  }
  const ids = Array.from({ length: PROMPT + length }, (_, i) => i)
  const record = computeTraceRhythm({
    ids,
    promptLength: PROMPT,
    entropy,
    logprob: constant(-1),
    series,
    options: { strategies: [] },
  })
  if (texts) record.tokens = ['a', ' b', '\n', ...texts]
  return { id, record, series, problem, correct, truncated }
}

/** `count` positions of `1..length - 2`, no two adjacent, ascending. */
export function separatePositions(random: RandomStream, length: number, count: number): number[] {
  const free = length - 2 - (count - 1)
  return random
    .permutation(free)
    .slice(0, count)
    .sort((a, b) => a - b)
    .map((position, i) => 1 + position + i)
}

/**
 * Random traces in which the planted effect is all there is: peaks anywhere, and entropy that is `1 + effect` on average
 * at WAAD peaks and 1 elsewhere, uniform within 0.5 of it.
 */
export function randomTraces(seed: number, count: number, effect: number, length = 80): AnalysisTrace[] {
  return Array.from({ length: count }, (_, i) => {
    const random = randomStream(seed, i)
    const [waad, fai, receiver] = [0, 1, 2].map(() => separatePositions(random, length, 12)) as [
      number[],
      number[],
      number[],
    ]
    const entropy = Array.from({ length }, (_, t) => 1 + (waad.includes(t) ? effect : 0) + random.uniform() - 0.5)
    return plantedTrace({
      id: `trace-${i}`,
      waad: spikes(length, waad),
      fai: spikes(length, fai),
      receiver: spikes(length, receiver),
      entropy,
    })
  })
}

/** `|actual - expected|` within `tolerance`, with both in the message. */
export function near(actual: number | null | undefined, expected: number, tolerance = 1e-9): void {
  if (typeof actual !== 'number' || !(Math.abs(actual - expected) <= tolerance))
    throw new Error(`${actual} is not within ${tolerance} of ${expected}`)
}
