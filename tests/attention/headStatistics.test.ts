import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { HeadStatistics } from '../../lib/attention/headStatistics'
import { AttentionPatterns } from '../../lib/attention/patterns'
import { rhythmOptions } from '../../lib/credit/rhythmOptions'
import { Interrupted, interrupt } from '../../lib/engine/cooperate'
import { tf } from '../../lib/engine/tensorflow'
import { forward } from '../../lib/model/decoder'
import type { LanguageModel } from '../../lib/model/languageModel'
import { loadModel } from '../../lib/model/loadModel'
import type { AttentionBlock, AttentionObserver } from '../../lib/model/observer'
import { rhythmFromAttention } from '../../lib/rhythm/fromAttention'
import type { AnyHeadSeries, HeadSeries, Horizon } from '../../lib/rhythm/headSeries'
import { tokenKurtosis } from '../../lib/rhythm/receiverHeads'
import { rhythmBlock } from '../../lib/rhythm/rhythmBlock'
import { REFERENCE, readReference, seriesError } from '../oracle/reference'

const WINDOWS = [3, 10, 20]
const HORIZONS: Horizon[] = [
  [0, null],
  [10, 100],
  [0, 0],
  [3, 7],
  [5, null],
  [70, 90],
]
const SENTENCES = [0, 5, 17, 30, 31, 66]

let model: LanguageModel
let ids: number[]
let promptLength: number

before(async () => {
  model = await loadModel(join(REFERENCE, 'tiny-llama'))
  ;({ ids, promptLength } = readReference('tiny-llama/expected.json'))
})
after(() => model.dispose())

/** An observer as a user would write it: whole patterns, for small examples only. */
class WholePatterns implements AttentionObserver {
  readonly patterns: number[][][][] = []
  observe({ layer, attention }: AttentionBlock): void {
    const heads = (attention.arraySync() as number[][][][])[0]!
    this.patterns[layer] ??= heads.map(() => [])
    for (const [h, rows] of heads.entries()) this.patterns[layer]![h]!.push(...rows)
  }
}

async function statistics(
  sequences: number[][],
  promptLengths: number[],
  options = {},
  queryRows?: number,
): Promise<HeadSeries[]> {
  const observer = new HeadStatistics({ promptLengths, windows: WINDOWS, horizons: HORIZONS, ...options })
  const states = await forward(model, sequences, { observers: [observer], sizes: { queryRows } })
  states.dispose()
  return observer.results()
}

function assertSame(actual: AnyHeadSeries, expected: AnyHeadSeries, what: string): void {
  const check = (name: string, a: ArrayLike<number>, e: ArrayLike<number>) => {
    const error = seriesError(a, e)
    assert.ok(error < 1e-5, `${what}: ${name} is off by ${error} of its largest value`)
  }
  assert.deepEqual(
    [actual.layers, actual.heads, actual.promptLength, actual.responseLength],
    [expected.layers, expected.heads, expected.promptLength, expected.responseLength],
    what,
  )
  for (const name of ['span', 'lookback', 'inbound'] as const) check(name, actual[name], expected[name])
  for (const [i, { window, values }] of expected.waad.entries()) check(`WAAD ${window}`, actual.waad[i]!.values, values)
  for (const [i, { horizon, values }] of expected.fai.entries()) check(`FAI ${horizon}`, actual.fai[i]!.values, values)
  if (expected.sentences) check('sentences', actual.sentences!.values, expected.sentences.values)
}

async function fromWholePatterns(options = {}): Promise<AnyHeadSeries> {
  const whole = new WholePatterns()
  ;(await forward(model, [ids], { observers: [whole] })).dispose()
  return rhythmFromAttention(whole.patterns, promptLength, { windows: WINDOWS, horizons: HORIZONS, ...options })
}

test('rows of attention sum to 1 and look at nothing later', async () => {
  const whole = new WholePatterns()
  ;(await forward(model, [ids], { observers: [whole], sizes: { queryRows: 16 } })).dispose()
  assert.equal(whole.patterns.length, model.config.numHiddenLayers)
  for (const head of whole.patterns.flat()) {
    assert.equal(head.length, ids.length)
    for (const [t, row] of head.entries()) {
      assert.ok(Math.abs(row.reduce((sum, x) => sum + x, 0) - 1) < 1e-5)
      assert.ok(row.slice(t + 1).every((x) => x === 0))
    }
  }
})

