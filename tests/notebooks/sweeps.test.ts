import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { before } from 'node:test'
import { writeSweepRecord } from '../../lib/analysis/sweepRecord'
import { SWEEP_FORMAT, type SweepRecord } from '../../lib/analysis/sweepRow'
import { temporaryFolder } from '../support/temporaryFolder'
import { saveTinyModel } from '../support/tinyStoredModel'
import { tinyConfig } from '../training/tinyRun'
import { runNotebook } from './runNotebook'

const folder = temporaryFolder()
const at = (name: string) => join(folder, name)

/** A sweep of 7 seeds in which each arm ends by so many points above the first, and its last seed half a point higher. */
function recordOf(name: string, paper: string | null, points: Record<string, number>): SweepRecord {
  const arms = Object.entries(points)
  return {
    ...{ format: SWEEP_FORMAT, name, baseline: arms[0]![0], paper, machine: null },
    rows: arms.flatMap(([arm, above]) =>
      [0, 1, 2, 3, 4, 5, 6].map((seed) => ({
        ...{ sweep: name, cell: `${arm} ${seed}`, arm, labels: {}, seed, warmup: 0, state: 'finished' as const },
        ...{ steps: 20, seconds: 60, meanCredit: 1, reward: { step: [20], value: [0.3] } },
        evaluations: [0, 20].map((step) => ({
          ...{ step, greedy: 0.3 },
          sampled: 0.3 + (step / 2000) * (above + (above !== 0 && seed === 6 ? 0.5 : 0)) + seed / 100,
        })),
      })),
    ),
  }
}

before(async () => {
  await saveTinyModel(at('model'))
  const keep = (record: SweepRecord) => writeSweepRecord(record, join(folder, 'results', 'sweeps', record.name))
  keep(recordOf('strategies', 'strategies', { uniform: 0, random: 0, coupled: 10 }))
  const shuffled = recordOf('shuffled', null, { 'coupled, shuffled': 0, 'coupled, own': 2 })
  const labelled = shuffled.rows.map((row) => ({ ...row, labels: { placement: row.arm.split(', ')[1]! } }))
  keep({ ...shuffled, baseline: 'placement=shuffled', rows: labelled })
  keep(recordOf('sign', 'sign', { uniform: 0, both: -5, positive: 0.5 }))
  keep(recordOf('of-my-own', null, { uniform: 0, longer: 2 }))
})

test('notebook 04: gammas on one response, a sweep of its own, and the recorded ones', () => {
  writeFileSync(at('config.json'), JSON.stringify(tinyConfig({ supervised: { steps: 2 } })))
  const own = { config: at('config.json'), changes: ['grpo.steps=3'], strategies: ['uniform', 'coupled'], seeds: 2 }
  const small = { model: at('model'), maxNewTokens: 24, run: at('run'), recorded: at('results/sweeps'), ...own }
  const { titles, texts, printed } = runNotebook('04-which-credit-strategy-learns-faster.ipynb', small, at('out'))
  assert.deepEqual(titles, [
    ...['How do they learn?', 'Where does it end? notebook 04', 'Is the difference real? notebook 04'],
    ...['Which credit strategy ends highest?', 'How do they learn?', 'Is the difference real? strategies'],
    ...['Does it matter where it falls in the response?', 'Which advantages should be scaled?', 'of-my-own?'],
  ])
  assert.equal(readdirSync(join(small.run, 'cells')).length, 4)
  // The table that filled, at its end; then the power of the test, and what is not recorded.
  assert.match(texts[0]!, /5 of 5 done, 0 running[\s\S]*warm-ups +1 [\s\S]*uniform +2 [\s\S]*coupled +2 /)
  assert.match(texts.at(-1)!, /not recorded yet[\s\S]*top-share/)
  assert.doesNotMatch(texts.at(-1)!, /sign|of-my-own/)
  assert.match(printed, /headline: tiny sweep, coupled less uniform: .* 2 pairs, p = /)
  // Seven pairs of one sign: p = 2 / 128, twice for two comparisons.
  assert.match(
    printed,
    /headline: coupled less uniform: 10\.1 points \[.*\], 7 pairs, p = 0\.03 after Holm; paper 10\.5/,
  )
  assert.match(printed, /headline: coupled, own less coupled, shuffled: 2\.1 points \[.*\], 7 pairs, p = 0\.02/)
  assert.match(
    printed,
    /equal-credit is not recorded yet:\n.*rhythm -- sweep data\/configs\/sweeps\/equal-credit\.jsonc/,
  )
})

test('notebook 06: what is recorded beside the paper, and the command for what is not', () => {
  const { titles, texts, printed } = runNotebook(
    '06-does-the-paper-hold-here.ipynb',
    { results: at('results') },
    at('out'),
  )
  assert.deepEqual(titles.slice(-2), ['Which credit strategy learns best?', 'Do the ablations agree?'])
  const lines = texts.flatMap((text) => text.split('\n').map((line) => line.trim().split(/ {2,}/)))
  const cells = (result: string, quantity: string) => lines.find(([a, b]) => a === result && b === quantity)!.slice(2)
  const [, paper, ours, verdict] = cells('strategies', 'coupled above uniform')
  assert.equal(paper, '10.5')
  assert.match(ours!, /^10\.1\s\[/)
  assert.equal(verdict, 'agrees in direction')
  assert.deepEqual(cells('top share', '0.2 above uniform').slice(0, 4), ['points', '1.2', '–', 'not run'])
  assert.equal(cells('sign', 'both above uniform')[3], 'disagrees')
  assert.equal(cells('Table 12', 'entropy at WAAD peaks')[3], 'not run')
  assert.match(texts.at(-1)!, /top share +npm run -s rhythm -- sweep data\/configs\/sweeps\/top-share\.jsonc/)
  assert.match(printed, /headline: 1 of \d+ values: disagrees/)
})
