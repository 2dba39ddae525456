import assert from 'node:assert/strict'
import test from 'node:test'
import { analyzeTraces } from '../../lib/analysis/analyzeTraces'
import { FIXED_PROMINENCE } from '../../lib/analysis/peakMode'
import { readReference } from '../oracle/reference'
import { near } from './syntheticTraces'

const names = ['smollm2-00', 'smollm2-01', 'smollm2-02', 'smollm2-03']
const records = names.map((name) => readReference(`${name}.json`))
const tables = analyzeTraces(() => records.map((record, i) => ({ id: names[i]!, record })), {
  peakModes: [FIXED_PROMINENCE],
})

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
const total = (of: (record: (typeof records)[number]) => number) => sum(records.map(of))

test("Table 2 of the reference's four SmolLM2 traces follows from the reference's own peaks", async () => {
  const { table2 } = await tables
  const [own, next, second, third] = table2
  const peaks = (record: (typeof records)[number]) => record.analysis.peaks['0.25']!
  const receivers = (record: (typeof records)[number]) => record.receiver.peaks['0.25']!
  near(own!.observed, total((r) => sum(peaks(r).waad.map((t) => r.entropy[t]!))) / total((r) => peaks(r).waad.length))
  near(own!.baseline, total((r) => sum(r.entropy)) / total((r) => r.entropy.length))
  near(
    next!.observed,
    total((r) => sum(peaks(r).waad.map((t) => r.entropy[t + 1]!))) / total((r) => peaks(r).waad.length),
  )
  near(next!.baseline, total((r) => sum(r.entropy.slice(1))) / total((r) => r.entropy.length - 1))
  near(
    second!.observed,
    total((r) => receivers(r).filter((t) => peaks(r).fai.includes(t)).length) / total((r) => receivers(r).length),
  )
  near(second!.baseline, total((r) => peaks(r).fai.length) / total((r) => r.entropy.length))
  const covered = (r: (typeof records)[number]) => new Set(peaks(r).waad.flatMap((t) => [t, t + 1]))
  near(
    third!.observed,
    total((r) => peaks(r).fai.filter((t) => covered(r).has(t)).length) / total((r) => peaks(r).fai.length),
  )
  near(
    third!.baseline,
    total((r) => (peaks(r).fai.length * covered(r).size) / r.entropy.length) / total((r) => peaks(r).fai.length),
  )
})

test("the paper's signs hold, within what four traces can say of the reference's 36", async () => {
  const { table2, summary, layerThirds, robustness } = await tables
  assert.equal(
    summary[0]!.tokens,
    total((r) => r.entropy.length),
  )
  const lifts = table2.filter((row) => row.alignment !== 'next token')
  // The reference: +20.6 % [17, 24], +196 % [163, 233], +26.0 % [20, 33]. Four traces have intervals three times as wide as 36.
  for (const [i, [expected, half]] of [
    [0.206, 0.035],
    [1.96, 0.35],
    [0.26, 0.065],
  ].entries()) {
    near(lifts[i]!.lift, expected!, 3 * half!)
    assert.ok(lifts[i]!.lift! > 0)
  }
  // Of the three, the first two are beyond chance in four traces already.
  assert.ok(lifts[0]!.permutationP! < 0.01 && lifts[1]!.permutationP! < 0.01)
  // Records alone have neither thirds nor other windows.
  assert.equal(layerThirds.length, 0)
  assert.deepEqual([...new Set(robustness.filter((row) => row.factor === 'W').map((row) => row.setting))], ['10'])
})

test('class-matched lifts of the four traces, as a separate program in Python counts them', async () => {
  const { controls } = await tables
  const of = (control: string) => controls.filter((row) => row.control === control && row.alignment !== 'next token')
  // /^\s*$/ is space; else by the first character that is no white space: digit, letter, other; a letter continues a word if nothing
  // stands before it and the token before ends in a letter. Baseline: means of the class over all traces.
  for (const [i, expected] of [0.151, 0.737, -0.008].entries()) near(of('same class')[i]!.lift, expected, 0.0005)
  assert.deepEqual(
    of('same class').map((row) => row.peaks),
    of('paper').map((row) => row.peaks),
  )
})
