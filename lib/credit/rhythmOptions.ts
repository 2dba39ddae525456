import type { Horizon } from '../rhythm/headSeries'
import { horizonName } from '../rhythm/headSeries'
import { InvalidArgument } from '../rhythm/invalidArgument'
import { LAYER_RANGES, type LayerRange } from '../rhythm/layerRange'
import type { ReceiverVariant } from '../rhythm/receiverHeads'
import { type CreditOptions, creditOptions, DEFAULT_CREDIT } from './creditOptions'
import { STRATEGIES, type StrategyName, strategyNamed } from './strategies'

/** Layers, heads, window and horizon of one block of a trace record. */
export interface BlockChoice {
  layers: LayerRange
  /** Share of heads in the local and in the global group, in (0, 1]. */
  headShare: number
  /** `all` puts every head in both groups, the paper's ablation. */
  headChoice: 'targeted' | 'all'
  /** WAAD window W in tokens. */
  window: number
  /** FAI horizon `[Hlo, Hhi]` in tokens; null = to the end of the response. */
  horizon: Horizon
}

export interface ReceiverChoice {
  variant: ReceiverVariant
  layers: LayerRange
  /** How many heads; null = `min(16, ceil(heads / 4))` for `token`, 20 for `sentence`. */
  count: number | null
  horizon: Horizon
  /** A sentence's score counts sentences at least this many later (`sentence` variant). */
  sentenceGap: number
}

/** Every parameter of the method that a trace record depends on. */
export interface RhythmOptions {
  /** Sec. 4 of the paper: all layers, the rest of the response. */
  analysis: BlockChoice
  /** Sec. 5: five middle layers, `[10, 100]`. */
  rl: BlockChoice
  receiver: ReceiverChoice
  /** Minimum prominences of peaks, as fractions of the series' population standard deviation. */
  prominences: number[]
  /** Shares of tokens of the second peak mode. */
  peakShares: { waad: number; fai: number }
  /** Leave key position 0 (the attention sink) out and renormalise rows. */
  excludeSink: boolean
  credit: CreditOptions
  /** The strategies whose gammas are recorded. */
  strategies: StrategyName[]
  /** Seed of `random` and `shuffled`: a whole number from 0 to 2³² - 1. */
  seed: number
}

/** Options as a caller writes them: only what differs from the preset. */
export interface RhythmOptionsInput {
  analysis?: Partial<BlockChoice>
  rl?: Partial<BlockChoice>
  receiver?: Partial<ReceiverChoice>
  prominences?: number[]
  peakShares?: { waad?: number; fai?: number }
  excludeSink?: boolean
  credit?: Partial<CreditOptions>
  strategies?: StrategyName[]
  seed?: number
}

/** `v2`: the ICML 2026 version of the paper. `v1`: October 2025, Hhi = 50 and only nonnegative advantages scaled. */
export type RhythmPreset = 'v2' | 'v1'

const V2: RhythmOptions = {
  analysis: { layers: 'all', headShare: 0.3, headChoice: 'targeted', window: 10, horizon: [0, null] },
  rl: { layers: 'rl-five', headShare: 0.3, headChoice: 'targeted', window: 10, horizon: [10, 100] },
  receiver: { variant: 'token', layers: 'all', count: null, horizon: [0, null], sentenceGap: 4 },
  prominences: [0.25, 0.5, 1],
  peakShares: { waad: 0.184, fai: 0.224 },
  excludeSink: false,
  credit: DEFAULT_CREDIT,
  strategies: ['uniform', 'entropy', 'local-chunk', 'global-anchor', 'coupled'],
  seed: 0,
}

const PRESETS: Record<RhythmPreset, RhythmOptions> = {
  v2: V2,
  v1: { ...V2, rl: { ...V2.rl, horizon: [10, 50] }, credit: { ...V2.credit, sign: 'nonnegative' } },
}

