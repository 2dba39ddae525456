import { InvalidArgument } from './invalidArgument'

/**
 * Which layers of a model take part: `all`; a third, `bottom` = [0, floor(L/3)), `middle` = [floor(L/3), floor(2L/3)),
 * `top` = [floor(2L/3), L); `rl-five`, five evenly spaced layers from floor(L/3) to floor(2L/3); or the layers themselves.
 */
export type LayerRange = 'all' | 'bottom' | 'middle' | 'top' | 'rl-five' | readonly number[]

export const LAYER_RANGES = ['all', 'bottom', 'middle', 'top', 'rl-five'] as const

/**
 * The layers of a range in a model of `layerCount` layers, ascending, without duplicates. Throws if the range is empty
 * (a third of a model with fewer than three layers may be) or names a layer that the model does not have.
 */
export function resolveLayers(range: LayerRange, layerCount: number): number[] {
  if (!(Number.isInteger(layerCount) && layerCount > 0))
    throw new InvalidArgument(`invalid layer count ${layerCount}: expected a positive whole number`)
  const third = Math.floor(layerCount / 3)
  const twoThirds = Math.floor((2 * layerCount) / 3)
  const between = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
  const layers = (() => {
    if (typeof range !== 'string') return [...new Set(range)].sort((a, b) => a - b)
    if (range === 'all') return between(0, layerCount)
    if (range === 'bottom') return between(0, third)
    if (range === 'middle') return between(third, twoThirds)
    if (range === 'top') return between(twoThirds, layerCount)
    // Math.round rounds halves up, which is the method's rule. floor(2L/3) is a layer of its own: L - 1 at most.
    if (range === 'rl-five')
      return [...new Set([0, 1, 2, 3, 4].map((i) => Math.round(third + (i * (twoThirds - third)) / 4)))]
    throw new InvalidArgument(`unknown layer range '${range}': expected ${LAYER_RANGES.join(', ')} or a list of layers`)
  })()
  if (layers.length === 0)
    throw new InvalidArgument(
      `layer range '${range}' of a model with ${layerCount} layers is empty: use 'all' or a list`,
    )
  for (const layer of layers)
    if (!(Number.isInteger(layer) && layer >= 0 && layer < layerCount))
      throw new InvalidArgument(`layer ${layer} does not exist: the model has layers 0-${layerCount - 1}`)
  return layers
}
