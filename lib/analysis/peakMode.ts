import { InvalidArgument } from '../rhythm/invalidArgument'
import { peaks, peaksAtShare } from '../rhythm/peaks'
import type { TraceMeasures } from './traceMeasures'

/**
 * What counts as a peak: strict local maxima whose prominence is at least a fraction of the series' population standard
 * deviation; or those of the largest prominence, so many that they are the stated share of tokens (chosen per trace).
 */
export type PeakMode =
  | { kind: 'prominence'; prominence: number }
  | { kind: 'share' /** Of WAAD, and of entropy. */; waad: number /** Of FAI and receiver FAI. */; fai: number }

/** Our choice where the paper is silent. */
export const FIXED_PROMINENCE: PeakMode = { kind: 'prominence', prominence: 0.25 }

/** The shares of tokens that the paper's own baselines imply. */
export const PAPER_SHARES: PeakMode = { kind: 'share', waad: 0.184, fai: 0.224 }

/** Indices of the peaks of each series of a trace, ascending. */
export interface TracePeaks {
  waad: number[]
  fai: number[]
  /** Null where the trace has no receiver heads. */
  receiver: number[] | null
  entropy: number[]
}

/** As it stands beside every number: `prominence 0.25`, `share WAAD 0.184 FAI 0.224`. */
export function peakModeName(mode: PeakMode): string {
  if (mode.kind === 'prominence') return `prominence ${mode.prominence}`
  if (mode.kind === 'share') return `share WAAD ${mode.waad} FAI ${mode.fai}`
  throw new InvalidArgument(`unknown peak mode ${JSON.stringify(mode)}: expected kind 'prominence' or 'share'`)
}

/** The peaks of a trace. A constant series, or one of fewer than three tokens, has none. */
export function tracePeaks(measures: TraceMeasures, mode: PeakMode): TracePeaks {
  const { waad, fai, receiverFai, entropy, valid } = measures
  peakModeName(mode)
  const of = (values: readonly number[], name: 'waad' | 'fai', defined?: readonly boolean[]) =>
    mode.kind === 'prominence'
      ? peaks(values, mode.prominence, defined)
      : peaksAtShare(values, mode[name], defined).indices
  return {
    waad: of(waad, 'waad'),
    fai: of(fai, 'fai', valid),
    receiver: receiverFai && of(receiverFai, 'fai', valid),
    entropy: of(entropy, 'waad'),
  }
}
