import { bootstrapSums } from './bootstrap'
import { BOTH_MODES, paperBaseline, selectionsOf, type TableOptions } from './liftRow'
import { LiftStatistic } from './lifts'
import { type PeakMode, peakModeName } from './peakMode'
import { RHYTHM_ROWS, type RhythmRow } from './rhythmRows'
import { type Table2Options, type Table2Row, table2 } from './table2'
import type { TraceMeasures } from './traceMeasures'

/** Trace sets by name: models, or one model before and after training. */
export type NamedSets = Readonly<Record<string, readonly TraceMeasures[]>>

/** Table 12: Table 2 of several trace sets, side by side. */
export function sideBySide(sets: NamedSets, options: Table2Options = {}): Table2Row[] {
  const tables = Object.entries(sets).map(([name, measures]) => table2(measures, name, options))
  return (tables[0] ?? []).flatMap((_, i) => tables.map((table) => table[i]!))
}

/** How a lift differs between two trace sets. Lifts and their difference are fractions (0.2 = 20 percentage points). */
export interface DifferenceRow {
  set: string
  comparedWith: string
  row: number
  claim: string
  alignment: string | null
  peakMode: string
  traces: number
  comparedTraces: number
  /** Problems that both sets answer: their traces are drawn together. */
  pairedProblems: number
  lift: number | null
  liftLow: number | null
  liftHigh: number | null
  comparedLift: number | null
  comparedLow: number | null
  comparedHigh: number | null
  /** Lift of `set` minus lift of `comparedWith`. */
  difference: number | null
  differenceLow: number | null
  differenceHigh: number | null
}

/**
 * The lifts of two trace sets and their difference, with bootstrap intervals. A problem that both sets answer is drawn
 * with its traces in both (paired); the problems of one set alone are drawn independently. Traces of one problem stay together.
 */
export function compareSets(
  set: { name: string; measures: readonly TraceMeasures[] },
  comparedWith: { name: string; measures: readonly TraceMeasures[] },
  options: TableOptions = {},
): DifferenceRow[] {
  const modes = options.peakModes ?? BOTH_MODES
  return modes.flatMap((mode) =>
    RHYTHM_ROWS.map((row) => {
      const statistic = new LiftStatistic(paperBaseline(row))
      const sides = [set, comparedWith].map(({ measures }) => byProblem(measures, row, mode, statistic))
      const [first, second] = sides as [Side, Side]
      const { length } = statistic
      const none = new Float64Array(length)
      const both = (problem: string) => joined(first.sums.get(problem) ?? none, second.sums.get(problem) ?? none)
      const paired = [...first.sums.keys()].filter((problem) => second.sums.has(problem))
      const alone = [
        [...first.sums.keys()].filter((problem) => !second.sums.has(problem)),
        [...second.sums.keys()].filter((problem) => !first.sums.has(problem)),
      ]
      const [lift, compared, difference] = bootstrapSums(
        [paired, ...alone].map((problems) => problems.map(both)),
        (sums) => {
          if (sums.length === 0) return [null, null, null]
          const [a, b] = [statistic.evaluate(sums)[2], statistic.evaluate(sums, length)[2]]
          return [a, b, a === null || b === null ? null : a - b]
        },
        options.bootstrap,
      )
      return {
        set: set.name,
        comparedWith: comparedWith.name,
        ...row,
        peakMode: peakModeName(mode),
        traces: first.traces,
        comparedTraces: second.traces,
        pairedProblems: paired.length,
        lift: lift!.value,
        liftLow: lift!.low,
        liftHigh: lift!.high,
        comparedLift: compared!.value,
        comparedLow: compared!.low,
        comparedHigh: compared!.high,
        difference: difference!.value,
        differenceLow: difference!.low,
        differenceHigh: difference!.high,
      }
    }),
  )
}

interface Side {
  traces: number
  sums: Map<string, Float64Array>
}

function byProblem(measures: readonly TraceMeasures[], row: RhythmRow, mode: PeakMode, statistic: LiftStatistic): Side {
  const asked = selectionsOf(measures, row, mode)
  const sums = new Map<string, Float64Array>()
  for (const { trace, selection } of asked) {
    const vector = statistic.vector(selection)
    const sum = sums.get(trace.problem)
    if (sum) for (let i = 0; i < sum.length; i++) sum[i]! += vector[i]!
    else sums.set(trace.problem, vector)
  }
  return { traces: asked.length, sums }
}

function joined(a: Float64Array, b: Float64Array): Float64Array {
  const both = new Float64Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}
