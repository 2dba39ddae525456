import assert from 'node:assert/strict'
import test from 'node:test'
import type { AnalysisTrace } from '../../lib/analysis/analysisTrace'
import { HeadCalibrator } from '../../lib/analysis/calibrateHeads'
import { type MeasureOptions, measureName, measureOptions } from '../../lib/analysis/measureOptions'
import { measureTraces } from '../../lib/analysis/measureTraces'
import { traceMeasures } from '../../lib/analysis/traceMeasures'
import { computeTraceRhythm } from '../../lib/credit/traceRhythm'
import { type FromAttentionOptions, rhythmFromAttention } from '../../lib/rhythm/fromAttention'
import { receiverBlock } from '../../lib/rhythm/receiverBlock'
import { randomPatterns } from '../oracle/randomAttention'
import { near, plantedTrace, spikes } from './syntheticTraces'

const R = 40
/** A trace of random attention, six layers of four heads, as a forward pass would have stored it. */
function attentionTrace(id: string, seed: number): AnalysisTrace {
  const attention = randomPatterns(6, 4, R + 5, seed)
  const given: FromAttentionOptions = { windows: [5, 10], sentenceStarts: [0, 5, 12, 18, 25, 31, 38] }
  const series = rhythmFromAttention(attention, 5, given)
  const entropy = Array.from({ length: R }, (_, t) => 1 + Math.sin(t + seed))
  const ids = Array.from({ length: R + 5 }, (_, i) => i)
  return {
    id,
    record: computeTraceRhythm({ ids, promptLength: 5, entropy, logprob: entropy, series }),
    series,
    withoutSink: rhythmFromAttention(attention, 5, { ...given, excludeSink: true }),
  }
}

const trace = attentionTrace('a', 1)
const measure = (options: Partial<MeasureOptions>, of = trace) => traceMeasures(of, measureOptions(options))

test("the default measures are those of the trace's own record", () => {
  const { waad, fai, receiverFai, heads, valid, layers } = measure({})
  const { analysis, receiver } = trace.record
  assert.deepEqual({ waad, fai, valid, layers }, pick(analysis.waad, analysis.fai, analysis.faiValid, analysis.layers))
  assert.deepEqual(heads, { local: analysis.localHeads, global: analysis.globalHeads, receiver: receiver.heads })
  assert.deepEqual(receiverFai, receiver.fai)
})

const pick = (waad: number[], fai: number[], valid: boolean[], layers: number[]) => ({ waad, fai, valid, layers })

test('layers, window, horizon, share and receiver variant are those of a record made with these options', () => {
  const receiver = { variant: 'sentence', layers: 'top', count: 3, horizon: [10, 100] } as const
  const analysis = { layers: 'top', headShare: 0.5, window: 5, horizon: [10, 100] } as const
  const { ids, promptLength, entropy, logprob } = trace.record
  const made = computeTraceRhythm({
    ids,
    promptLength,
    entropy,
    logprob,
    series: trace.series!,
    options: { analysis, receiver },
  })
  const found = measure({ ...analysis, receiverVariant: 'sentence', receiverCount: 3 })
  assert.deepEqual(found.layers, [4, 5])
  assert.deepEqual(found.waad, made.analysis.waad)
  assert.deepEqual(found.fai, made.analysis.fai)
  assert.deepEqual(found.receiverFai, made.receiver.fai)
  assert.deepEqual(found.heads.receiver, made.receiver.heads)
  assert.deepEqual(
    found.valid,
    Array.from({ length: R }, (_, t) => t < R - 10),
  )
})

test('without the sink, heads and series come from the second set of series', () => {
  const { waad, receiverFai, heads } = measure({ excludeSink: true })
  const { ids, promptLength, entropy, logprob } = trace.record
  const series = trace.withoutSink!
  const made = computeTraceRhythm({ ids, promptLength, entropy, logprob, series, options: { excludeSink: true } })
  assert.deepEqual(waad, made.analysis.waad)
  assert.deepEqual(heads.local, made.analysis.localHeads)
  assert.deepEqual(receiverFai, made.receiver.fai)
  assert.throws(
    () => measure({ excludeSink: true }, { ...trace, withoutSink: undefined }),
    /no head series without the/,
  )
})

