import assert from 'node:assert/strict'
import test from 'node:test'
import type { AnalysisTrace } from '../../lib/analysis/analysisTrace'
import { type AnalysisTables, analyzeTraces, PERMUTED } from '../../lib/analysis/analyzeTraces'
import { measureTraces } from '../../lib/analysis/measureTraces'
import { PAPER_VALUES } from '../../lib/analysis/paperValues'
import { near, plantedTrace, randomTraces, spikes } from './syntheticTraces'

const quick = { bootstrap: { replicates: 100 }, shuffles: 20 }

test('all tables come from one reading, two with calibrated heads, beside a look at the first trace', async () => {
  const traces = randomTraces(1, 6, 0.5)
  let [starts, read] = [0, 0]
  async function* source(): AsyncGenerator<AnalysisTrace> {
    starts++
    for (const trace of traces) {
      read++
      yield trace
    }
  }
  await analyzeTraces(source, { ...quick, heads: ['trace'] })
  assert.deepEqual([starts, read], [2, 7])
  ;[starts, read] = [0, 0]
  const tables = await analyzeTraces(source, { ...quick, heads: ['trace', 'calibrated'] })
  assert.deepEqual([starts, read], [3, 13])
  assert.deepEqual([...new Set(tables.table2.map((row) => row.heads))], ['trace', 'calibrated'])
})

test("nothing needs a trace's series once the next is read, and what is kept is small", async () => {
  const traces = () => randomTraces(2, 5, 0.5)
  /** Spoils the series of a trace as soon as the next one is asked for. */
  function* spoiled(): Generator<AnalysisTrace> {
    for (const trace of traces()) {
      yield trace
      const { waad, fai, inbound, span, lookback } = trace.series!
      for (const values of [...waad, ...fai].map((entry) => entry.values).concat(inbound, span, lookback))
        values.fill(NaN)
    }
  }
  const options = { ...quick, heads: ['trace', 'calibrated'] as const }
  assert.deepEqual(await analyzeTraces(spoiled, options), await analyzeTraces(traces, options))
  const { a } = await measureTraces(traces, { a: {} })
  for (const measures of a!) {
    const count = numbersIn(measures)
    // WAAD, FAI, receiver FAI, validity, entropy, classes, three of the rl block, and its anchors and introducers.
    assert.ok(count <= 11 * measures.tokens + 60, `${count} values for ${measures.tokens} tokens`)
  }
})

function numbersIn(value: unknown): number {
  if (ArrayBuffer.isView(value)) return (value as Float64Array).length
  return typeof value === 'object' && value !== null
    ? Object.values(value).reduce<number>((sum, item) => sum + numbersIn(item), 0)
    : 1
}

const full = async (): Promise<AnalysisTables> => {
  const edge = [
    plantedTrace({ id: 'one', waad: [1], fai: [1], receiver: [1], entropy: [0.7], correct: null }),
    plantedTrace({ id: 'two', waad: [1, 2], fai: [1, 1], receiver: [2, 1], entropy: [0.7, 0.2], correct: false }),
    plantedTrace({
      id: 'flat',
      waad: spikes(30, []),
      fai: spikes(30, []),
      receiver: spikes(30, []),
      entropy: spikes(30, []),
      correct: true,
      truncated: true,
    }),
  ]
  return analyzeTraces(() => [...edge, ...randomTraces(3, 4, 0.5)], {
    ...quick,
    name: 'mine',
    heads: ['trace', 'calibrated'],
    permuted: () => randomTraces(3, 4, 0),
    others: { other: () => randomTraces(4, 3, 0) },
  })
}

