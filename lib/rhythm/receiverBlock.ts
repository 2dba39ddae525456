import { groupMean } from './headGroups'
import { type AnyHeadSeries, faiSeries, type Head, type Horizon } from './headSeries'
import { peaks, peaksAtShare } from './peaks'
import {
  type KurtosisTable,
  type ReceiverVariant,
  receiverCount,
  receiverHeads,
  sentenceKurtosis,
  tokenKurtosis,
} from './receiverHeads'
import { prominenceKey, type SharePeakRecord } from './rhythmBlock'
import { faiValidity } from './tokenSeries'

export interface ReceiverBlockOptions {
  variant: ReceiverVariant
  /** How many heads; null = `min(16, ceil(heads / 4))` for `token`, 20 for `sentence`. */
  count: number | null
  /** The layers whose heads may be chosen. */
  layers: readonly number[]
  /** Horizon of the receiver heads' FAI. */
  horizon: Horizon
  /** Sentences between a sentence and the first one that counts for its score (`sentence` variant). */
  sentenceGap: number
  prominences: readonly number[]
  /** Share of tokens for the second peak mode. */
  peakShare: number
}

/** The receiver heads of a trace and the FAI through them. */
export interface ReceiverBlock {
  variant: ReceiverVariant
  /** `[layer][head]` of the observed layers; null where undefined. */
  kurtosis: KurtosisTable
  heads: Head[]
  /** Over the response; null everywhere if no head has a kurtosis (a response of one or two tokens). */
  fai: (number | null)[]
  /** Peak indices by prominence. */
  peaks: Record<string, number[]>
  /** Absent in records that other programs wrote. */
  sharePeaks?: SharePeakRecord
}

/** Receiver heads by the kurtosis of their inbound profiles, and their FAI with its peaks; or those of calibrated heads. */
export function receiverBlock(
  series: AnyHeadSeries,
  options: ReceiverBlockOptions,
  calibrated?: readonly Head[],
): ReceiverBlock {
  const { variant, layers, horizon, prominences, peakShare } = options
  const kurtosis = variant === 'token' ? tokenKurtosis(series) : sentenceKurtosis(series, options.sentenceGap)
  const candidates = kurtosis.map((row, i) => (layers.includes(series.layers[i]!) ? row : row.map(() => null)))
  const count = options.count ?? receiverCount(variant, layers.length * series.heads)
  const heads = calibrated ? [...calibrated] : receiverHeads(candidates, series.layers, count)
  const fai = heads.length > 0 ? groupMean(series, faiSeries(series, horizon), heads) : []
  const valid = faiValidity(series.responseLength, horizon)
  return {
    variant,
    kurtosis,
    heads,
    fai: heads.length > 0 ? fai : new Array<null>(series.responseLength).fill(null),
    peaks: Object.fromEntries(prominences.map((p) => [prominenceKey(p), peaks(fai, p, valid)])),
    sharePeaks: { share: peakShare, ...peaksAtShare(fai, peakShare, valid) },
  }
}