for (const queryRows of [1, 7, 16, 64, 100]) {
  test(`gathered ${queryRows} query rows at a time, the series are those of the whole patterns`, async () => {
    const whole = new WholePatterns()
    const options = { windows: WINDOWS, horizons: HORIZONS, sentenceStarts: SENTENCES }
    const observer = new HeadStatistics({
      promptLengths: [promptLength],
      ...options,
      sentenceStarts: [SENTENCES],
    })
    ;(await forward(model, [ids], { observers: [whole, observer], sizes: { queryRows } })).dispose()
    assertSame(observer.results()[0]!, rhythmFromAttention(whole.patterns, promptLength, options), `${queryRows} rows`)
  })

  test(`gathered ${queryRows} query rows at a time, WAAD and FAI of the head groups are those of the whole sequence at once`, async () => {
    // Kernels add in another order for another size: single heads of deep models may differ by some 1e-5, groups less.
    const block = async (rows: number) => {
      const [series] = await statistics([ids], [promptLength], {}, rows)
      const { prominences, peakShares, analysis } = rhythmOptions()
      const { waad, fai } = rhythmBlock(series!, { ...analysis, layers: series!.layers, prominences, peakShares })
      return [waad, fai] as const
    }
    const [waad, fai] = await block(queryRows)
    const [wholeWaad, wholeFai] = await block(ids.length)
    assert.ok(seriesError(waad, wholeWaad) < 1e-5, `WAAD is off by ${seriesError(waad, wholeWaad)}`)
    assert.ok(seriesError(fai, wholeFai) < 1e-5, `FAI is off by ${seriesError(fai, wholeFai)}`)
  })
}

test('without the sink, the series are those of the renormalised patterns', async () => {
  const [series] = await statistics([ids], [promptLength], { excludeSink: true, sentenceStarts: [SENTENCES] }, 16)
  assertSame(series!, await fromWholePatterns({ excludeSink: true, sentenceStarts: SENTENCES }), 'without sink')
})

test('a padded batch gives each sequence what it gives alone', async () => {
  const sequences = [ids.slice(0, 30), ids, ids.slice(3, 5), ids.slice(10, 75)]
  const prompts = [29, promptLength, 1, 40]
  const together = await statistics(sequences, prompts, {}, 16)
  for (const [i, sequence] of sequences.entries()) {
    const [alone] = await statistics([sequence], [prompts[i]!])
    assertSame(together[i]!, alone!, `sequence ${i}`)
  }
})

test('some layers give the same as all layers', async () => {
  const [all] = await statistics([ids], [promptLength])
  const [some] = await statistics([ids], [promptLength], { layers: [3, 1] })
  assert.deepEqual(some!.layers, [1, 3])
  const size = all!.heads * all!.responseLength
  assert.deepEqual(some!.inbound.subarray(size), all!.inbound.subarray(3 * size, 4 * size))
  assert.deepEqual(some!.lookback.subarray(0, size), all!.lookback.subarray(size, 2 * size))
})

test('without inbound attention the rest is the same, and receiver heads are refused', async () => {
  const [full] = await statistics([ids], [promptLength])
  const [part] = await statistics([ids], [promptLength], { inbound: false })
  assert.deepEqual({ ...part!, inbound: null }, { ...full!, inbound: null })
  assert.ok(full!.inbound.length > 0)
  assert.throws(() => tokenKurtosis(part!), /no inbound attention: ask the forward pass for it/)
})

test('without look-back distances of tokens the spans of the heads and the rest are the same', async () => {
  for (const excludeSink of [false, true])
    for (const queryRows of [7, 100]) {
      const [full] = await statistics([ids], [promptLength], { excludeSink }, queryRows)
      const [part] = await statistics([ids], [promptLength], { excludeSink, lookback: false }, queryRows)
      assert.equal(part!.lookback.length, 0)
      assertSame({ ...part!, lookback: full!.lookback }, full!, `${queryRows} query rows`)
    }
})

test('observing changes no state by a bit', async () => {
  const plain = await forward(model, [ids])
  const observed = await forward(model, [ids], { observers: [new HeadStatistics({ promptLengths: [promptLength] })] })
  assert.deepEqual(observed.dataSync(), plain.dataSync())
  tf.dispose([plain, observed])
})

test('maps of head groups are means of the patterns, and of cells where they are downsampled', async () => {
  const whole = new WholePatterns()
  const fine = new AttentionPatterns({
    groups: {
      two: [
        [0, 1],
        [2, 3],
      ],
    },
  })
  const coarse = new AttentionPatterns({
    groups: {
      two: [
        [0, 1],
        [2, 3],
      ],
    },
    cells: 30,
  })
  ;(await forward(model, [ids], { observers: [whole, fine, coarse], sizes: { queryRows: 16 } })).dispose()
  const at = (t: number, s: number) => ((whole.patterns[0]![1]![t]![s] ?? 0) + (whole.patterns[2]![3]![t]![s] ?? 0)) / 2
  const full = fine.results().two!
  assert.deepEqual([full.size, full.tokensPerCell], [80, 1])
  const expected = Array.from({ length: 6400 }, (_, i) => at(Math.floor(i / 80), i % 80))
  assert.ok(seriesError(full.values, expected) < 1e-6)

  const small = coarse.results().two!
  assert.deepEqual([small.size, small.tokensPerCell], [27, 3])
  // The last cell has two positions only.
  const cell = (i: number) => [3 * i, 3 * i + 1, 3 * i + 2].filter((p) => p < 80)
  const means = Array.from({ length: 27 * 27 }, (_, i) => {
    const [rows, keys] = [cell(Math.floor(i / 27)), cell(i % 27)]
    return rows.flatMap((t) => keys.map((s) => at(t, s))).reduce((sum, x) => sum + x, 0) / (rows.length * keys.length)
  })
  assert.ok(seriesError(small.values, means) < 1e-5)
})