test('every table is of plain rows of one form: no NaN, no lift without its interval, peak mode and numbers beside it', async () => {
  const tables = await full()
  for (const [name, rows] of Object.entries(tables) as [string, Record<string, unknown>[]][]) {
    assert.ok(rows.length > 0, name)
    const columns = Object.keys(rows[0]!).sort().join()
    for (const row of rows) {
      assert.equal(Object.keys(row).sort().join(), columns, name)
      for (const [column, value] of Object.entries(row)) {
        assert.ok(value === null || ['string', 'boolean', 'number'].includes(typeof value), `${name}.${column}`)
        if (typeof value === 'number') assert.ok(Number.isFinite(value), `${name}.${column} ${value}`)
      }
      if (name === 'paper' || name === 'summary' || name === 'traces') continue
      if ('lift' in row) assert.ok('liftLow' in row && 'liftHigh' in row && 'peakMode' in row, name)
      assert.ok(('traces' in row && 'set' in row) || name === 'peakOverlapByTrace', name)
    }
  }
  assert.deepEqual(JSON.parse(JSON.stringify(tables)), tables)
})

test('the summary counts answers that are not known as neither right nor wrong', async () => {
  const { summary, traces } = await full()
  const [mine] = summary
  assert.deepEqual([mine!.traces, mine!.correct, mine!.wrong, mine!.unjudged, mine!.accuracy], [7, 1, 1, 5, 0.5])
  assert.equal(mine!.truncated, 1)
  assert.equal(mine!.tokens, 1 + 2 + 30 + 4 * 80)
  assert.deepEqual(
    traces.slice(0, 3).map((row) => [row.trace, row.correct, row.truncated, row.tokens, row.receiverPeaks]),
    [
      ['one', null, null, 1, null],
      ['two', false, null, 2, null],
      ['flat', true, true, 30, 0],
    ],
  )
  assert.equal(summary.find((row) => row.set === 'other')!.accuracy, null)
})

test('controls, comparisons and tables name their sets', async () => {
  const tables = await full()
  const sets = (rows: { set: string }[]) => [...new Set(rows.map((row) => row.set))]
  assert.deepEqual(sets(tables.controls), ['mine', PERMUTED])
  assert.deepEqual(sets(tables.sideBySide), ['mine', 'other'])
  assert.deepEqual([...new Set(tables.differences.map((row) => row.comparedWith))], ['other', PERMUTED])
  assert.deepEqual(sets(tables.table2), ['mine'])
})

test('the layer thirds: a lift planted in the middle layers is found there alone', async () => {
  const length = 60
  const waad = [5, 15, 25, 35, 45, 55]
  const other = [10, 20, 30, 40, 50, 57]
  const traces = ['a', 'b'].map((id) =>
    plantedTrace({
      id,
      waad: spikes(length, waad),
      waadOfLayer: [spikes(length, other), spikes(length, waad), spikes(length, other)],
      fai: spikes(length, [8]),
      receiver: spikes(length, [8]),
      entropy: Array.from({ length }, (_, t) => (waad.includes(t) ? 2 : 1)),
    }),
  )
  const { layerThirds } = await analyzeTraces(() => traces, quick)
  const lifts = ['bottom', 'middle', 'top'].map(
    (third) => layerThirds.find((row) => row.third === third && row.row === 1 && row.alignment === 'own token')!,
  )
  near(lifts[0]!.lift, 1 / 1.1 - 1)
  near(lifts[1]!.lift, 2 / 1.1 - 1)
  near(lifts[2]!.lift, 1 / 1.1 - 1)
  assert.deepEqual(
    lifts.map((row) => [row.layers, row.positive]),
    [
      ['bottom', false],
      ['middle', true],
      ['top', false],
    ],
  )
})

