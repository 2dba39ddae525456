import { xoroshiro128plus } from 'pure-rand'
import { randomStream } from '../random/randomStream'
import { InvalidArgument } from '../rhythm/invalidArgument'
import type { Selection } from './rhythmRows'

/** How likely the observed mean is if the selected tokens lay at random within their traces. */
export interface ShuffleTest {
  /** Mean over the shuffles of the pooled mean over the selected tokens; null if nothing is selected. */
  baseline: number | null
  /** One-sided: the share of shuffles, the observed arrangement among them, that reach the observed mean. Null if nothing is selected. */
  p: number | null
}

export interface ShuffleOptions {
  /** How many times. Default 1000; the least possible p is 1 / (shuffles + 1). */
  shuffles?: number
  /** Default 0. */
  seed?: number
}

/** Each trace's selected tokens at random positions of its domain, their number kept. */
export function permutationTest(selections: readonly Selection[], options: ShuffleOptions = {}): ShuffleTest {
  const orders = selections.map(({ values }) => Uint32Array.from(values, (_, i) => i))
  return shuffleTest(selections, options, 0, ({ values, selected }, trace, below) => {
    const order = orders[trace]!
    let sum = 0
    // The first steps of a Fisher-Yates shuffle: `order` stays a permutation, so the next shuffle may go on from it.
    for (let i = 0; i < selected.length; i++) {
      const j = i + below(order.length - i)
      const chosen = order[j]!
      order[j] = order[i]!
      order[i] = chosen
      sum += values[chosen]!
    }
    return sum
  })
}

/**
 * Each trace's selected tokens moved along by one random distance, from its end back to its beginning: how they follow
 * one another is kept, so that peaks stay non-adjacent. Every distance is equally likely, none included.
 */
export function circularShiftTest(selections: readonly Selection[], options: ShuffleOptions = {}): ShuffleTest {
  const sums = selections.map(({ values, selected }) =>
    Float64Array.from(values, (_, shift) => selected.reduce((sum, t) => sum + values[(t + shift) % values.length]!, 0)),
  )
  return shuffleTest(selections, options, 1, ({ values }, trace, below) => sums[trace]![below(values.length)]!)
}

function shuffleTest(
  selections: readonly Selection[],
  { shuffles = 1000, seed = 0 }: ShuffleOptions,
  kind: number,
  draw: (selection: Selection, trace: number, below: (n: number) => number) => number,
): ShuffleTest {
  if (!(Number.isSafeInteger(shuffles) && shuffles >= 1))
    throw new InvalidArgument(`invalid number of shuffles ${shuffles}: expected a whole number of at least 1`)
  const count = selections.reduce((sum, { selected }) => sum + selected.length, 0)
  if (count === 0) return { baseline: null, p: null }
  const observed = selections.reduce(
    (sum, { values, selected }) => sum + selected.reduce((own, t) => own + values[t]!, 0),
    0,
  )
  // Sums of the same numbers in another order may differ in their last bits.
  const reached = observed - 1e-9 * Math.abs(observed)
  // Millions of draws: a light generator, seeded by the project's stream. The 32 bits are spread over the n outcomes with
  // an error of n / 2³², far below what any number of shuffles can show.
  const generator = xoroshiro128plus(randomStream(seed, 0x5f17, kind).below(2 ** 32))
  const below = (n: number) => Math.floor(((generator.unsafeNext() >>> 0) / 2 ** 32) * n)
  let total = 0
  let asLarge = 0
  for (let shuffle = 0; shuffle < shuffles; shuffle++) {
    let sum = 0
    selections.forEach((selection, trace) => {
      if (selection.selected.length > 0) sum += draw(selection, trace, below)
    })
    total += sum
    if (sum >= reached) asLarge++
  }
  return { baseline: total / shuffles / count, p: (asLarge + 1) / (shuffles + 1) }
}
