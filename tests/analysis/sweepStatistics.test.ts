import assert from 'node:assert/strict'
import test from 'node:test'
import { paperAccuracies } from '../../lib/analysis/paperAccuracies'
import { runningPeakMean } from '../../lib/analysis/peakSmoothing'
import { seedsNeeded, spreadInterval, visibleDifference } from '../../lib/analysis/seedPower'
import { holm, signFlipP, smallestSignFlipP } from '../../lib/analysis/signFlips'
import { measureOf, SWEEP_FORMAT, type SweepRecord, type SweepRow, stepsToReach } from '../../lib/analysis/sweepRow'
import { armTable, comparisonTable, meanOverSeeds, powerTable } from '../../lib/analysis/sweepTables'
import { randomStream } from '../../lib/random/randomStream'

const near = (actual: number | null, expected: number, tolerance = 1e-9) =>
  assert.ok(actual !== null && Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected} ± ${tolerance}`)

/** A finished run whose sampled accuracy goes from 0.2 to `final` in 100 steps. */
const row = (arm: string, seed: number, final: number, changes: Partial<SweepRow> = {}): SweepRow => ({
  ...{ sweep: 's', cell: `${arm} ${seed}`, arm, labels: { strategy: arm }, seed, warmup: seed % 2 },
  ...{ state: 'finished', steps: 100, seconds: 120, meanCredit: 1.2, reward: { step: [], value: [] } },
  evaluations: [
    { step: 0, sampled: 0.2, greedy: 0.3 },
    { step: 100, sampled: final, greedy: 0.5 },
  ],
  ...changes,
})
const recordOf = (rows: SweepRow[]): SweepRecord => ({
  ...{ format: SWEEP_FORMAT, name: 's', baseline: 'uniform', paper: 'strategies', machine: null },
  rows,
})

test('sign flips, counted by hand', () => {
  // Of the sums ±1 ±2 ±3 only 6 and -6 are as far from 0 as 6.
  assert.equal(signFlipP([1, 2, 3]), 2 / 8)
  // 6, 4, -4 and -6.
  assert.equal(signFlipP([5, 1]), 2 / 4)
  assert.equal(signFlipP([5, -1]), 4 / 4)
  assert.equal(signFlipP([0.1, 0.2, -0.3]), 1, 'a mean of 0 but for rounding')
  assert.equal(signFlipP([0.1]), 1)
  assert.equal(signFlipP([]), 1)
  assert.equal(signFlipP(new Array(8).fill(0.01)), 2 / 256)
  assert.equal(smallestSignFlipP(8), 2 / 256)
  assert.throws(() => signFlipP([Number.NaN]), /finite/)
})

test('sign flips against all assignments, one by one', () => {
  const stream = randomStream(5)
  for (let n = 1; n <= 9; n++)
    for (let time = 0; time < 5; time++) {
      // Few distinct values, so that there are ties.
      const differences = Array.from({ length: n }, () => stream.below(7) - 2)
      const total = Math.abs(differences.reduce((a, b) => a + b, 0))
      let reached = 0
      for (let mask = 0; mask < 2 ** n; mask++)
        if (Math.abs(differences.reduce((sum, d, i) => sum + ((mask >> i) & 1 ? d : -d), 0)) >= total) reached++
      assert.equal(signFlipP(differences), reached / 2 ** n, differences.join())
    }
})

test('many pairs are drawn at random: near the binomial chance where all differences are of one size', () => {
  const differences = Array.from({ length: 24 }, (_, i) => (i < 17 ? 1 : -1))
  // 17 of 24, or further from 12: twice the sum of C(24, k) for k >= 17.
  const choose = (k: number) => Array.from({ length: k }, (_, i) => (24 - i) / (i + 1)).reduce((a, b) => a * b, 1)
  const exact = (2 * [17, 18, 19, 20, 21, 22, 23, 24].reduce((sum, k) => sum + choose(k), 0)) / 2 ** 24
  near(signFlipP(differences), exact, 0.002)
  assert.ok(signFlipP(new Array(24).fill(1)) > 0)
})

test("Holm's correction, by hand", () => {
  // Ascending 0.005 × 4, 0.01 × 3, 0.03 × 2, 0.04 × 1, each at least the one before.
  const adjusted = holm([0.01, 0.04, null, 0.03, 0.005])
  for (const [i, expected] of [0.03, 0.06, null, 0.06, 0.02].entries())
    if (expected === null) assert.equal(adjusted[i], null)
    else near(adjusted[i]!, expected)
  assert.deepEqual(holm([0.6, 0.7]), [1, 1])
  assert.deepEqual(holm([]), [])
})

test('seeds for a paired test: the numbers that G*Power gives for a paired t-test', () => {
  // Two-sided, 5 %, power 80 %: effect sizes 1, 0.5 and 0.3.
  assert.deepEqual(
    [1, 2, 1 / 0.3].map((spread) => seedsNeeded(1, spread)),
    [10, 34, 90],
  )
  assert.equal(seedsNeeded(-1, 2), 34)
  // Power 90 %.
  assert.equal(seedsNeeded(1, 2, { power: 0.9 }), 44)
  // Below 6 pairs sign flips cannot reach 5 % at all; for a sixth of it they need 8.
  assert.equal(seedsNeeded(1, 0.001), 6)
  assert.equal(seedsNeeded(1, 0.001, { comparisons: 6 }), 8)
  near(visibleDifference(34, 2), 1, 0.02)
  assert.equal(visibleDifference(5, 2), null)
  assert.throws(() => seedsNeeded(0, 1), /difference 0/)
  assert.throws(() => seedsNeeded(1, 1, { power: 1 }), /power 1/)
})

test('so many seeds do see the difference: simulated sign-flip tests', () => {
  const stream = randomStream(3)
  const found = (n: number, difference: number) => {
    let count = 0
    for (let time = 0; time < 600; time++)
      if (signFlipP(Array.from({ length: n }, () => difference + stream.normal())) <= 0.05) count++
    return count / 600
  }
  near(found(seedsNeeded(1, 1), 1), 0.8, 0.06)
  near(found(12, 0), 0.05, 0.03)
})

test('the interval of a spread: chi-square with 10 degrees of freedom has 10 % below 4.865 and 90 % below 15.987', () => {
  const { value, low, high } = spreadInterval(4, 10)
  near(value, 2)
  near(low, 2 * Math.sqrt(10 / 15.987), 0.02)
  near(high, 2 * Math.sqrt(10 / 4.865), 0.02)
})

test('measures of a curve, by hand', () => {
  const evaluations = [
    { step: 0, sampled: 0.2, greedy: 0.1 },
    { step: 25, sampled: 0.3, greedy: 0.4 },
    { step: 75, sampled: 0.6, greedy: 0.3 },
    { step: 100, sampled: 0.5, greedy: 0.7 },
  ]
  near(measureOf({ evaluations }, 'final'), 0.5)
  near(measureOf({ evaluations }, 'best'), 0.6)
  near(measureOf({ evaluations }, 'gain'), 0.3)
  near(measureOf({ evaluations }, 'finalGreedy'), 0.7)
  // (25 · 0.25 + 50 · 0.45 + 25 · 0.55) / 100
  near(measureOf({ evaluations }, 'area'), 0.425)
  near(stepsToReach({ evaluations }, 0.4), 25 + 50 / 3)
  assert.equal(stepsToReach({ evaluations }, 0.2), 0)
  assert.equal(stepsToReach({ evaluations }, 0.61), null)
  assert.equal(measureOf({ evaluations: evaluations.slice(0, 1) }, 'area'), null)
  assert.equal(measureOf({ evaluations: [] }, 'final'), null)
})

test("the paper's smoothing, by hand", () => {
  // 0.5 · 0.4 + 0.5 · 0.2 = 0.3; then max(0.1, 0.3) keeps it; then 0.5 · 0.7 + 0.5 · 0.3.
  const smooth = runningPeakMean([0.2, 0.4, 0.1, 0.7])
  for (const [i, expected] of [0.2, 0.3, 0.3, 0.5].entries()) near(smooth[i]!, expected)
  near(runningPeakMean([0, 1], 0.1)[1]!, 0.1)
  assert.deepEqual(runningPeakMean([]), [])
  assert.throws(() => runningPeakMean([1], 0), /a 0/)
})

test('arms are compared in pairs of one seed and warm-up; what is not finished or has no partner is left out', () => {
  const record = recordOf([
    ...[0.4, 0.5, 0.3].map((final, seed) => row('uniform', seed, final)),
    ...[0.43, 0.52, 0.34].map((final, seed) => row('coupled', seed, final)),
    row('coupled', 7, 0.9),
    row('coupled', 8, 0.9, { state: 'unfinished' }),
    row('uniform', 8, 0.1),
    row('uniform', 2, 0.9, { warmup: 1 }),
    row('random', 0, 0.1, { state: 'failed' }),
  ])
  const [coupled, random] = comparisonTable(record)
  assert.deepEqual([coupled!.arm, coupled!.baseline, coupled!.pairs, coupled!.ahead], ['coupled', 'uniform', 3, 3])
  near(coupled!.difference, 0.03)
  // Deviations of 0.03, 0.02 and 0.04 from 0.03.
  near(coupled!.spread, 0.01)
  near(coupled!.p, 2 / 8)
  near(coupled!.adjustedP, 2 / 8)
  // One warm-up has one seed: all three are drawn together, each the lowest in 1 of 27. Deviations of 0.01 count sqrt(3/2) times.
  near(coupled!.low, 0.03 - 0.01 * Math.sqrt(1.5))
  near(coupled!.high, 0.03 + 0.01 * Math.sqrt(1.5))
  near(coupled!.paperDifference, 63.1 - 52.6, 1e-6)
  assert.deepEqual([random!.pairs, random!.p, random!.difference], [0, null, null])
  near(comparisonTable(record, { measure: 'area' })[0]!.difference, 0.015)
  assert.throws(
    () => comparisonTable(record, { baseline: 'placement=shuffled' }),
    /no arm of s is called 'placement=shuffled': .*\(strategy=/,
  )
  assert.throws(
    () => comparisonTable(record, { baseline: 'grpo' }),
    /no arm of s is called 'grpo': expected one of uniform/,
  )
})

test('each arm against the one that differs by one label alone, by hand', () => {
  const finals: [strategy: string, placement: string, final: number[]][] = [
    ['coupled', 'own', [0.5, 0.6, 0.7]],
    ['coupled', 'shuffled', [0.4, 0.6, 0.5]],
    ['entropy', 'shuffled', [0.5, 0.5, 0.5]],
    ['entropy', 'own', [0.4, 0.45, 0.5]],
    ['uniform', 'own', [0.9, 0.9, 0.9]],
  ]
  const rows = finals.flatMap(([strategy, placement, values]) =>
    values.map((final, seed) => row(`${strategy}, ${placement}`, seed, final, { labels: { strategy, placement } })),
  )
  const record = { ...recordOf(rows), baseline: 'placement=shuffled' }
  const [coupled, entropy, ...rest] = comparisonTable(record)
  assert.deepEqual(rest, [])
  assert.deepEqual([coupled!.arm, coupled!.baseline], ['coupled, own', 'coupled, shuffled'])
  assert.deepEqual([entropy!.arm, entropy!.baseline], ['entropy, own', 'entropy, shuffled'])
  near(coupled!.difference, 0.1)
  near(entropy!.difference, -0.05)
  // Signs of 0.1, 0, 0.2: of eight assignments the four with both alike are as far from 0.
  near(coupled!.p, 4 / 8)
  near(entropy!.p, 4 / 8)
  // Variances 0.01 and 0.0025 about each arm's own mean.
  near(powerTable(record)[0]!.spread, Math.sqrt((0.01 + 0.0025) / 2))
  assert.equal(powerTable(record)[0]!.pairs, 6)
})

test('seeds are drawn within each warm-up: what differs between warm-ups is no part of the interval', () => {
  const values = [0.1, 0.1, 0.1, 0.9, 0.9, 0.9].map((value, i) => ({ row: { warmup: Math.floor(i / 3) }, value }))
  assert.deepEqual(
    Object.values(meanOverSeeds(values)).map((v) => Number(v!.toFixed(9))),
    [0.5, 0.5, 0.5],
  )
  assert.deepEqual(meanOverSeeds(values.slice(0, 1)), { value: 0.1, low: null, high: null })
  assert.deepEqual(meanOverSeeds([]), { value: null, low: null, high: null })
})

// Student's t within 1.96 standard errors: 0.90 with 8 seeds over 2 warm-ups (6 degrees of freedom), 0.855 with 5 (3). A share of 800 has a standard error of 0.012.
for (const [seeds, share] of [
  [8, 0.9],
  [5, 0.855],
] as const) {
  test(`intervals of ${seeds} seeds over two warm-ups hold the true mean in about ${100 * share} % of samples`, () => {
    const stream = randomStream(8)
    let held = 0
    for (let time = 0; time < 800; time++) {
      const sample = Array.from({ length: seeds }, (_, i) => ({ row: { warmup: i % 2 }, value: stream.normal() }))
      const { low, high } = meanOverSeeds(sample, { replicates: 400, seed: time })
      if (low! <= 0 && high! >= 0) held++
    }
    near(held / 800, share, 0.03)
  })
}

test('the table of arms', () => {
  const record = recordOf([
    row('uniform', 0, 0.4),
    row('uniform', 1, 0.6),
    row('coupled', 0, 0.5, { state: 'unfinished' }),
  ])
  const [uniform, coupled] = armTable(record, { threshold: 0.5 })
  assert.deepEqual([uniform!.seeds, uniform!.warmups, uniform!.reached, uniform!.minutes], [2, 2, 0.5, 2])
  near(uniform!.final, 0.5)
  near(uniform!.area, 0.35)
  // From 0.2 to 0.6 in 100 steps.
  near(uniform!.stepsToThreshold, 75)
  near(uniform!.finalLow, 0.5 - 0.1 * Math.SQRT2)
  near(uniform!.finalHigh, 0.5 + 0.1 * Math.SQRT2)
  assert.equal(uniform!.paperAccuracy, 52.6)
  assert.deepEqual([coupled!.seeds, coupled!.final], [0, null])
})

test('the power estimate pools the variance of differences about each arm’s own mean', () => {
  const record = recordOf([
    ...[0.4, 0.4, 0.4].map((final, seed) => row('uniform', seed, final)),
    // Differences 0.1 ± 0.01 and -0.05, -0.05, -0.05 + 0.06.
    ...[0.49, 0.5, 0.51].map((final, seed) => row('coupled', seed, final)),
    ...[0.33, 0.33, 0.39].map((final, seed) => row('random', seed, final)),
  ])
  const [points] = powerTable(record, { differences: [0.03] })
  // Sums of squares 0.0002 and 0.0024 with 2 + 2 degrees of freedom.
  near(points!.spread, Math.sqrt(0.0026 / 4))
  assert.equal(points!.pairs, 6)
  assert.equal(points!.seeds, seedsNeeded(0.03, Math.sqrt(0.0026 / 4)))
  assert.ok(points!.spreadLow < points!.spread && points!.spread < points!.spreadHigh)
  assert.ok(points!.seedsHigh > points!.seeds && points!.seedsForAll > points!.seeds)
  assert.deepEqual(powerTable(recordOf([row('uniform', 0, 0.4), row('coupled', 0, 0.5)])), [])
})

test("the paper's accuracies: the first benchmark of an ablation unless another is asked for", () => {
  const arms = (of: ReturnType<typeof paperAccuracies>) => of.map(({ arm, accuracy }) => `${arm} ${accuracy}`)
  assert.deepEqual(arms(paperAccuracies('heads')), ['uniform 37.1', 'targeted 39.2', 'all 36.5'])
  assert.equal(paperAccuracies('strategies')[5]!.accuracy, 63.1)
  const zebra = paperAccuracies('strategies', { benchmark: 'ZebraLogic', model: 'Qwen3-4B-Base' })
  assert.deepEqual(arms(zebra).slice(-2), ['global-anchor 93.2', 'coupled 93.5'])
  assert.deepEqual(paperAccuracies(null), [])
})
