import { rhythmOptions } from '../credit/rhythmOptions'
import type { Horizon } from '../rhythm/headSeries'
import { horizonName } from '../rhythm/headSeries'
import { InvalidArgument } from '../rhythm/invalidArgument'
import type { LayerRange } from '../rhythm/layerRange'
import type { ReceiverVariant } from '../rhythm/receiverHeads'

/** What WAAD, FAI and receiver FAI of a trace depend on (method, Sec. 2-3). */
export interface MeasureOptions {
  /** The layers among whose heads local, global and receiver heads are chosen. */
  layers: LayerRange
  /** Share of heads in the local and in the global group, in (0, 1]. */
  headShare: number
  /** `all` puts every head in both groups, the paper's ablation. */
  headChoice: 'targeted' | 'all'
  /** WAAD window W in tokens. */
  window: number
  /** Horizon of FAI and receiver FAI, `[Hlo, Hhi]` in tokens; null = to the end of the response. */
  horizon: Horizon
  receiverVariant: ReceiverVariant
  /** How many receiver heads; null = `min(16, ceil(heads / 4))` for `token`, 20 for `sentence`. */
  receiverCount: number | null
  /** A sentence's score counts sentences at least this many later (`sentence` variant). */
  sentenceGap: number
  /** Leave the attention sink (key position 0) out. */
  excludeSink: boolean
  /** `trace`: each trace's own heads. `calibrated`: chosen once over the set, by mean span and mean kurtosis. */
  heads: 'trace' | 'calibrated'
}

/** The method's analysis: all layers, W = 10, the whole rest of the response, 30 % of the heads, each trace's own. */
export const DEFAULT_MEASURE: MeasureOptions = {
  layers: 'all',
  headShare: 0.3,
  headChoice: 'targeted',
  window: 10,
  horizon: [0, null],
  receiverVariant: 'token',
  receiverCount: null,
  sentenceGap: 4,
  excludeSink: false,
  heads: 'trace',
}

/** The defaults with the caller's changes; refuses names it does not know and values out of range. */
export function measureOptions(given: Partial<MeasureOptions> = {}): MeasureOptions {
  for (const name of Object.keys(given))
    if (!(name in DEFAULT_MEASURE))
      throw new InvalidArgument(
        `unknown measure option '${name}': expected one of ${Object.keys(DEFAULT_MEASURE).join(', ')}`,
      )
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const options: MeasureOptions = { ...DEFAULT_MEASURE, ...set }
  const { layers, headShare, headChoice, window, horizon } = options
  // The record's options have the same parts: their checks are the ones to pass.
  rhythmOptions({
    analysis: { layers, headShare, headChoice, window, horizon },
    receiver: { variant: options.receiverVariant, count: options.receiverCount, sentenceGap: options.sentenceGap },
    excludeSink: options.excludeSink,
  })
  if (options.heads !== 'trace' && options.heads !== 'calibrated')
    throw new InvalidArgument(`invalid measure option heads '${options.heads}': expected 'trace' or 'calibrated'`)
  return options
}

/** `all`, `bottom`, …, or the layers as `4,5,6`. */
export function layersName(layers: LayerRange): string {
  return typeof layers === 'string' ? layers : layers.join(',')
}

/** What differs from `DEFAULT_MEASURE`, e.g. `layers top, horizon 10-100`; `default` if nothing does. */
export function measureName(options: MeasureOptions): string {
  const text = (name: keyof MeasureOptions) =>
    name === 'layers' ? layersName(options.layers) : name === 'horizon' ? horizonName(options.horizon) : options[name]
  const standard = measureText(DEFAULT_MEASURE)
  const differing = (Object.keys(DEFAULT_MEASURE) as (keyof MeasureOptions)[]).filter(
    (name) => String(text(name)) !== standard[name],
  )
  return differing.length === 0 ? 'default' : differing.map((name) => `${name} ${text(name)}`).join(', ')
}

function measureText(options: MeasureOptions): Record<string, string> {
  return {
    ...Object.fromEntries(Object.entries(options).map(([name, value]) => [name, String(value)])),
    layers: layersName(options.layers),
    horizon: horizonName(options.horizon),
  }
}
