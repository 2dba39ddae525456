import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { randomStream } from '../../lib/random/randomStream'
import { averageAccuracy, bootstrapMean, meanPassAtK, passAtK } from '../../lib/tasks/passAtK'

/** The share of all choices of k of the n responses that hold a right one, by listing them. */
function byListing(n: number, c: number, k: number): number {
  let all = 0
  let hits = 0
  for (let set = 0; set < 2 ** n; set++) {
    const members = Array.from({ length: n }, (_, i) => i).filter((i) => set & (1 << i))
    if (members.length !== k) continue
    all++
    if (members.some((i) => i < c)) hits++
  }
  return hits / all
}

describe('pass@k', () => {
  test('is the share of choices of k responses with a right one', () => {
    for (let n = 1; n <= 8; n++)
      for (let c = 0; c <= n; c++)
        for (let k = 1; k <= n; k++)
          assert.ok(Math.abs(passAtK(n, c, k) - byListing(n, c, k)) < 1e-12, `${n} ${c} ${k}`)
  })

  test('has the values worked by hand', () => {
    assert.equal(passAtK(10, 3, 1), 0.30000000000000004)
    assert.ok(Math.abs(passAtK(4, 1, 2) - 1 / 2) < 1e-15)
    assert.ok(Math.abs(passAtK(200, 1, 100) - 0.5) < 1e-12)
    assert.equal(passAtK(5, 0, 3), 0)
    assert.equal(passAtK(5, 5, 1), 1)
    const mean = meanPassAtK(
      [
        [true, false, false, false],
        [false, false, false, false],
      ],
      2,
    )
    assert.ok(Math.abs(mean.value - 1 / 4) < 1e-15)
  })

  test('refuses impossible counts', () => {
    for (const [n, c, k] of [
      [4, 5, 1],
      [4, -1, 1],
      [4, 2, 5],
      [4, 2, 0],
      [4, 1.5, 1],
    ] as [number, number, number][])
      assert.throws(() => passAtK(n, c, k), /invalid n 4, c/)
    assert.throws(() => meanPassAtK([[true]], 2), RangeError)
  })
})

describe('an average with its interval', () => {
  test('is the mean over items, in an interval as wide as the normal one', () => {
    const stream = randomStream(4)
    const correct = Array.from({ length: 512 }, () => {
      const difficulty = stream.uniform()
      return Array.from({ length: 8 }, () => stream.uniform() < difficulty)
    })
    const shares = correct.map((responses) => responses.filter(Boolean).length / 8)
    const mean = shares.reduce((a, b) => a + b) / 512
    const deviation = Math.sqrt(shares.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 511)
    const { value, low, high } = averageAccuracy(correct, { seed: 1 })
    const half = (1.96 * deviation) / Math.sqrt(512)
    assert.ok(Math.abs(value - mean) < 1e-12)
    assert.ok(Math.abs(low - (mean - half)) < 0.1 * half && Math.abs(high - (mean + half)) < 0.1 * half)
    assert.deepEqual(averageAccuracy(correct, { seed: 1 }), { value, low, high })
    const narrow = averageAccuracy(correct, { confidence: 0.5 })
    assert.ok(narrow.high - narrow.low < high - low)
  })

  test('covers the truth about as often as it says', () => {
    const stream = randomStream(9)
    let covered = 0
    for (let run = 0; run < 200; run++) {
      const { low, high } = bootstrapMean(
        Array.from({ length: 60 }, () => (stream.uniform() < 0.4 ? 1 : 0)),
        { seed: run, resamples: 400 },
      )
      if (low <= 0.4 && 0.4 <= high) covered++
    }
    assert.ok(covered >= 176 && covered <= 199, `${covered}`)
  })

  test('is a point where all are equal, and refuses what has no mean', () => {
    assert.deepEqual(averageAccuracy([[true], [true]]), { value: 1, low: 1, high: 1 })
    assert.throws(() => averageAccuracy([]), /invalid values/)
    assert.throws(() => averageAccuracy([[]]), /invalid values/)
    assert.throws(() => bootstrapMean([1], { confidence: 1 }), /invalid confidence 1/)
    assert.throws(() => bootstrapMean([1], { resamples: 5 }), /invalid resamples 5/)
  })
})
