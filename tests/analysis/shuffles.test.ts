import assert from 'node:assert/strict'
import test from 'node:test'
import type { Selection } from '../../lib/analysis/rhythmRows'
import { circularShiftTest, permutationTest } from '../../lib/analysis/shuffles'
import { randomStream } from '../../lib/random/randomStream'
import { near, separatePositions } from './syntheticTraces'

/** Share of `sets` whose p is at most each level, and what a valid test may give: the level and three binomial deviations. */
function checkLevels(sets: number, pOf: (set: number) => number): void {
  const found = Array.from({ length: sets }, (_, set) => pOf(set))
  for (const level of [0.01, 0.05, 0.1, 0.25, 0.5, 0.9]) {
    const count = found.filter((p) => p <= level).length
    const limit = sets * level + 3 * Math.sqrt(sets * level * (1 - level))
    assert.ok(count <= limit, `p <= ${level} in ${count} of ${sets} sets, expected at most ${limit}`)
  }
}

const binary = (length: number, at: readonly number[]) =>
  Float64Array.from({ length }, (_, t) => (at.includes(t) ? 1 : 0))

test('over 1,000 sets of shuffled traces P(p <= a) <= a, of real and of binary values', () => {
  checkLevels(1000, (set) => {
    const random = randomStream(1, set)
    const selections: Selection[] = [12, 30].map((length) => ({
      values: Float64Array.from({ length }, () => random.normal() ** 3),
      selected: random.permutation(length).slice(0, 5),
    }))
    return permutationTest(selections, { shuffles: 99, seed: set }).p!
  })
  checkLevels(1000, (set) => {
    const random = randomStream(2, set)
    const selections = [25, 40].map((length) => ({
      values: binary(length, separatePositions(random, length, 6)),
      selected: random.permutation(length).slice(0, 7),
    }))
    return permutationTest(selections, { shuffles: 99, seed: set }).p!
  })
})

test('peaks that never touch, anywhere in a slowly changing series: circular shifts keep P(p <= a) <= a', () => {
  checkLevels(1000, (set) => {
    const random = randomStream(3, set)
    const selections = [30, 40].map((length) => {
      const phase = random.uniform()
      const turn = random.below(length)
      return {
        values: Float64Array.from({ length }, (_, t) => Math.sin(2 * Math.PI * (t / length + phase))),
        selected: [0, 2, 4, 7, 9].map((t) => (t + turn) % length).sort((a, b) => a - b),
      }
    })
    return circularShiftTest(selections, { shuffles: 99, seed: set }).p!
  })
})

test('by hand: two values, one selected; half of the arrangements reach the observed mean', () => {
  const selections = [{ values: Float64Array.of(0, 1), selected: [1] }]
  for (const test of [permutationTest, circularShiftTest]) {
    const { baseline, p } = test(selections, { shuffles: 4000 })
    // Four standard errors of a share of 1/2 in 4,000: 0.032.
    near(baseline, 0.5, 0.032)
    near(p, 0.5, 0.032)
  }
})

test('by hand: circular shifts keep the pattern, permutations do not', () => {
  // Two selected tokens two apart on the only two ones: of six shifts one reaches both; of fifteen pairs one does.
  const selections = [{ values: binary(6, [1, 3]), selected: [1, 3] }]
  near(circularShiftTest(selections, { shuffles: 6000 }).p, 1 / 6, 0.02)
  near(permutationTest(selections, { shuffles: 6000 }).p, 1 / 15, 0.013)
})

test('nothing selected has no p; the number of shuffles is checked', () => {
  for (const test of [permutationTest, circularShiftTest]) {
    assert.deepEqual(test([{ values: Float64Array.of(1, 2), selected: [] }]), { baseline: null, p: null })
    assert.deepEqual(test([]), { baseline: null, p: null })
    assert.throws(() => test([], { shuffles: 0 }), /shuffles 0/)
  }
})