test('calibrated heads are those of the mean spans and mean kurtosis, the same for every trace', async () => {
  const traces = [trace, attentionTrace('b', 2), attentionTrace('c', 3)]
  const { set, own } = await measureTraces(() => traces, { set: { heads: 'calibrated' }, own: {} })
  const mean = (of: (t: AnalysisTrace) => number[]) =>
    of(trace).map((_, i) => traces.reduce((sum, t) => sum + of(t)[i]!, 0) / traces.length)
  const headOf = (i: number) => [Math.floor(i / 4), i % 4]
  const ranked = (values: number[]) => values.map((value, i) => ({ value, i })).sort((x, y) => x.value - y.value)
  const ascending = (chosen: { i: number }[]) =>
    chosen
      .map(({ i }) => i)
      .sort((x, y) => x - y)
      .map(headOf)
  const spans = ranked(mean((t) => t.record.spans.flat()))
  const kurtosis = ranked(mean((t) => t.record.receiver.kurtosis.flat().map((k) => k!)))
  for (const { heads } of set!) {
    // 30 % of 24 heads are 7.2, so 8; a quarter are 6 receiver heads.
    assert.deepEqual(heads.local, ascending(spans.slice(0, 8)))
    assert.deepEqual(heads.global, ascending(spans.slice(-8)))
    assert.deepEqual(heads.receiver, ascending(kurtosis.slice(-6)))
  }
  assert.notDeepEqual(own![1]!.heads, set![1]!.heads)
  const block = receiverBlock(
    traces[1]!.series!,
    { variant: 'token', count: 6, layers: [0], horizon: [0, null], sentenceGap: 4, prominences: [], peakShare: 0.2 },
    set![1]!.heads.receiver,
  )
  assert.deepEqual(set![1]!.receiverFai, block.fai)
})

test('heads calibrated on other traces can be used', async () => {
  const options = measureOptions({ heads: 'calibrated' })
  const calibrator = new HeadCalibrator([options])
  calibrator.add(attentionTrace('b', 2))
  const { set } = await measureTraces(() => [trace], { set: options }, { calibration: calibrator.result() })
  assert.deepEqual(set![0]!.heads, measure({}, attentionTrace('b', 2)).heads)
  assert.throws(() => measure({ heads: 'calibrated' }), /calibrated over traces/)
})

test('a record without series gives its own measures and refuses others', () => {
  const record = { ...trace, series: undefined, withoutSink: undefined }
  const { heads: _, ...expected } = measure({})
  const { heads, ...found } = measure({}, record)
  assert.deepEqual(found, expected)
  assert.deepEqual(heads.receiver, trace.record.receiver.heads)
  for (const [options, message] of [
    [{ window: 5 }, /window 10, not 5/],
    [{ layers: 'top' }, /layers 0,1,2,3,4,5, not 4,5/],
    [{ horizon: [10, 100] }, /horizon 0-end, not 10-100/],
    [{ headShare: 0.2 }, /headShare 0.3, not 0.2/],
    [{ receiverVariant: 'sentence' }, /receiverVariant token, not sentence/],
    [{ receiverCount: 3 }, /receiverCount 6, not 3/],
    [{ excludeSink: true }, /excludeSink false, not true/],
  ] as [Partial<MeasureOptions>, RegExp][])
    assert.throws(() => measure(options, record), message)
})

test('what the files do not hold is named, as are options out of range', async () => {
  assert.throws(() => measure({ window: 12 }), /no WAAD series for window 12: these head series have 5, 10/)
  assert.throws(() => measure({ horizon: [3, 9] }), /no FAI series for horizon 3-9/)
  assert.throws(() => measureOptions({ headShare: 0 }), /headShare 0/)
  assert.throws(() => measureOptions({ windows: 3 } as never), /unknown measure option 'windows'/)
  assert.throws(() => measureOptions({ heads: 'mine' } as never), /heads 'mine'/)
  await assert.rejects(
    measureTraces(() => [trace, trace], { a: {} }),
    /trace a comes twice/,
  )
  await assert.rejects(
    measureTraces(() => [], { a: {} }),
    /no traces/,
  )
  const other = plantedTrace({
    id: 'x',
    waad: spikes(9, []),
    fai: spikes(9, []),
    receiver: spikes(9, []),
    entropy: spikes(9, []),
  })
  assert.throws(() => traceMeasures({ ...trace, record: other.record }, measureOptions()), /different traces/)
})

test('answers that are missing stay missing', async () => {
  const base = { waad: [1, 2, 1], fai: [1, 2, 1], receiver: [1, 2, 1], entropy: [1, 1, 1] }
  const given = [true, false, null, undefined].map((correct, i) => plantedTrace({ ...base, id: `t${i}`, correct }))
  const { a } = await measureTraces(() => given, { a: {} })
  assert.deepEqual(
    a!.map(({ correct, truncated, problem }) => [correct, truncated, problem]),
    [
      [true, null, 't0'],
      [false, null, 't1'],
      [null, null, 't2'],
      [null, null, 't3'],
    ],
  )
  near(a![0]!.tokens, 3)
})

test('names say what differs from the defaults', () => {
  assert.equal(measureName(measureOptions()), 'default')
  assert.equal(
    measureName(measureOptions({ layers: [3, 4], horizon: [10, 100], excludeSink: true })),
    'layers 3,4, horizon 10-100, excludeSink true',
  )
})
