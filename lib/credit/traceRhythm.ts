import type { HeadGroups } from '../rhythm/headGroups'
import { type AnyHeadSeries, type Head, spanTable } from '../rhythm/headSeries'
import { InvalidArgument } from '../rhythm/invalidArgument'
import { resolveLayers } from '../rhythm/layerRange'
import { type ReceiverBlock, receiverBlock } from '../rhythm/receiverBlock'
import { type RhythmBlock, rhythmBlock } from '../rhythm/rhythmBlock'
import { couple } from './coupling'
import { creditOf, type ResponseRhythm } from './creditStrategy'
import { type BlockChoice, type RhythmOptions, type RhythmOptionsInput, rhythmOptions } from './rhythmOptions'
import { strategyNamed } from './strategies'

/** A block of a trace record: rhythm and the credit that follows from it. */
export interface CreditedBlock extends RhythmBlock {
  /** Gamma of each response token by strategy. */
  credit: Record<string, number[]>
  coupling: {
    /** Locally dominated anchors. */
    dominated: number[]
    /** The tokens that introduce them, each once, ascending. */
    introducers: number[]
    /** The introducer of each entry of `dominated`; absent in records that other programs wrote. */
    introducedBy?: number[]
  }
}

/** The rhythm of one trace: the JSON record of a trace file. Per-token arrays are over the response, index 0 = its first token. */
export interface TraceRhythm {
  /** Tokens of prompt + response. */
  ids: number[]
  promptLength: number
  /** Nats, of the distribution that produced the token (temperature 1). */
  entropy: number[]
  /** Nats. */
  logprob: number[]
  /** Mean look-back distance in tokens, `[layer][head]`. */
  spans: number[][]
  analysis: CreditedBlock
  rl: CreditedBlock
  receiver: ReceiverBlock
  /** The options that gave all of this; absent in records that other programs wrote. */
  options?: RhythmOptions
  /** The id of the input line, if it came from one. */
  id?: string
  model?: string
  /** Decoded tokens of prompt + response. */
  tokens?: string[]
}

/** Heads that were calibrated over other traces, used instead of the trace's own. */
export interface CalibratedHeads {
  analysis?: HeadGroups
  rl?: HeadGroups
  receiver?: Head[]
}

export interface TraceRhythmInput {
  /** Tokens of prompt + response, `[N]`. */
  ids: ArrayLike<number>
  promptLength: number
  /** Entropy of each response token in nats, `[R]`. */
  entropy: ArrayLike<number>
  /** Log-probability of each response token in nats, `[R]`. */
  logprob: ArrayLike<number>
  /** Head series of all layers of the model. */
  series: AnyHeadSeries
  options?: RhythmOptionsInput
  calibrated?: CalibratedHeads
}

/** Everything that sections 2, 3 and 5 of the method say about one trace, from one forward pass's head series. */
export function computeTraceRhythm(input: TraceRhythmInput): TraceRhythm {
  const { series, calibrated = {} } = input
  const options = rhythmOptions(input.options)
  checkInput(input, options)
  const entropy = finite(input.entropy, 'entropy')
  const layerCount = series.layers.length
  const block = (choice: BlockChoice, groups?: HeadGroups): CreditedBlock => {
    const { prominences, peakShares } = options
    const layers = resolveLayers(choice.layers, layerCount)
    const rhythm = rhythmBlock(series, { ...choice, layers, prominences, peakShares }, groups)
    const response = responseRhythm(rhythm, entropy)
    const { dominated, introducers, introducedBy } = couple(response, options.credit)
    const credit = Object.fromEntries(
      options.strategies.map((name) => [name, creditOf(strategyNamed(name), response, options.credit, options.seed)]),
    )
    return { ...rhythm, credit, coupling: { dominated, introducers, introducedBy } }
  }
  const { variant, count, horizon, sentenceGap } = options.receiver
  return {
    ids: Array.from(input.ids),
    promptLength: input.promptLength,
    entropy,
    logprob: finite(input.logprob, 'logprob'),
    spans: spanTable(series),
    analysis: block(options.analysis, calibrated.analysis),
    rl: block(options.rl, calibrated.rl),
    receiver: receiverBlock(
      series,
      {
        variant,
        count,
        horizon,
        sentenceGap,
        layers: resolveLayers(options.receiver.layers, layerCount),
        prominences: options.prominences,
        peakShare: options.peakShares.fai,
      },
      calibrated.receiver,
    ),
    options,
  }
}

/** What credit strategies see of a block: its series with their masks, and the entropy of the same tokens. */
export function responseRhythm(
  block: Pick<RhythmBlock, 'waad' | 'fai' | 'faiValid' | 'delta'>,
  entropy: ArrayLike<number>,
): ResponseRhythm {
  const { waad, fai, faiValid, delta } = block
  return { length: waad.length, waad, fai, faiValid, delta, entropy }
}

function checkInput({ ids, promptLength, entropy, logprob, series }: TraceRhythmInput, options: RhythmOptions): void {
  const length = ids.length - promptLength
  if (!(Number.isInteger(promptLength) && promptLength >= 1 && length >= 1))
    throw new InvalidArgument(
      `invalid prompt length ${promptLength} for ${ids.length} tokens: expected at least one prompt and one response token`,
    )
  if (series.promptLength !== promptLength || series.responseLength !== length)
    throw new InvalidArgument(
      `head series of ${series.promptLength} + ${series.responseLength} tokens for a trace of ${promptLength} + ${length}: they belong to another trace`,
    )
  for (const [name, values] of [
    ['entropy', entropy],
    ['logprob', logprob],
  ] as const)
    if (values.length !== length)
      throw new InvalidArgument(`${values.length} values of ${name} for ${length} response tokens`)
  if (series.layers.some((layer, i) => layer !== i))
    throw new InvalidArgument(
      `head series of layers ${series.layers.join(', ')}: a trace record needs all layers of the model (use rhythmBlock for some of them)`,
    )
  if (options.excludeSink !== (series.sinkExcluded ?? false))
    throw new InvalidArgument(
      `options.excludeSink is ${options.excludeSink} but the head series were gathered ${series.sinkExcluded ? 'without' : 'with'} the sink: run the forward pass as requiredSeries(options) says`,
    )
}

function finite(values: ArrayLike<number>, name: string): number[] {
  return Array.from(values, (value, t) => {
    if (!Number.isFinite(value))
      throw new InvalidArgument(`${name} of response token ${t} is ${value}: expected a finite number of nats`)
    return value
  })
}
