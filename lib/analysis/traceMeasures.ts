import { couple } from '../credit/coupling'
import { DEFAULT_CREDIT } from '../credit/creditOptions'
import { responseRhythm } from '../credit/traceRhythm'
import { groupMean } from '../rhythm/headGroups'
import { faiSeries, horizonName, waadSeries } from '../rhythm/headSeries'
import { InvalidArgument } from '../rhythm/invalidArgument'
import { resolveLayers } from '../rhythm/layerRange'
import { receiverCount } from '../rhythm/receiverHeads'
import { faiValidity } from '../rhythm/tokenSeries'
import type { AnalysisTrace } from './analysisTrace'
import { type MeasureHeads, ownHeads, seriesFor } from './calibrateHeads'
import type { MeasureOptions } from './measureOptions'
import { type TokenClassFunction, textTokenClass } from './tokenClass'

/** What the analyses need of a trace whatever the options: small arrays over the response, index 0 = its first token. */
export interface TokenFacts {
  id: string
  /** Id of the problem; the trace's own where none is given. */
  problem: string
  correct: boolean | null
  truncated: boolean | null
  /** Response tokens R. */
  tokens: number
  /** Nats, of the distribution that produced the token. */
  entropy: readonly number[]
  /** Class of each token, null where it has none. */
  classes: readonly (string | null)[]
  /** Anchors (Eq. 16) and introducers (Eq. 18) of the `rl` block, with its WAAD and FAI. */
  rl: {
    anchors: readonly number[]
    introducers: readonly number[]
    waad: readonly number[]
    fai: readonly number[]
    faiValid: readonly boolean[]
  }
}

/** WAAD, FAI and receiver FAI of one trace for one choice of options: all that is kept of it. */
export interface TraceMeasures extends TokenFacts {
  options: MeasureOptions
  layers: readonly number[]
  heads: MeasureHeads
  /** Tokens (Eq. 9). */
  waad: readonly number[]
  /** Eq. 10, 0 where undefined. */
  fai: readonly number[]
  /** FAI through the receiver heads; null where no head has a kurtosis (a response of one or two tokens). */
  receiverFai: readonly number[] | null
  /** Where FAI and receiver FAI are defined: the first tokens of the response, all of them when Hlo is 0. */
  valid: readonly boolean[]
}

/** The parts of a trace's measures that no options change. */
export function tokenFacts(trace: AnalysisTrace, tokenClass: TokenClassFunction = textTokenClass): TokenFacts {
  const { id, record, problem, correct, truncated } = trace
  const { ids, promptLength, entropy, rl } = record
  const tokens = record.tokens ?? null
  if (tokens && tokens.length !== ids.length)
    throw new InvalidArgument(`trace ${id} has ${tokens.length} token texts for ${ids.length} ids`)
  const { anchors, introducers } = couple(responseRhythm(rl, entropy), record.options?.credit ?? DEFAULT_CREDIT)
  return {
    id,
    problem: problem ?? id,
    correct: correct ?? null,
    truncated: truncated ?? null,
    tokens: ids.length - promptLength,
    entropy,
    classes: Array.from(entropy, (_, t) => {
      const position = promptLength + t
      return tokenClass({ text: tokens?.[position] ?? null, id: ids[position]!, position, tokens })
    }),
    rl: { anchors, introducers, waad: rl.waad, fai: rl.fai, faiValid: rl.faiValid },
  }
}

/**
 * WAAD, FAI and receiver FAI of one stored trace for any layers, window, horizon and heads whose series it holds. Nothing
 * of the result refers to the series, so they can be let go.
 * @param heads instead of the trace's own, e.g. calibrated over a set of traces
 * @param facts if they are at hand (many options of one trace share them)
 */
export function traceMeasures(
  trace: AnalysisTrace,
  options: MeasureOptions,
  heads?: MeasureHeads,
  facts: TokenFacts = tokenFacts(trace),
): TraceMeasures {
  if (options.heads === 'calibrated' && !heads)
    throw new InvalidArgument(
      "heads: 'calibrated' needs heads that were calibrated over traces: use measureTraces, or give them",
    )
  if (!trace.series && !trace.withoutSink && !heads) return recordedMeasures(trace, options, facts)
  const series = seriesFor(trace, options)
  if (series.responseLength !== facts.tokens)
    throw new InvalidArgument(
      `trace ${trace.id} has head series of ${series.responseLength} response tokens and a record of ${facts.tokens}: they belong to different traces`,
    )
  const chosen = heads ?? ownHeads(series, options)
  const fai = faiSeries(series, options.horizon)
  return {
    ...facts,
    options,
    layers: resolveLayers(options.layers, series.layers.length),
    heads: chosen,
    waad: groupMean(series, waadSeries(series, options.window), chosen.local),
    fai: groupMean(series, fai, chosen.global),
    receiverFai: chosen.receiver.length === 0 ? null : groupMean(series, fai, chosen.receiver),
    valid: faiValidity(facts.tokens, options.horizon),
  }
}

/** The measures that a record holds itself, if they are those of the options. */
function recordedMeasures(trace: AnalysisTrace, options: MeasureOptions, facts: TokenFacts): TraceMeasures {
  const { analysis, receiver, spans, options: made } = trace.record
  const layers = resolveLayers(options.layers, spans.length)
  const defaultCount = receiverCount(
    options.receiverVariant,
    layers.reduce((sum, layer) => sum + spans[layer]!.length, 0),
  )
  const sentences = receiver.variant === 'sentence'
  const given = [
    ['layers', layers.join(), analysis.layers.join()],
    ['window', options.window, analysis.window],
    ['horizon', horizonName(options.horizon), horizonName(analysis.horizon)],
    ['headShare', options.headShare, made?.analysis.headShare ?? 0.3],
    ['headChoice', options.headChoice, made?.analysis.headChoice ?? 'targeted'],
    ['receiverVariant', options.receiverVariant, receiver.variant],
    // A record without options has the defaults, as the format says.
    ['receiverCount', options.receiverCount ?? defaultCount, made?.receiver.count ?? defaultCount],
    ['receiver layers', layers.join(), resolveLayers(made?.receiver.layers ?? 'all', spans.length).join()],
    ['receiver horizon', horizonName(options.horizon), horizonName(made?.receiver.horizon ?? [0, null])],
    ['sentenceGap', sentences ? options.sentenceGap : 0, sentences ? (made?.receiver.sentenceGap ?? 4) : 0],
    ['excludeSink', options.excludeSink, made?.excludeSink ?? false],
  ] as const
  for (const [name, asked, recorded] of given)
    if (asked !== recorded)
      throw new InvalidArgument(
        `trace ${trace.id} has no head series and its record has ${name} ${recorded}, not ${asked}: trace it again to have other options`,
      )
  const receiverFai = receiver.fai.filter((value): value is number => value !== null)
  return {
    ...facts,
    options,
    layers,
    heads: { local: analysis.localHeads, global: analysis.globalHeads, receiver: receiver.heads },
    waad: analysis.waad,
    fai: analysis.fai,
    receiverFai: receiverFai.length === facts.tokens ? receiverFai : null,
    valid: analysis.faiValid,
  }
}