test('robustness: each setting has the lift of its own series', async () => {
  const length = 60
  const [waad, other] = [
    [5, 15, 25, 35, 45, 55],
    [10, 20, 30, 40],
  ]
  const traces = ['a', 'b', 'c'].map((id) =>
    plantedTrace({
      id,
      waad: spikes(length, waad),
      otherWaad: spikes(length, other),
      fai: spikes(length, [5]),
      otherFai: spikes(length, [5, 8]),
      receiver: spikes(length, [5, 40]),
      entropy: Array.from({ length }, (_, t) => (waad.includes(t) ? 2 : other.includes(t) ? 3 : 1)),
    }),
  )
  const { robustness, prominenceSweep } = await analyzeTraces(() => traces, { ...quick, prominences: [0.25] })
  const of = (factor: string, setting: string, row: number) =>
    robustness.find(
      (r) => r.factor === factor && r.setting === setting && r.row === row && r.alignment !== 'next token',
    )!
  near(of('W', '10', 1).lift, 2 / ((50 + 12 + 12) / 60) - 1)
  near(of('W', '5', 1).lift, 3 / ((50 + 12 + 12) / 60) - 1)
  near(of('FAI horizon', '0-end', 2).observed, 1 / 2)
  // With horizon 10-100 the last ten tokens have no FAI: two peaks among 50 tokens.
  near(of('FAI horizon', '10-100', 2).baseline, 2 / 50)
  assert.equal(of('W', '10', 1).base, true)
  assert.equal(of('W', '5', 1).base, false)
  assert.deepEqual(
    [...new Set(robustness.map((row) => row.factor))],
    ['W', 'FAI horizon', 'head share', 'receiver heads', 'receiver count', 'attention sink', 'head choice', 'peaks'],
  )
  assert.deepEqual(
    robustness.filter((row) => row.factor === 'peaks' && row.row === 2).map((row) => row.setting),
    ['prominence 0.1', 'prominence 0.25', 'prominence 0.5', 'prominence 1', 'share WAAD 0.184 FAI 0.224'],
  )
  near(prominenceSweep[0]!.lift, of('peaks', 'prominence 0.25', 1).lift!)
  await assert.rejects(
    analyzeTraces(() => traces, { ...quick, robustness: { windows: [12] } }),
    /no WAAD series for window 12/,
  )
})

test('the same seed gives the same tables; progress ends; an abort stops', async () => {
  const source = () => randomTraces(7, 3, 0.5)
  const seen: string[] = []
  const onProgress = (done: number, total: number, note?: string) => seen.push(`${note} ${done}/${total}`)
  const run = () => analyzeTraces(source, { ...quick, count: 3, onProgress })
  assert.deepEqual(await run(), await run())
  assert.ok(seen.includes('measuring 3/3') && seen.includes('table paper 15/15'))
  await assert.rejects(analyzeTraces(source, { ...quick, signal: AbortSignal.abort() }), /interrupted/)
})

test('what cannot be analysed is refused', async () => {
  const source = () => randomTraces(7, 2, 0.5)
  await assert.rejects(
    analyzeTraces(() => []),
    /no traces to analyse/,
  )
  await assert.rejects(analyzeTraces(source, { heads: [] }), /no heads/)
  await assert.rejects(analyzeTraces(source, { peakModes: [] }), /no peak mode/)
  await assert.rejects(analyzeTraces(source, { others: { traces: source } }), /two trace sets are named 'traces'/)
  await assert.rejects(analyzeTraces(source, { bootstrap: { level: 95 } }), /level 95/)
})

test("the paper's values: rows 2 and 3 follow from their own numbers, row 1 does not", () => {
  const table2 = PAPER_VALUES.filter((value) => value.table === '2')
  const off = table2.map(({ observed, baseline, lift }) => Math.abs(observed! / baseline! - 1 - lift!))
  assert.equal(table2.length, 3)
  assert.ok(off[0]! > 0.007 && off[1]! < 0.001 && off[2]! < 0.001, String(off))
  assert.match(table2[0]!.note!, /\+51\.2 %.*\+51\.97 %.*\+51\.60 %/)
  assert.equal(PAPER_VALUES.filter((value) => value.table === '10' && value.sign === 1).length, 9)
  assert.deepEqual(
    PAPER_VALUES.filter((value) => value.table === '12').map((value) => value.lift),
    [1.987, 0.282, 0.341],
  )
})
