import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { compareWithPaper } from '../../lib/analysis/compareWithPaper'
import { type ComparedValue, type PaperVerdict, paperVerdict } from '../../lib/analysis/paperComparison'
import { READY_SWEEPS, recordedSweeps } from '../../lib/analysis/recordedSweeps'
import { writeSweepRecord } from '../../lib/analysis/sweepRecord'
import { SWEEP_FORMAT, type SweepRecord } from '../../lib/analysis/sweepRow'
import { writeTables } from '../../lib/analysis/tableFiles'
import { temporaryFolder } from '../support/temporaryFolder'

test('the verdict, from where "no effect" and the paper\'s value lie to our interval', () => {
  const value = (interval: [number, number] | null, paper: number | null, rest: Partial<ComparedValue> = {}) => ({
    ...{ paper, noEffect: 0, ours: interval && (interval[0] + interval[1]) / 2 },
    ...{ low: interval?.[0] ?? null, high: interval?.[1] ?? null },
    ...rest,
  })
  const cases: [ComparedValue, PaperVerdict][] = [
    [value([2, 6], 5), 'agrees in size'],
    [value([2, 4], 5), 'agrees in direction'],
    [value([6, 8], 5), 'agrees in direction'],
    [value([-1, 6], 5), 'undecided'],
    [value([-1, 2], 5), 'not seen'],
    [value([-4, -2], 5), 'disagrees'],
    [value([-7, -5], -6), 'agrees in size'],
    [value([2, 4], -6), 'disagrees'],
    // The paper finds nothing: ours must not find anything either.
    [value([1, 3], 0), 'disagrees'],
    [value([-1, 3], 0), 'undecided'],
    // The sign of the paper's effect is all that is known.
    [value([2, 4], null, { paperSign: 1 }), 'agrees in direction'],
    [value([-1, 4], null, { paperSign: 1 }), 'undecided'],
    [value([2, 4], null, { paperSign: -1 }), 'disagrees'],
    // A test that does not tell it from nothing goes before the interval.
    [value([2, 4], 5, { isDistinct: false }), 'not seen'],
    [value([2, 6], 5, { isDistinct: false }), 'undecided'],
    [value([-4, -2], 5, { isDistinct: false }), 'not seen'],
    // A probability whose "no effect" is one half.
    [value([52, 76], 87, { noEffect: 50 }), 'agrees in direction'],
    [value([30, 45], 87, { noEffect: 50 }), 'disagrees'],
    [value([0.4, 0.5], 0.45, { noEffect: null }), 'agrees in size'],
    [value([0.4, 0.5], 0.55, { noEffect: null }), 'differs in size'],
    [value([2, 4], null), 'no number'],
    [value(null, 5), 'not run'],
    // One seed has no interval.
    [value(null, 5, { ours: 3 }), 'undecided'],
  ]
  for (const [given, verdict] of cases) assert.equal(paperVerdict(given), verdict, JSON.stringify(given))
})

test('the ready sweeps are the files in data/configs/sweeps', () => {
  const files = readdirSync(join(__dirname, '..', '..', 'data', 'configs', 'sweeps'))
  const names = files.filter((name) => name.endsWith('.jsonc')).map((name) => name.replace('.jsonc', ''))
  assert.deepEqual(Object.keys(READY_SWEEPS).sort(), names.sort())
})

const FINALS = { uniform: [0.4, 0.42, 0.41], coupled: [0.45, 0.48, 0.46], random: [0.38, 0.44, 0.41] }
const record: SweepRecord = {
  ...{ format: SWEEP_FORMAT, name: 'strategies', baseline: 'uniform', paper: 'strategies', machine: null },
  rows: Object.entries(FINALS).flatMap(([arm, finals]) =>
    finals.map((sampled, seed) => ({
      ...{ sweep: 'strategies', cell: `${arm} ${seed}`, arm, labels: {}, seed, warmup: 0, state: 'finished' as const },
      ...{ steps: 50, seconds: arm === 'coupled' ? 61 : 60, meanCredit: 1, reward: { step: [], value: [] } },
      evaluations: [{ step: 50, sampled, greedy: 0.3 }],
    })),
  ),
}

test('what is recorded of the paper, and what is not', async () => {
  const folder = temporaryFolder()
  const empty = compareWithPaper(folder)
  assert.deepEqual([...new Set(empty.map(({ verdict }) => verdict))].sort(), ['no number', 'not run'])
  assert.ok(empty.every(({ command }) => /^(npm run|for strategy in)/.test(command)))

  writeSweepRecord(record, join(folder, 'sweeps', 'strategies'))
  writeSweepRecord({ ...record, name: 'own' }, join(folder, 'sweeps', 'own'))
  const lift = { heads: 'trace', alignment: null, peakMode: 'prominence 0.25', set: 'tiny', traces: 8 }
  const summary = [{ set: 'tiny' }]
  const table2 = [{ ...lift, row: 3, claim: 'FAI peaks', lift: 0.3, liftLow: 0.2, liftHigh: 0.45 }]
  await writeTables({ summary, table2 }, join(folder, 'tiny'), { formats: ['json'] })

  const rows = compareWithPaper(folder)
  const found = (result: string) => rows.filter((row) => row.result === result)
  const [random, , , , coupled] = found('strategies')
  // 5, 6 and 5 points; the paper's 63.1 - 52.6.
  assert.deepEqual([coupled!.quantity, coupled!.paper], ['coupled above uniform', 10.5])
  assert.ok(Math.abs(coupled!.ours! - 16 / 3) < 1e-9)
  // Three pairs have no p below 1/4: they tell nothing apart, whatever the interval.
  assert.equal(coupled!.verdict, 'not seen')
  // -2, 2 and 0 points beside the paper's 2.4.
  assert.ok(random!.low! < 0 && random!.high! > 0)
  assert.ok(['undecided', 'not seen'].includes(random!.verdict))
  assert.deepEqual(
    found('strategies').map(({ verdict }) => verdict === 'not run'),
    [false, true, true, true, false],
  )
  const [table] = found('Table 2')
  assert.deepEqual([table!.ours, table!.low, table!.high, table!.paper], [30, 20, 45, 42.47])
  assert.deepEqual([table!.verdict, table!.ourSetting], ['agrees in size', 'tiny, 8 traces'])
  assert.ok(found('Table 1').every(({ verdict }) => verdict === 'not run'))
  const [gammas, whole] = found('cost of credit')
  assert.equal(gammas!.verdict, 'not run')
  assert.ok(Math.abs(whole!.ours! - 100 / 60) < 1e-9)

  const sweeps = recordedSweeps(join(folder, 'sweeps'))
  assert.deepEqual(
    sweeps.filter((sweep) => sweep.record).map(({ name }) => name),
    ['strategies', 'own'],
  )
})
