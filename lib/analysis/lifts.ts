import { type BootstrapOptions, bootstrapSums, type Estimate, liftOf, ratio } from './bootstrap'
import type { Selection } from './rhythmRows'

/**
 * What the mean over the selected tokens is compared with, pooled over traces.
 * `all tokens`: the mean over all tokens of all traces (the paper, rows 1 and 2).
 * `same trace`: the expected mean if each trace's selected tokens were shuffled within it, count kept (the paper, row 3).
 * `strata`: the mean over all tokens of the same stratum (token class, position), each stratum weighted by its selected tokens.
 */
export type Baseline = 'all tokens' | 'same trace' | 'strata'

/** A selection, and for each token of its domain the number of its stratum, -1 where it has none. */
export interface StratifiedSelection extends Selection {
  strata?: ArrayLike<number>
}

export interface LiftEstimate {
  observed: Estimate
  baseline: Estimate
  /** `(observed - baseline) / baseline`; null where the baseline is 0. */
  lift: Estimate
}

/**
 * A selection's lift over a baseline, pooled over traces. The sums of one trace, from which everything pooled follows, are a vector
 * of numbers: a bootstrap over traces adds up vectors.
 */
export class LiftStatistic {
  /** @param strata how many there are, for the baseline `strata` */
  constructor(
    readonly baseline: Baseline,
    readonly strata = 0,
  ) {}

  /** `[selected, sum over selected, domain, sum over domain, selected * mean over domain, (per stratum) selected, domain, sum…]` */
  vector(selection: StratifiedSelection): Float64Array {
    const { values, selected, strata } = selection
    const vector = new Float64Array(this.length)
    for (let t = 0; t < values.length; t++) vector[3]! += values[t]!
    vector[2] = values.length
    const count = (t: number) => {
      vector[0]!++
      vector[1]! += values[t]!
    }
    if (this.baseline !== 'strata') for (const t of selected) count(t)
    else if (strata) {
      const start = (t: number) => 5 + 3 * strata[t]!
      for (const t of selected) {
        if (strata[t]! < 0) continue
        count(t)
        vector[start(t)]!++
      }
      for (let t = 0; t < values.length; t++) {
        if (strata[t]! < 0) continue
        vector[start(t) + 1]!++
        vector[start(t) + 2]! += values[t]!
      }
    }
    vector[4] = values.length === 0 ? 0 : (vector[0]! * vector[3]!) / values.length
    return vector
  }

  /** Observed, baseline and lift from the sum of vectors, from `offset` on. */
  evaluate(sums: ArrayLike<number>, offset = 0): [number | null, number | null, number | null] {
    const at = (i: number) => sums[offset + i]!
    const observed = ratio(at(1), at(0))
    let baseline = this.baseline === 'all tokens' ? ratio(at(3), at(2)) : ratio(at(4), at(0))
    if (this.baseline === 'strata') {
      let expected = 0
      for (let s = 0; s < this.strata; s++) {
        const [selected, domain, sum] = [at(5 + 3 * s), at(6 + 3 * s), at(7 + 3 * s)]
        if (selected > 0) expected += (selected * sum) / domain
      }
      baseline = ratio(expected, at(0))
    }
    return [observed, baseline, liftOf(observed, baseline)]
  }

  get length(): number {
    return 5 + 3 * this.strata
  }
}

/** Lift pooled over traces, with intervals over traces. */
export function pooledLift(
  selections: readonly StratifiedSelection[],
  statistic: LiftStatistic,
  bootstrap?: Partial<BootstrapOptions>,
): LiftEstimate {
  const vectors = selections.map((selection) => statistic.vector(selection))
  return liftEstimate(bootstrapSums([vectors], (sums) => statistic.evaluate(sums), bootstrap))
}

/**
 * The same with every trace counting alike: the mean over traces of each trace's own observed mean and of its baseline, the mean over its
 * domain. Traces without a selected token do not count.
 */
export function perTraceLift(selections: readonly Selection[], bootstrap?: Partial<BootstrapOptions>): LiftEstimate {
  const own = new LiftStatistic('all tokens')
  const vectors = selections.map((selection) => {
    const [observed, baseline] = own.evaluate(own.vector(selection))
    return observed === null || baseline === null ? [0, 0, 0] : [1, observed, baseline]
  })
  const evaluate = (sums: Float64Array) => {
    const observed = ratio(sums[1]!, sums[0]!)
    const baseline = ratio(sums[2]!, sums[0]!)
    return [observed, baseline, liftOf(observed, baseline)]
  }
  return liftEstimate(bootstrapSums([vectors], evaluate, bootstrap))
}

function liftEstimate([observed, baseline, lift]: Estimate[]): LiftEstimate {
  const none: Estimate = { value: null, low: null, high: null }
  return { observed: observed ?? none, baseline: baseline ?? none, lift: lift ?? none }
}