/** The preset with the caller's changes; refuses names it does not know and values out of range. */
export function rhythmOptions(given: RhythmOptionsInput = {}, preset: RhythmPreset = 'v2'): RhythmOptions {
  if (!Object.hasOwn(PRESETS, preset))
    throw new InvalidArgument(`unknown preset '${preset}': expected ${Object.keys(PRESETS).join(' or ')}`)
  const base = PRESETS[preset]
  const options = merge(base, given, 'options')
  const merged: RhythmOptions = {
    ...options,
    analysis: merge(base.analysis, given.analysis, 'options.analysis'),
    rl: merge(base.rl, given.rl, 'options.rl'),
    receiver: merge(base.receiver, given.receiver, 'options.receiver'),
    peakShares: merge(base.peakShares, given.peakShares, 'options.peakShares'),
    credit: creditOptions({ ...base.credit, ...given.credit }),
  }
  checkBlock(merged.analysis, 'options.analysis')
  checkBlock(merged.rl, 'options.rl')
  const { receiver } = merged
  checkLayers(receiver.layers, 'options.receiver.layers')
  checkHorizon(receiver.horizon, 'options.receiver.horizon')
  check(
    ['token', 'sentence'].includes(receiver.variant),
    'options.receiver.variant',
    receiver.variant,
    "'token' or 'sentence'",
  )
  check(
    receiver.count === null || isWhole(receiver.count, 1),
    'options.receiver.count',
    receiver.count,
    'null or a whole number of at least 1',
  )
  check(
    isWhole(receiver.sentenceGap, 1),
    'options.receiver.sentenceGap',
    receiver.sentenceGap,
    'a whole number of at least 1',
  )
  merged.prominences.forEach((p, i) => {
    check(p >= 0 && Number.isFinite(p), `options.prominences[${i}]`, p, 'a number of at least 0')
  })
  for (const name of ['waad', 'fai'] as const)
    check(isShare(merged.peakShares[name]), `options.peakShares.${name}`, merged.peakShares[name], 'a share in [0, 1]')
  check(typeof merged.excludeSink === 'boolean', 'options.excludeSink', merged.excludeSink, 'true or false')
  merged.strategies.forEach(strategyNamed)
  check(isWhole(merged.seed, 0) && merged.seed < 2 ** 32, 'options.seed', merged.seed, 'a whole number below 2^32')
  return merged
}

/** What a forward pass must keep for these options. */
export interface RequiredSeries {
  windows: number[]
  horizons: Horizon[]
  /** True if the sentence variant needs attention between sentences. */
  sentences: boolean
  excludeSink: boolean
}

/** The windows, horizons and other series that `computeTraceRhythm` will read for these options. */
export function requiredSeries(options: RhythmOptions): RequiredSeries {
  const { analysis, rl, receiver } = options
  const horizons = new Map([analysis, rl, receiver].map(({ horizon }) => [horizonName(horizon), horizon]))
  return {
    windows: [...new Set([analysis.window, rl.window])],
    horizons: [...horizons.values()],
    sentences: receiver.variant === 'sentence',
    excludeSink: options.excludeSink,
  }
}

/** The names of all strategies. */
export const STRATEGY_NAMES = Object.keys(STRATEGIES) as StrategyName[]

function merge<T extends object>(base: T, given: { [K in keyof T]?: unknown } | undefined, path: string): T {
  for (const name of Object.keys(given ?? {}))
    if (!(name in base))
      throw new InvalidArgument(`unknown option '${path}.${name}': expected one of ${Object.keys(base).join(', ')}`)
  const set = Object.fromEntries(Object.entries(given ?? {}).filter(([, value]) => value !== undefined))
  return { ...base, ...set } as T
}

function checkBlock(block: BlockChoice, path: string): void {
  checkLayers(block.layers, `${path}.layers`)
  checkHorizon(block.horizon, `${path}.horizon`)
  check(isShare(block.headShare) && block.headShare > 0, `${path}.headShare`, block.headShare, 'a share in (0, 1]')
  check(['targeted', 'all'].includes(block.headChoice), `${path}.headChoice`, block.headChoice, "'targeted' or 'all'")
  check(isWhole(block.window, 1), `${path}.window`, block.window, 'a whole number of tokens of at least 1')
}

function checkLayers(layers: LayerRange, path: string): void {
  const fits =
    typeof layers === 'string'
      ? (LAYER_RANGES as readonly string[]).includes(layers)
      : Array.isArray(layers) && layers.length > 0 && layers.every((layer) => isWhole(layer, 0))
  check(fits, path, layers, `${LAYER_RANGES.join(', ')} or a list of layers`)
}

function checkHorizon(horizon: Horizon, path: string): void {
  const fits =
    Array.isArray(horizon) &&
    horizon.length === 2 &&
    isWhole(horizon[0], 0) &&
    (horizon[1] === null || isWhole(horizon[1], horizon[0]))
  check(fits, path, horizon, '[Hlo, Hhi] in whole tokens with Hlo <= Hhi, or [Hlo, null]')
}

function isWhole(value: unknown, least: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least
}

function isShare(value: number): boolean {
  return value >= 0 && value <= 1
}

function check(fits: boolean, path: string, value: unknown, expected: string): void {
  if (!fits) throw new InvalidArgument(`invalid ${path} ${JSON.stringify(value)}: expected ${expected}`)
}
