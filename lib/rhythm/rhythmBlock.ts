import { groupMean, type HeadGroups, headGroups } from './headGroups'
import { type AnyHeadSeries, faiSeries, type Head, type Horizon, spanTable, waadSeries } from './headSeries'
import { InvalidArgument } from './invalidArgument'
import { peaks, peaksAtShare } from './peaks'
import { distanceDrop, faiValidity } from './tokenSeries'

export interface BlockOptions {
  /** The layers whose heads take part, in ascending order (see `resolveLayers`). */
  layers: readonly number[]
  /** WAAD window W in tokens. */
  window: number
  horizon: Horizon
  /** Share of heads in the local and in the global group. */
  headShare: number
  /** `all` takes every head for both groups, the paper's ablation. */
  headChoice: 'targeted' | 'all'
  /** Minimum prominences, as fractions of the series' population standard deviation. */
  prominences: readonly number[]
  /** Shares of tokens for the second peak mode. */
  peakShares: { waad: number; fai: number }
}

/** Peaks at the prominence that makes them a stated share of tokens. */
export interface SharePeakRecord {
  share: number
  /** The prominence chosen, as a fraction of the population standard deviation; null without peaks. */
  prominence: number | null
  indices: number[]
}

/** WAAD, FAI and their peaks for one choice of layers, window and horizon. Arrays are over the response. */
export interface RhythmBlock {
  layers: number[]
  window: number
  horizon: [number, number | null]
  localHeads: Head[]
  globalHeads: Head[]
  /** Windowed average attention distance of the local heads, in tokens (Eq. 9). */
  waad: number[]
  /** Future attention influence through the global heads (Eq. 10), 0 where undefined. */
  fai: number[]
  /** False where FAI is undefined. */
  faiValid: boolean[]
  /** `|WAAD_t - WAAD_{t+1}|`, null at the last token. */
  delta: (number | null)[]
  /** Peak indices by prominence, keyed as `prominenceKey` writes it. */
  peaks: Record<string, { waad: number[]; fai: number[] }>
  /** Absent in records that other programs wrote. */
  sharePeaks?: { waad: SharePeakRecord; fai: SharePeakRecord }
}

/** The key of a prominence in trace files: `0.25`, `0.5`, `1.0`. */
export function prominenceKey(prominence: number): string {
  return Number.isInteger(prominence) ? prominence.toFixed(1) : String(prominence)
}

/**
 * WAAD, FAI, distance drop and peaks from head series. The head groups are formed among `options.layers` by the series'
 * own spans, unless calibrated groups are given.
 */
export function rhythmBlock(series: AnyHeadSeries, options: BlockOptions, calibrated?: HeadGroups): RhythmBlock {
  const { window, horizon, prominences, peakShares } = options
  const groups = calibrated ?? ownGroups(series, options)
  const waad = groupMean(series, waadSeries(series, window), groups.local)
  const fai = groupMean(series, faiSeries(series, horizon), groups.global)
  const faiValid = faiValidity(series.responseLength, horizon)
  return {
    layers: [...options.layers],
    window,
    horizon: [horizon[0], horizon[1]],
    localHeads: groups.local,
    globalHeads: groups.global,
    waad,
    fai,
    faiValid,
    delta: distanceDrop(waad),
    peaks: Object.fromEntries(
      prominences.map((p) => [prominenceKey(p), { waad: peaks(waad, p), fai: peaks(fai, p, faiValid) }]),
    ),
    sharePeaks: {
      waad: { share: peakShares.waad, ...peaksAtShare(waad, peakShares.waad) },
      fai: { share: peakShares.fai, ...peaksAtShare(fai, peakShares.fai, faiValid) },
    },
  }
}

function ownGroups(series: AnyHeadSeries, options: BlockOptions): HeadGroups {
  const observed = spanTable(series)
  const spans: number[][] = []
  for (const layer of options.layers) {
    const index = series.layers.indexOf(layer)
    if (index < 0)
      throw new InvalidArgument(
        `layer ${layer} was not observed: these head series have layers ${series.layers.join(', ')}`,
      )
    spans[layer] = observed[index]!
  }
  return headGroups(spans, { share: options.headShare, layers: options.layers, choice: options.headChoice })
}
