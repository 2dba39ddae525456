import { couple } from '../credit/coupling'
import { type CreditStrategy, creditOf, type ResponseRhythm } from '../credit/creditStrategy'
import type { RhythmOptions } from '../credit/rhythmOptions'
import { groupMean, type HeadGroups, headGroups, headTurnover, meanSpans } from '../rhythm/headGroups'
import { faiSeries, type HeadSeries, spanTable, waadSeries } from '../rhythm/headSeries'
import { distanceDrop, faiValidity } from '../rhythm/tokenSeries'
import type { ScoredResponse } from './scoreResponses'

/** Rhythm and gammas of one response. */
export interface CreditedResponse {
  rhythm: ResponseRhythm
  gammas: number[]
}

export interface AssignedCredit {
  responses: CreditedResponse[]
  /** Groups formed over the mean spans of this batch. */
  groups: HeadGroups
  /** Mean of gamma over all tokens. */
  meanGamma: number
  /** Share of the anchors that are locally dominated (Eq. 18). */
  dominatedShare: number
}

/** Head groups over the mean spans of several responses (method, section 2). */
export function calibrate(series: readonly HeadSeries[], { rl }: Pick<RhythmOptions, 'rl'>): HeadGroups {
  return groupsOf(meanSpans(series.map(spanTable)), series[0]!.layers, rl)
}

/**
 * The gammas of a batch of responses. What a strategy throws, or a rhythm that cannot be computed, ends the step.
 * @param calibrated head groups for all responses; null: each response's own
 * @param seeds of the strategies' random streams, one a response
 */
export function assignCredit(
  scored: readonly ScoredResponse[],
  strategy: CreditStrategy,
  options: RhythmOptions,
  calibrated: HeadGroups | null,
  seeds: readonly number[],
): AssignedCredit {
  const series = scored.map((response, i) => {
    if (!response.series)
      throw new Error(`response ${i} has no head series: the pass ran without the rhythm's observers`)
    return response.series
  })
  let gammaSum = 0
  let tokens = 0
  let anchors = 0
  let dominated = 0
  const responses = scored.map(({ entropy }, i) => {
    const own = series[i]!
    const groups = calibrated ?? groupsOf(spanTable(own), own.layers, options.rl)
    const rhythm = responseRhythmOf(own, groups, options, entropy)
    const gammas = creditOf(strategy, rhythm, options.credit, seeds[i])
    const coupling = couple(rhythm, options.credit)
    anchors += coupling.anchors.length
    dominated += coupling.dominated.length
    tokens += gammas.length
    for (const gamma of gammas) gammaSum += gamma
    return { rhythm, gammas }
  })
  return {
    responses,
    groups: calibrate(series, options),
    meanGamma: gammaSum / tokens,
    dominatedShare: anchors === 0 ? 0 : dominated / anchors,
  }
}

/** Share of heads, of local and global groups alike, that `before` did not have. */
export function groupTurnover(before: HeadGroups, after: HeadGroups): number {
  return (headTurnover(before.local, after.local) + headTurnover(before.global, after.global)) / 2
}

function responseRhythmOf(
  series: HeadSeries,
  groups: HeadGroups,
  { rl }: Pick<RhythmOptions, 'rl'>,
  entropy: Float32Array,
): ResponseRhythm {
  const waad = groupMean(series, waadSeries(series, rl.window), groups.local)
  return {
    length: series.responseLength,
    waad,
    fai: groupMean(series, faiSeries(series, rl.horizon), groups.global),
    faiValid: faiValidity(series.responseLength, rl.horizon),
    delta: distanceDrop(waad),
    entropy,
  }
}

/** @param spans of the observed layers only, `[index][head]` */
function groupsOf(spans: number[][], layers: readonly number[], rl: RhythmOptions['rl']): HeadGroups {
  const byLayer: number[][] = []
  for (const [i, layer] of layers.entries()) byLayer[layer] = spans[i]!
  return headGroups(byLayer, { share: rl.headShare, layers, choice: rl.headChoice })
}
