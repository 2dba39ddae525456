import assert from 'node:assert/strict'
import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test, { before } from 'node:test'
import { analyzeTraces } from '../../lib/analysis/analyzeTraces'
import { writeTables } from '../../lib/analysis/tableFiles'
import { randomTraces } from '../analysis/syntheticTraces'
import { temporaryFolder } from '../support/temporaryFolder'
import { saveTinyModel } from '../support/tinyStoredModel'
import { runNotebook } from './runNotebook'

const folder = temporaryFolder()
const [model, recorded, second] = ['model', 'tables', 'second'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
]

const run = (name: string, parameters: object) => runNotebook(name, parameters, join(folder, 'out'))

before(async () => {
  const quick = { bootstrap: { replicates: 20 }, shuffles: 5 }
  await writeTables(
    await analyzeTraces(() => randomTraces(1, 4, 0.5), { ...quick, permuted: () => randomTraces(2, 4, 0) }),
    recorded,
    { formats: ['json'] },
  )
  await writeTables(await analyzeTraces(() => randomTraces(3, 4, 0.5), { ...quick, name: 'second' }), second, {
    formats: ['json'],
  })
  await saveTinyModel(model)
})

test('notebook 02 from recorded tables: every figure, the lifts beside the paper, a second folder side by side', () => {
  const both = { recorded, compareWith: second }
  const { titles, tables, texts, printed } = run('02-does-planning-precede-anchoring.ipynb', both)
  assert.deepEqual([titles.length, tables], [6, 5])
  assert.match(printed, /headline: receiver-FAI peaks that are FAI peaks, prominence 0\.25: .* paper \+171\.5 %/)
  assert.match(texts.at(-1)!, /^claim +alignment +peakMode +traces +second *\n/)
})

test('notebook 02 from nothing: a trace set of its own, its control, and a second model side by side', () => {
  const other = join(folder, 'tiny-too')
  cpSync(model, other, { recursive: true })
  const live = { model, compareWith: other, problems: 2, maxNewTokens: 32, traces: join(folder, 'traces') }
  const { titles, tables, texts } = run('02-does-planning-precede-anchoring.ipynb', live)
  assert.deepEqual([titles.length, tables], [6, 5])
  assert.deepEqual(readdirSync(join(folder, 'traces')).sort(), [
    ...['notebook-02-model-2-32', 'notebook-02-model-2-32-permuted', 'notebook-02-tiny-too-2-32'],
  ])
  // The same model twice, so both columns are alike, and they are those of Table 2.
  const [heading, , ...lines] = texts.at(-1)!.split('\n')
  assert.deepEqual(heading!.trim().split(/ {2,}/), ['claim', 'alignment', 'peakMode', model, other])
  const cells = lines.map((line) => line.trim().split(/ {2,}/))
  assert.equal(cells.length, 8)
  for (const [claim, , , lift, same] of cells) {
    assert.equal(lift, same)
    assert.ok(texts.some((text) => text.includes(`${claim}`) && text.includes(lift!)))
  }
})

test('notebook 03: one problem live, and what is recorded', () => {
  const small = { model, recorded, maxNewTokens: 24, positions: 2, candidates: 2, tokens: 4 }
  const { titles, tables, printed } = run('03-do-anchors-steer-what-follows.ipynb', small)
  assert.deepEqual([titles.length, tables], [3, 2])
  assert.match(printed, /holds no Table 1 yet/)
})
