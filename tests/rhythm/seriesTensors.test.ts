import assert from 'node:assert/strict'
import test from 'node:test'
import { rhythmFromAttention } from '../../lib/rhythm/fromAttention'
import { headSeriesFromTensors, headSeriesToTensors } from '../../lib/rhythm/seriesTensors'
import { randomPatterns } from '../oracle/randomAttention'

const exact = rhythmFromAttention(randomPatterns(2, 3, 20, 2), 6, {
  windows: [5, 10],
  horizons: [
    [0, null],
    [2, 8],
  ],
  sentenceStarts: [0, 4, 11],
  excludeSink: true,
  layers: [3, 8],
})
const maps = { local: { size: 2, tokensPerCell: 10, values: Float32Array.of(1, 0, 0.5, 0.5) } }

test('names, shapes and metadata are as documented', () => {
  const { tensors, metadata } = headSeriesToTensors(exact, maps)
  assert.deepEqual(Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, t.shape])), {
    span: [2, 3],
    lookback: [2, 3, 14],
    inbound: [2, 3, 14],
    'waad.5': [2, 3, 14],
    'waad.10': [2, 3, 14],
    'fai.0-end': [2, 3, 14],
    'fai.2-8': [2, 3, 14],
    sentences: [2, 3, 3, 3],
    'maps.local': [2, 2],
  })
  assert.ok(Object.values(metadata).every((value) => typeof value === 'string'))
})

test('series come back bit for bit, whatever order a file lists its tensors in', () => {
  const { tensors, metadata } = headSeriesToTensors(exact, maps)
  const { series } = headSeriesFromTensors({ tensors, metadata })
  const reversed = Object.fromEntries(Object.entries(tensors).reverse())
  const again = headSeriesFromTensors({ tensors: reversed, metadata })
  assert.deepEqual(again.maps, maps)
  assert.deepEqual(headSeriesToTensors(again.series, again.maps).metadata, metadata)
  for (const [name, { data }] of Object.entries(headSeriesToTensors(again.series, maps).tensors))
    assert.deepEqual(data, tensors[name]!.data)
  assert.deepEqual(series.layers, [3, 8])
  assert.equal(series.sinkExcluded, true)
  assert.deepEqual(series.sentences?.starts, [0, 4, 11])
  assert.deepEqual(
    series.fai.map((f) => f.horizon),
    [
      [0, null],
      [2, 8],
    ],
  )
  assert.deepEqual(series.span, Float32Array.from(exact.span))
})

test('damaged files are refused by name', () => {
  const { tensors, metadata } = headSeriesToTensors(exact)
  const { lookback, ...rest } = tensors
  const short = { shape: [2, 3, 14], data: lookback!.data.subarray(1) }
  assert.throws(() => headSeriesFromTensors({ tensors: rest, metadata }), /without tensor 'lookback'/)
  assert.throws(() => headSeriesFromTensors({ tensors: {}, metadata }), /without tensor 'span'/)
  assert.throws(
    () => headSeriesFromTensors({ tensors: { ...rest, lookback: short }, metadata }),
    /'lookback' has shape \[2,3,14\] and 83 values/,
  )
  assert.throws(() => headSeriesFromTensors({ tensors, metadata: {} }), /not a head-series file/)
  assert.throws(
    () => headSeriesFromTensors({ tensors, metadata: { ...metadata, layers: '{' } }),
    /'layers' is '\{', expected a list/,
  )
  assert.throws(
    () => headSeriesFromTensors({ tensors: { ...tensors, 'fai.x': tensors.inbound! }, metadata }),
    /names no horizon/,
  )
})
