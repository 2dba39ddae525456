import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { randomStream } from '../../lib/random/randomStream'
import { localMaxima, peaks, peaksAtShare, populationStd } from '../../lib/rhythm/peaks'
import { ALL_TRACES, readReference } from '../oracle/reference'

interface ScipyRow {
  x: number[]
  prominences: Record<string, number>
  peaks: Record<string, number[]>
}
const scipy: ScipyRow[] = JSON.parse(readFileSync(join(__dirname, '..', 'fixtures', 'scipy', 'peaks.json'), 'utf8'))

test('local maxima and prominences agree with scipy.signal.find_peaks on 400 series', () => {
  assert.equal(scipy.length, 400)
  for (const { x, prominences } of scipy)
    assert.deepEqual(
      Object.fromEntries(localMaxima(x).map((p) => [String(p.index), p.prominence])),
      prominences,
      String(x),
    )
})

test('peaks at a fraction of the population deviation agree with scipy', () => {
  for (const row of scipy)
    for (const [fraction, expected] of Object.entries(row.peaks))
      assert.deepEqual(peaks(row.x, Number(fraction)), expected, `${fraction} of ${row.x}`)
})

test('by hand: a plateau counts once, at its middle rounded down; ends are never peaks', () => {
  assert.deepEqual(localMaxima([0, 2, 2, 0, 3, 1, 5]), [
    { index: 1, prominence: 2 },
    { index: 4, prominence: 2 },
  ])
  assert.deepEqual(localMaxima([3, 1, 3]), [])
  assert.deepEqual(localMaxima([0, 2, 2]), [])
  assert.deepEqual(localMaxima([1]), [])
  assert.deepEqual(peaks([1, 1, 1, 1], 0.25), [])
})

for (const name of ALL_TRACES)
  test(`${name}: the reference's peaks follow from its series`, () => {
    const { analysis, rl, receiver } = readReference(name)
    for (const key of ['0.25', '0.5', '1.0']) {
      for (const block of [analysis, rl]) {
        assert.deepEqual(peaks(block.waad, Number(key)), block.peaks[key]!.waad)
        assert.deepEqual(peaks(block.fai, Number(key), block.faiValid), block.peaks[key]!.fai)
      }
      assert.deepEqual(peaks(receiver.fai as number[], Number(key)), receiver.peaks[key])
    }
  })

test('share mode: the prominence whose number of peaks comes closest to the share; of two as close, the larger', () => {
  for (const { x, prominences } of scipy) {
    const all = Object.values(prominences)
    for (const share of [0, 0.1, 0.15, 0.184, 0.224, 0.25, 0.5]) {
      // Every outcome that some threshold can give, from no peaks to all of them.
      const counts = [0, ...[...new Set(all)].map((threshold) => all.filter((p) => p >= threshold).length)]
      const distance = (count: number) => Math.abs(count - share * x.length)
      const nearest = Math.min(...counts.map(distance))
      const expected = Math.min(...counts.filter((count) => distance(count) < nearest + 1e-6))
      const chosen = peaksAtShare(x, share)
      assert.equal(chosen.indices.length, expected, `share ${share} of ${x}`)
      const [inside, outside] = [true, false].map((kept) =>
        Object.keys(prominences)
          .filter((index) => chosen.indices.includes(Number(index)) === kept)
          .map((index) => prominences[index]!),
      )
      assert.equal(inside!.length, expected)
      assert.ok(Math.min(...inside!) > Math.max(...outside!))
      if (expected === 0) assert.equal(chosen.prominence, null)
      else assert.ok(Math.abs(chosen.prominence! * populationStd(x) - Math.min(...inside!)) < 1e-9)
    }
  }
})

test('share mode by hand: 5 tokens, 2 maxima; 0.3 of 5 is 1.5 peaks, so the larger prominence holds', () => {
  assert.deepEqual(peaksAtShare([0, 1, 0, 2, 0], 0.3).indices, [3])
  assert.deepEqual(peaksAtShare([0, 1, 0, 2, 0], 0.4).indices, [1, 3])
  assert.deepEqual(peaksAtShare([0, 1, 0, 2, 0], 0.9).indices, [1, 3])
  assert.deepEqual(peaksAtShare([0, 1, 0, 2, 0], 0.05), { indices: [], prominence: null })
  // Equal prominences stand or fall together.
  assert.deepEqual(peaksAtShare([0, 1, 0, 1, 0, 1, 0, 0, 0, 0], 0.1).indices, [])
  assert.deepEqual(peaksAtShare([0, 1, 0, 1, 0, 1, 0, 0, 0, 0], 0.2).indices, [1, 3, 5])
})

test("share mode meets the paper's shares on the real traces to within half a token", () => {
  for (const name of ALL_TRACES) {
    const { waad, fai } = readReference(name).analysis
    assert.ok(Math.abs(peaksAtShare(waad, 0.184).indices.length - 0.184 * waad.length) <= 0.5)
    assert.ok(Math.abs(peaksAtShare(fai, 0.224).indices.length - 0.224 * fai.length) <= 0.5)
  }
})

test('properties: peaks are never adjacent, and more prominence keeps a subset', () => {
  const { uniform } = randomStream(7)
  for (let round = 0; round < 100; round++) {
    const x = Array.from({ length: 60 }, () => Math.round(uniform() * 6))
    const loose = peaks(x, 0.25)
    assert.ok(loose.every((index, i) => i === 0 || index - loose[i - 1]! > 1))
    assert.ok(peaks(x, 1).every((index) => loose.includes(index)))
    assert.ok(
      peaks(
        x,
        0.25,
        x.map((_, i) => i < 30),
      ).every((index) => index < 30),
    )
  }
})

test('bad options are refused', () => {
  assert.throws(() => peaks([1], Number.NaN), /invalid prominence NaN/)
  assert.throws(() => peaksAtShare([1], 2), /invalid peak share 2/)
})
