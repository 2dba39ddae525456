import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rhythmTraces } from '../../lib/plots'
import { sampleTrace } from './sampleTrace'

type Line = { name: string; mode: string; x: string[]; y: (number | null)[]; yaxis: string }

test('four panels share one token axis', () => {
  const { data, layout } = rhythmTraces(sampleTrace())
  const lines = (data as Line[]).filter((trace) => trace.mode === 'lines')
  assert.deepEqual(
    lines.map((line) => line.name),
    ['receiver FAI', 'global FAI', 'WAAD', 'entropy'],
  )
  assert.deepEqual(
    lines.map((line) => line.yaxis),
    ['y', 'y2', 'y3', 'y4'],
  )
  for (const line of lines) assert.equal(line.x.length, 246)
  const xaxis = layout.xaxis as { type: string; range: number[] }
  assert.equal(xaxis.type, 'category')
  assert.deepEqual(xaxis.range, [-0.5, 245.5])
})

test('peaks are where the trace says, at the height of their line', () => {
  const trace = sampleTrace()
  const data = rhythmTraces(trace, { prominence: 0.5 }).data as Line[]
  const waad = data.find((line) => line.name === 'WAAD')!
  const marks = data.find((line) => line.name === 'WAAD peaks')!
  const expected = trace.rhythm.analysis.peaks['0.5'].waad
  assert.ok(expected.length > 5)
  assert.deepEqual(
    marks.x.map((label) => Number(label.split(' ')[0])),
    expected,
  )
  assert.deepEqual(
    marks.y,
    expected.map((t) => waad.y[t]),
  )
})

test('hovering names the token: position, then text with its space visible', () => {
  const { rhythm, tokens } = sampleTrace()
  const [line] = rhythmTraces({ rhythm, tokens }).data as Line[]
  const t = tokens.indexOf(' island', rhythm.promptLength) - rhythm.promptLength
  assert.ok(t >= 0)
  assert.equal(line.x[t], `${t} ·island`)
  assert.equal(new Set(line.x).size, line.x.length)
})

test('token text that looks like markup is escaped', () => {
  const trace = sampleTrace()
  const tokens = [...trace.tokens]
  tokens[trace.rhythm.promptLength] = '<b>&'
  const [line] = rhythmTraces({ ...trace, tokens }).data as Line[]
  assert.equal(line.x[0], '0 &lt;b&gt;&amp;')
})

test('FAI is in percent', () => {
  const trace = sampleTrace()
  const fai = (rhythmTraces(trace).data as Line[]).find((line) => line.name === 'global FAI')!
  assert.ok(Math.abs(fai.y[100]! - 100 * (trace.rhythm.analysis.fai[100] as number)) < 1e-4)
})

test('a prominence that the trace lacks, and tokens of another text, are refused by name', () => {
  const trace = sampleTrace()
  assert.throws(() => rhythmTraces(trace, { prominence: 0.3 }), /prominence 0\.3.*0\.25, 0\.5, 1\.0/)
  assert.throws(() => rhythmTraces({ ...trace, tokens: ['a'] }), /1 entries; expected 336/)
})
