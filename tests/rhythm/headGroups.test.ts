import assert from 'node:assert/strict'
import test from 'node:test'
import { groupMean, headGroups, headTurnover, meanSpans } from '../../lib/rhythm/headGroups'
import { resolveLayers } from '../../lib/rhythm/layerRange'
import { shareCount } from '../../lib/rhythm/shareCount'
import { ALL_TRACES, readReference } from '../oracle/reference'

test('ceil(q n) heads each; ties go to the earlier head at both ends', () => {
  const spans = [
    [2, 1, 1],
    [1, 3, 3],
    [3, 3, 2],
  ]
  assert.deepEqual(headGroups(spans), {
    local: [
      [0, 1],
      [0, 2],
      [1, 0],
    ],
    global: [
      [1, 1],
      [1, 2],
      [2, 0],
    ],
  })
  assert.deepEqual(headGroups(spans, { share: 0.1 }), { local: [[0, 1]], global: [[1, 1]] })
  assert.deepEqual(headGroups(spans, { share: 0.2, layers: [2, 1] }), {
    local: [
      [1, 0],
      [2, 2],
    ],
    global: [
      [1, 1],
      [1, 2],
    ],
  })
  assert.equal(headGroups(spans, { choice: 'all' }).local.length, 9)
  assert.deepEqual(headGroups([[5]]), { local: [[0, 0]], global: [[0, 0]] })
})

test('a share that is a decimal number is not rounded up by binary fractions', () => {
  assert.equal(shareCount(0.07, 100), 7)
  assert.equal(shareCount(0.4, 5), 2)
  assert.equal(shareCount(0.4, 6), 3)
  assert.equal(shareCount(1, 7), 7)
  assert.equal(shareCount(0, 7), 0)
  assert.equal(shareCount(0.0001, 7), 1)
})

for (const name of ALL_TRACES)
  test(`${name}: layers and head groups follow from the reference's spans`, () => {
    const { spans, analysis, rl } = readReference(name)
    for (const [range, block] of [
      ['all', analysis],
      ['rl-five', rl],
    ] as const) {
      const layers = resolveLayers(range, spans.length)
      assert.deepEqual(layers, block.layers)
      const groups = headGroups(spans, { layers })
      assert.deepEqual(groups.local, block.localHeads)
      assert.deepEqual(groups.global, block.globalHeads)
    }
  })

for (const model of ['tiny-llama', 'tiny-qwen3'])
  test(`${model}: a smaller head share gives the reference's variant`, () => {
    const { spans, rl, variants } = readReference(`${model}/expected.json`)
    const variant = variants!.find((v) => v.options.headShare !== undefined)!
    const groups = headGroups(spans, { layers: rl.layers, share: variant.options.headShare! })
    assert.deepEqual(groups, { local: variant.expected.localHeads, global: variant.expected.globalHeads })
  })

test('calibrated groups come from mean spans over traces', () => {
  const grpo = readReference<{ layers: number[]; meanSpans: number[][]; localHeads: number[]; globalHeads: number[] }>(
    'tiny-llama/grpo.json',
  )
  const groups = headGroups(grpo.meanSpans, { layers: grpo.layers })
  assert.deepEqual(groups, { local: grpo.localHeads, global: grpo.globalHeads })
  assert.deepEqual(
    meanSpans([
      [[1, 2], [3]],
      [[3, 4], [5]],
    ]),
    [[2, 3], [4]],
  )
  assert.throws(() => meanSpans([]), /no traces/)
  assert.throws(() => meanSpans([[[1, 2]], [[1]]]), /trace 1 has spans of another shape/)
})

test('turnover is the share of heads that a group did not have before', () => {
  assert.equal(
    headTurnover(
      [
        [0, 1],
        [2, 3],
      ],
      [
        [2, 3],
        [4, 5],
      ],
    ),
    0.5,
  )
})

test('a group mean averages the rows of its heads, whatever layers were observed', () => {
  const series = { layers: [4, 7], heads: 2, responseLength: 2 }
  // Rows: [4,0], [4,1], [7,0], [7,1].
  const values = [1, 2, 10, 20, 100, 200, 1000, 2000]
  assert.deepEqual(
    groupMean(series, values, [
      [4, 1],
      [7, 1],
    ]),
    [505, 1010],
  )
  assert.throws(() => groupMean(series, values, [[5, 0]]), /head \[5, 0\] was not observed: .* layers 4, 7/)
  assert.throws(() => groupMean(series, values, [[4, 2]]), /not observed/)
  assert.throws(() => groupMean(series, values, []), /no heads/)
  assert.throws(() => groupMean(series, [1, 2], [[4, 0]]), /has 2 values, expected 2 layers/)
})

test('bad spans and shares are refused', () => {
  assert.throws(() => headGroups([[1]], { share: 0 }), /share 0: not in \(0, 1\]/)
  assert.throws(() => headGroups([[1, Number.NaN]]), /span of head \[0, 1\] is NaN/)
  assert.throws(() => headGroups([[1]], { layers: [1] }), /no spans for layer 1/)
  assert.throws(() => headGroups([]), /no heads/)
})
