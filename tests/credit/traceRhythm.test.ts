import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { type RhythmOptionsInput, requiredSeries, rhythmOptions } from '../../lib/credit/rhythmOptions'
import { computeTraceRhythm, type TraceRhythmInput } from '../../lib/credit/traceRhythm'
import { parseTraceRhythm } from '../../lib/credit/traceSchema'
import { rhythmFromAttention } from '../../lib/rhythm/fromAttention'
import { headGroups, meanSpans } from '../../lib/rhythm/headGroups'
import { spanTable } from '../../lib/rhythm/headSeries'
import { rhythmBlock } from '../../lib/rhythm/rhythmBlock'
import { headSeriesFromTensors, headSeriesToTensors } from '../../lib/rhythm/seriesTensors'
import { tokenStatistics } from '../../lib/rhythm/tokenSeries'
import { assertClose } from '../oracle/close'
import { randomPatterns } from '../oracle/randomAttention'
import {
  creditPart,
  REFERENCE,
  readReference,
  seriesError,
  TINY_MODELS,
  type VariantOptions,
} from '../oracle/reference'
import { type TinyForward, tinyForward } from '../oracle/tinyDecoder'

function record(
  forward: TinyForward,
  ids: number[],
  promptLength: number,
  given: RhythmOptionsInput = {},
  single = false,
) {
  const { windows, horizons } = requiredSeries(rhythmOptions(given))
  const exact = rhythmFromAttention(forward.attention, promptLength, { windows, horizons })
  const series = single ? headSeriesFromTensors(headSeriesToTensors(exact)).series : exact
  return computeTraceRhythm({
    ids,
    promptLength,
    ...tokenStatistics(forward.logits, ids, promptLength),
    series,
    options: given,
  })
}

