import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attentionMaps, type PlottedTrace } from '../../lib/plots'
import { attention, sampleTrace } from './sampleTrace'

type Heatmap = { z: number[][]; x: string[]; y: string[] }

test('both maps hold the lower triangle of the response, in percent', () => {
  const trace = sampleTrace()
  const [local, global] = attentionMaps(trace).data as Heatmap[]
  assert.equal(local.z.length, 246)
  assert.deepEqual(
    local.z.map((row) => row.length),
    Array.from({ length: 246 }, (_, i) => i + 1),
  )
  const prompt = trace.rhythm.promptLength
  const expected = 100 * attention(prompt + 200, prompt + 17)
  assert.ok(Math.abs(global.z[200][17] - expected) < 0.06 * expected)
})

test('cells are named by their tokens', () => {
  const trace = sampleTrace()
  const [local] = attentionMaps(trace).data as Heatmap[]
  const t = trace.tokens.indexOf(' island', trace.rhythm.promptLength) - trace.rhythm.promptLength
  assert.equal(local.x[t], `${t} ·island`)
  assert.equal(local.y[t], local.x[t])
})

test('a range is cut out', () => {
  const [local] = attentionMaps(sampleTrace(), { range: [60, 140] }).data as Heatmap[]
  assert.equal(local.z.length, 80)
  assert.match(local.x[0], /^60 /)
})

test('2,000 tokens stay light: averaged over bins, only pairs that attend count', () => {
  const length = 2000
  const base = sampleTrace()
  const size = 500
  const values = new Float32Array(size * size)
  for (let row = 0; row < size; row++) for (let column = 0; column <= row; column++) values[row * size + column] = 0.25
  const map = { size, tokensPerCell: 4, values }
  const trace: PlottedTrace = {
    rhythm: { ...base.rhythm, promptLength: 0 },
    tokens: Array.from({ length }, (_, i) => ` t${i}`),
    maps: { local: map, global: map },
  }
  const figure = attentionMaps(trace, { maxCells: 128 })
  const [local] = figure.data as Heatmap[]
  assert.equal(local.z.length, 125)
  assert.ok(local.z.every((row) => row.every((value) => value === 25)))
  assert.match(local.x[1], /^16 ·t16…·t31$/)
  assert.ok(JSON.stringify(figure).length < 300_000)
})

test('a trace without maps says how to get them', () => {
  assert.throws(() => attentionMaps({ ...sampleTrace(), maps: null }), /mapCells/)
})
