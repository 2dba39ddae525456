import assert from 'node:assert/strict'
import test from 'node:test'
import { crossCorrelation, laggedCorrelation } from '../../lib/analysis/crossCorrelation'
import { measureTraces } from '../../lib/analysis/measureTraces'
import { randomStream } from '../../lib/random/randomStream'
import { near, plantedTrace } from './syntheticTraces'

test('by hand: Pearson correlation of x[t] and y[t + lag] over the tokens that have both', () => {
  const x = [1, 2, 3, 4, 0]
  const y = [9, 2, 4, 6, 8]
  // Pairs (1, 2), (2, 4), (3, 6), (4, 8).
  near(laggedCorrelation(x, y, 1), 1)
  // Pairs (2, 9), (3, 2), (4, 4), (0, 6): deviations -0.25, 0.75, 1.75, -2.25 and 3.75, -3.25, -1.25, 0.75.
  near(laggedCorrelation(x, y, -1), -7.25 / Math.sqrt(8.75 * 26.75))
  // Three pairs at lag 2, two at lag 3.
  near(laggedCorrelation(x, y, 2), 1)
  assert.equal(laggedCorrelation(x, y, 3), null)
  assert.equal(laggedCorrelation([1, 1, 1, 1], [1, 2, 3, 4], 0), null)
})

test('a planted lag is found with its strength, and nothing at other lags', async () => {
  // FAI is WAAD two tokens earlier plus as much noise: correlation 1 / sqrt(2). Entropy is noise alone.
  const traces = Array.from({ length: 30 }, (_, i) => {
    const random = randomStream(6, i)
    const waad = Array.from({ length: 120 }, () => random.normal())
    const fai = waad.map((_, t) => (waad[t - 2] ?? random.normal()) + random.normal())
    return plantedTrace({ id: `t${i}`, waad, fai, receiver: fai, entropy: waad.map(() => random.normal()) })
  })
  const { base } = await measureTraces(() => traces, { base: {} })
  const rows = crossCorrelation(base!, 'set')
  assert.equal(rows.length, 2 * 21)
  for (const { second, lag, correlation, low, high, traces: defined } of rows) {
    assert.equal(defined, 30)
    const expected = second === 'FAI' && lag === 2 ? Math.SQRT1_2 : 0
    // The mean of 30 correlations of 110 pairs or more has a standard error of at most 1 / sqrt(30 * 108) = 0.0176.
    near(correlation, expected, 4.2 * 0.0176)
    assert.ok(low! < correlation! && correlation! < high!)
  }
  const [peak] = rows.filter((row) => row.second === 'FAI' && row.lag === 2)
  assert.ok(peak!.low! > 0.6)
})

test('responses too short for a lag do not count for it', async () => {
  const short = plantedTrace({
    id: 's',
    waad: [1, 2, 4, 3],
    fai: [1, 3, 2, 5],
    receiver: [1, 1, 1, 1],
    entropy: [1, 2, 1, 3],
  })
  const { base } = await measureTraces(() => [short], { base: {} })
  for (const row of crossCorrelation(base!, 'set')) {
    assert.equal(row.traces, Math.abs(row.lag) <= 1 ? 1 : 0)
    assert.equal(row.correlation === null, row.traces === 0)
    assert.equal(row.low, null)
  }
})