function compare(expected: string, actual: unknown): string {
  const folder = mkdtempSync(join(tmpdir(), 'rhythm-compare-'))
  try {
    writeFileSync(join(folder, 'actual.json'), JSON.stringify(actual))
    return execFileSync('python3', [join(REFERENCE, 'compare.py'), expected, join(folder, 'actual.json')], {
      encoding: 'utf8',
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

for (const model of TINY_MODELS) {
  const expected = readReference(`${model}/expected.json`)
  const { ids, promptLength } = expected
  const forward = tinyForward(join(REFERENCE, model), ids)

  test(`${model}: the test decoder's logits are the reference's`, () => {
    expected.logits!.positions.forEach((position, i) => {
      assert.ok(seriesError(forward.logits[position]!, expected.logits!.values[i]!) < 1e-10)
    })
  })

  for (const single of [false, true])
    test(`${model}: the record agrees with the reference, strictly, from ${single ? 32 : 64}-bit series`, () => {
      const report = compare(join(REFERENCE, model, 'expected.json'), record(forward, ids, promptLength, {}, single))
      assert.match(report, /^receiver\.kurtosis: ok$/m)
      assert.match(report, /^rl\.coupling\.introducers: ok$/m)
      assert.doesNotMatch(report, /DIFFERS/)
    })

  for (const { options, expected: block } of expected.variants!)
    test(`${model}: variant ${JSON.stringify(options)}`, () => {
      const actual = record(forward, ids, promptLength, variantInput(options)).rl
      assert.deepEqual(actual.layers, block.layers)
      assert.deepEqual([actual.localHeads, actual.globalHeads], [block.localHeads, block.globalHeads])
      assert.deepEqual([actual.window, actual.horizon, actual.faiValid], [block.window, block.horizon, block.faiValid])
      assert.ok(seriesError(actual.waad, block.waad) < 1e-9)
      assert.ok(seriesError(actual.fai, block.fai) < 1e-9)
      for (const [strategy, gammas] of Object.entries(block.credit))
        assertClose(actual.credit[strategy]!, gammas, 1e-9, strategy)
      const { dominated, introducers } = actual.coupling
      assert.deepEqual({ dominated, introducers }, block.coupling)
    })
}

function variantInput(options: VariantOptions): RhythmOptionsInput {
  const { window, horizon, headShare } = options
  const rl = Object.fromEntries(
    Object.entries({ window, horizon, headShare }).filter(([, value]) => value !== undefined),
  )
  return { rl, credit: creditPart(options) }
}

test('a GRPO batch: mean spans, calibrated heads, and the series through them', () => {
  interface Grpo {
    layers: number[]
    meanSpans: number[][]
    localHeads: number[][]
    globalHeads: number[][]
    responses: {
      ids: number[]
      promptLength: number
      waad: number[]
      fai: number[]
      entropy: number[]
      logprob: number[]
      coupledCredit: number[]
    }[]
  }
  const grpo = readReference<Grpo>('tiny-llama/grpo.json')
  const forwards = grpo.responses.map(({ ids }) => tinyForward(join(REFERENCE, 'tiny-llama'), ids))
  const series = grpo.responses.map(({ promptLength }, i) => rhythmFromAttention(forwards[i]!.attention, promptLength))
  const spans = meanSpans(series.map(spanTable))
  assert.ok(seriesError(spans.flat(), grpo.meanSpans.flat()) < 1e-8)
  const calibrated = headGroups(spans, { layers: grpo.layers })
  assert.deepEqual([calibrated.local, calibrated.global], [grpo.localHeads, grpo.globalHeads])
  grpo.responses.forEach(({ ids, promptLength, ...expected }, i) => {
    const statistics = tokenStatistics(forwards[i]!.logits, ids, promptLength)
    const { rl, entropy, logprob } = computeTraceRhythm({
      ids,
      promptLength,
      ...statistics,
      series: series[i]!,
      calibrated: { rl: calibrated },
    })
    for (const [actual, reference] of [
      [rl.waad, expected.waad],
      [rl.fai, expected.fai],
      [entropy, expected.entropy],
      [logprob, expected.logprob],
    ] as const)
      assert.ok(seriesError(actual, reference) < 1e-8)
    assert.deepEqual(rl.credit.coupled, expected.coupledCredit)
  })
})

function randomInput(responseLength: number, seed = 1): TraceRhythmInput & { ids: number[] } {
  const promptLength = 3
  const length = promptLength + responseLength
  return {
    ids: Array.from({ length }, (_, i) => i),
    promptLength,
    entropy: Array.from({ length: responseLength }, (_, t) => (t * 7) % 5),
    logprob: Array.from({ length: responseLength }, (_, t) => -1 - ((t * 3) % 4)),
    series: rhythmFromAttention(randomPatterns(3, 4, length, seed), promptLength),
  }
}

test('records of every length, one token included, survive JSON and pass the schema: null, never NaN', () => {
  for (let length = 1; length <= 30; length++) {
    const trace = computeTraceRhythm({
      ...randomInput(length),
      options: { strategies: ['random', 'shuffled', 'coupled'] },
    })
    const text = JSON.stringify(trace)
    assert.deepEqual(parseTraceRhythm(JSON.parse(text)), trace)
    assert.equal(trace.rl.delta.at(-1), null)
    assert.deepEqual(trace.rl.faiValid.filter(Boolean).length, Math.max(0, length - 10))
    assert.ok(trace.rl.coupling.dominated.every((t) => trace.rl.faiValid[t]))
  }
  const one = computeTraceRhythm(randomInput(1))
  assert.deepEqual([one.rl.waad.length, one.rl.fai, one.rl.delta, one.rl.credit.coupled], [1, [0], [null], [1]])
  assert.deepEqual(one.receiver.fai, [null])
  assert.equal(
    one.receiver.kurtosis.flat().every((k) => k === null),
    true,
  )
})

test('layer ranges and all heads are options of a block', () => {
  const { rl, analysis } = computeTraceRhythm({
    ...randomInput(20),
    options: { rl: { layers: 'top' }, analysis: { layers: [0, 1], headChoice: 'all' } },
  })
  assert.deepEqual(rl.layers, [2])
  assert.ok([...rl.localHeads, ...rl.globalHeads].every(([layer]) => layer === 2))
  assert.equal(analysis.localHeads.length, 8)
  assert.deepEqual(analysis.globalHeads, analysis.localHeads)
})

test('rhythmBlock works on the five layers that training observes', () => {
  const patterns = randomPatterns(6, 2, 30, 4)
  const all = rhythmFromAttention(patterns, 5)
  const some = rhythmFromAttention([patterns[2]!, patterns[4]!], 5, { layers: [2, 4] })
  const options = {
    layers: [2, 4],
    window: 10,
    horizon: [10, 100],
    headShare: 0.3,
    headChoice: 'targeted',
    prominences: [0.25],
    peakShares: { waad: 0.184, fai: 0.224 },
  } as const
  assert.deepEqual(rhythmBlock(some, options), rhythmBlock(all, options))
  assert.throws(() => rhythmBlock(some, { ...options, layers: [3] }), /layer 3 was not observed: .* layers 2, 4/)
})

test('calibrated receiver heads replace those of the trace', () => {
  const { receiver } = computeTraceRhythm({ ...randomInput(20), calibrated: { receiver: [[1, 2]] } })
  assert.deepEqual(receiver.heads, [[1, 2]])
})

test('input that does not belong together is refused', () => {
  const input = randomInput(12)
  const refuse = (change: object, message: RegExp) =>
    assert.throws(() => computeTraceRhythm({ ...input, ...change }), message)
  refuse({ ids: input.ids.slice(1) }, /head series of 3 \+ 12 tokens for a trace of 3 \+ 11/)
  refuse({ promptLength: 0 }, /invalid prompt length 0/)
  refuse({ promptLength: 15 }, /invalid prompt length 15 for 15 tokens/)
  refuse({ entropy: [1] }, /1 values of entropy for 12 response tokens/)
  refuse({ logprob: new Array(12).fill(Number.NEGATIVE_INFINITY) }, /logprob of response token 0 is -Infinity/)
  refuse({ options: { rl: { window: 7 } } }, /no WAAD series for window 7.*requiredSeries/)
  refuse({ options: { rl: { horizon: [1, 2] } } }, /no FAI series for horizon 1-2/)
  refuse({ options: { excludeSink: true } }, /excludeSink is true but the head series were gathered with the sink/)
  refuse({ options: { receiver: { variant: 'sentence' } } }, /no sentences/)
  const partial = rhythmFromAttention(randomPatterns(2, 2, 15, 1), 3, { layers: [1, 2] })
  refuse({ series: partial }, /layers 1, 2: a trace record needs all layers/)
})
