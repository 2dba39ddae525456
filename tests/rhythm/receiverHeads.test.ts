import assert from 'node:assert/strict'
import test from 'node:test'
import { rhythmFromAttention } from '../../lib/rhythm/fromAttention'
import { kurtosis } from '../../lib/rhythm/kurtosis'
import { receiverBlock } from '../../lib/rhythm/receiverBlock'
import {
  meanKurtosis,
  receiverCount,
  receiverHeads,
  sentenceKurtosis,
  tokenKurtosis,
} from '../../lib/rhythm/receiverHeads'
import { assertClose } from '../oracle/close'
import { randomPatterns } from '../oracle/randomAttention'
import { ALL_TRACES, readReference } from '../oracle/reference'

for (const name of ALL_TRACES)
  test(`${name}: receiver heads follow from the reference's kurtosis`, () => {
    const { receiver } = readReference(name)
    const layers = receiver.kurtosis.map((_, i) => i)
    const count = receiverCount('token', receiver.kurtosis.flat().length)
    assert.deepEqual(receiverHeads(receiver.kurtosis, layers, count), receiver.heads)
  })

test('counts', () => {
  assert.equal(receiverCount('token', 270), 16)
  assert.equal(receiverCount('token', 16), 4)
  assert.equal(receiverCount('token', 5), 2)
  assert.equal(receiverCount('sentence', 270), 20)
})

test('heads without a kurtosis are never chosen; ties go to the earlier head', () => {
  const table = [
    [null, 2],
    [5, 2],
    [null, null],
  ]
  assert.deepEqual(receiverHeads(table, [3, 4, 5], 2), [
    [3, 1],
    [4, 0],
  ])
  assert.equal(receiverHeads(table, [3, 4, 5], 16).length, 3)
})

test('token profiles leave out the last token, which nothing later can attend to', () => {
  const series = rhythmFromAttention(randomPatterns(1, 2, 9, 1), 3)
  const [row] = tokenKurtosis(series)
  assert.equal(row![1], kurtosis(Array.from(series.inbound.subarray(6, 11))))
  assert.notEqual(row![1], kurtosis(Array.from(series.inbound.subarray(6, 12))))
})

test('sentence score: mean over sentences at least `gap` later, the rest dropped', () => {
  // One head, five sentences; only column values with i >= j + 2 count.
  const starts = [0, 3, 5, 9, 11]
  const matrix = [
    [9, 0, 0, 0, 0],
    [9, 9, 0, 0, 0],
    [1, 9, 9, 0, 0],
    [2, 8, 9, 9, 0],
    [3, 6, 4, 9, 9],
  ]
  const series = {
    ...rhythmFromAttention(randomPatterns(1, 1, 13, 1), 4),
    sentences: { starts, values: Float64Array.from(matrix.flat()) },
  }
  // Scores: (1+2+3)/3 = 2, (8+6)/2 = 7, 4.
  assertClose(sentenceKurtosis(series, 2).flat(), [kurtosis([2, 7, 4])])
  // With the paper's gap of 4 one sentence is left, and its kurtosis is undefined.
  assert.deepEqual(sentenceKurtosis(series), [[null]])
  assert.throws(() => sentenceKurtosis(rhythmFromAttention(randomPatterns(1, 1, 5, 1), 2)), /no sentences/)
})

test('the mean over traces leaves out traces in which a head has no kurtosis', () => {
  assert.deepEqual(meanKurtosis([[[1, null, null]], [[3, 5, null]]]), [[2, 5, null]])
})

test('a response of one token has no receiver heads, and says so with nulls', () => {
  const series = rhythmFromAttention(randomPatterns(2, 2, 4, 1), 3)
  const block = receiverBlock(series, {
    variant: 'token',
    count: null,
    layers: [0, 1],
    horizon: [0, null],
    sentenceGap: 4,
    prominences: [0.25],
    peakShare: 0.224,
  })
  assert.deepEqual(block.kurtosis, [
    [null, null],
    [null, null],
  ])
  assert.deepEqual(block.heads, [])
  assert.deepEqual(block.fai, [null])
  assert.deepEqual(block.peaks, { '0.25': [] })
})

test('receiver heads can be limited to layers', () => {
  const series = rhythmFromAttention(randomPatterns(3, 4, 30, 5), 6)
  const options = {
    variant: 'token',
    count: 2,
    horizon: [0, null],
    sentenceGap: 4,
    prominences: [1],
    peakShare: 0.2,
  } as const
  const { heads } = receiverBlock(series, { ...options, layers: [1] })
  assert.equal(heads.length, 2)
  assert.ok(heads.every(([layer]) => layer === 1))
})
