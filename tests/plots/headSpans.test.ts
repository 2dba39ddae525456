import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headSpans } from '../../lib/plots'
import { sampleTrace } from './sampleTrace'

test('a cell for each head, coloured by its span', () => {
  const trace = sampleTrace()
  const [heatmap] = headSpans(trace).data as [{ z: number[][]; hovertext: string[][] }]
  assert.equal(heatmap.z.length, 9)
  assert.equal(heatmap.z[0].length, 30)
  const span = trace.rhythm.spans[12][3] as number
  assert.ok(Math.abs(heatmap.z[3][12] - span) < 1e-3 * span)
  assert.match(heatmap.hovertext[3][12], /^layer 12, head 3<br>looks back [\d.]+ tokens/)
})

test('the three groups are marked where the trace has them, and named with their numbers', () => {
  const trace = sampleTrace()
  const [, local, global, receiver] = headSpans(trace).data as { name: string; x: number[]; y: number[] }[]
  assert.deepEqual([local.name, global.name, receiver.name], ['81 local heads', '81 global heads', '16 receiver heads'])
  const { localHeads } = trace.rhythm.analysis
  assert.deepEqual(
    local.y,
    localHeads.map(([, head]) => head),
  )
  assert.ok(local.x.every((x, i) => Math.abs(x - localHeads[i][0]) < 0.5))
  const [heatmap] = headSpans(trace).data as [{ hovertext: string[][] }]
  const [layer, head] = trace.rhythm.receiver.heads[0]
  assert.match(heatmap.hovertext[head][layer], /receiver head$/)
})

test('the title says how far the groups look: local 55, global 148 tokens in this trace', () => {
  const { title } = headSpans(sampleTrace()).layout as { title: { text: string } }
  assert.equal(title.text, 'Local heads look back 55 tokens on average, global heads 148')
})