test('a response of one token has a trace', async () => {
  const [series] = await statistics([ids.slice(0, 6)], [5])
  assert.equal(series!.responseLength, 1)
  assert.ok(series!.inbound.every((x) => x === 0))
  assertSame(series!, { ...series!, lookback: series!.span }, 'one token: its look-back is the span')
})

test('requests that make no sense are refused by name', async () => {
  await assert.rejects(statistics([ids], [0]), /prompt of 0/)
  await assert.rejects(statistics([ids], [80]), /prompt of 80/)
  await assert.rejects(statistics([ids], []), /0 prompt lengths for 1 sequences/)
  await assert.rejects(statistics([ids], [5], { layers: [4] }), /layer 4; the model has layers 0 to 3/)
  assert.throws(() => new HeadStatistics({ promptLengths: [1], windows: [0] }), /window 0/)
  assert.throws(() => new HeadStatistics({ promptLengths: [1], horizons: [[5, 4]] }), /horizon \[5, 4\]/)
  assert.throws(() => new AttentionPatterns({ groups: { none: [] } }), /'none' has no heads/)
  await assert.rejects(forward(model, []), /no sequences/)
  await assert.rejects(forward(model, [[]]), /sequence 0 is empty/)
  await assert.rejects(forward(model, [[128]]), /id 128 at 0; ids are integers from 0 to 127/)
  await assert.rejects(forward(model, [Array(257).fill(1)]), /257 tokens, the model's context is 256/)
})

test('nothing is left behind: not after a pass, an error in an observer, or an interrupt', async () => {
  const run = (observer: AttentionObserver) => forward(model, [ids], { observers: [observer], sizes: { queryRows: 8 } })
  ;(await run(new HeadStatistics({ promptLengths: [promptLength] }))).dispose()
  const held = tf.memory().numTensors
  ;(await run(new HeadStatistics({ promptLengths: [promptLength] }))).dispose()
  assert.equal(tf.memory().numTensors, held, 'after a pass')

  const failing: AttentionObserver = {
    observe({ layer }) {
      if (layer === 2) throw new Error('mine')
    },
  }
  // The first observer of whole patterns makes the constants of its shapes; the second leaves nothing more.
  await assert.rejects(run(failing), /mine/)
  const heldThen = tf.memory().numTensors
  await assert.rejects(run(failing), /mine/)
  assert.equal(tf.memory().numTensors, heldThen, 'after an error')

  const interrupting: AttentionObserver = { observe: () => interrupt() }
  await assert.rejects(run(interrupting), Interrupted)
  assert.equal(tf.memory().numTensors, heldThen, 'after an interrupt')
  const stopped = new AbortController()
  stopped.abort('enough')
  await assert.rejects(forward(model, [ids], { signal: stopped.signal }), /interrupted: enough/)
  assert.equal(tf.memory().numTensors, heldThen, 'after an abort')
})

test('a row that looks at the sink alone counts as nothing once the sink is left out', () => {
  // One head, four tokens, a prompt of one. Row 2 looks at position 0 only.
  const pattern = [
    [1, 0, 0, 0],
    [0.5, 0.5, 0, 0],
    [1, 0, 0, 0],
    [0.6, 0.1, 0.3, 0],
  ]
  const observer = new HeadStatistics({ promptLengths: [1], windows: [2], horizons: [[1, null]], excludeSink: true })
  observer.begin({ layers: 1, heads: 1, lengths: [4] })
  tf.tidy(() => observer.observe({ layer: 0, rowStart: 0, attention: tf.tensor4d([[pattern]]), lengths: [4] }))
  observer.end()
  const [series] = observer.results()
  const close = (actual: ArrayLike<number>, expected: number[]) =>
    assert.ok(seriesError(actual, expected) < 1e-6, `${[...Array.from(actual)]}`)
  // Row 3 becomes 0.25 on position 1 (distance 2) and 0.75 on position 2 (distance 1).
  close(series!.lookback, [0, 0, 1.25])
  close(series!.waad[0]!.values, [0, 0, 1.25])
  close(series!.span, [1.25 / 3])
  // Position 1 is seen by row 2 (nothing) and row 3; position 2 by row 3.
  close(series!.inbound, [0.125, 0.75, 0])
})
