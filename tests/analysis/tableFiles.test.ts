import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { fromArrow, fromCSV } from 'arquero'
import { analyzeTraces } from '../../lib/analysis/analyzeTraces'
import { liftText, shareText } from '../../lib/analysis/estimateText'
import { readTables, TABLE_NAMES, writeTables } from '../../lib/analysis/tableFiles'
import { temporaryFolder } from '../support/temporaryFolder'
import { randomTraces } from './syntheticTraces'

const folder = temporaryFolder()

test('what analyzeTraces gives comes back as it was from JSON, and the same values from Arrow and CSV', async () => {
  const tables = await analyzeTraces(() => randomTraces(1, 4, 0.5), { bootstrap: { replicates: 20 }, shuffles: 5 })
  const at = join(folder, 'all')
  const written = await writeTables(tables, at)
  const filled = Object.entries(tables).filter(([, rows]) => rows.length > 0)
  assert.equal(written.length, 3 * filled.length)
  assert.deepEqual(readdirSync(at).sort(), written.map((path) => path.slice(at.length + 1)).sort())
  assert.ok(!existsSync(join(at, 'sideBySide.json')), 'a table that was not asked for has no file')
  assert.deepEqual(readTables(at), { ...tables, perturbation: [], perturbationByProblem: [] })
  for (const [name, rows] of filled) {
    const arrow = fromArrow(new Uint8Array(readFileSync(join(at, `${name}.arrow`)))).objects()
    assert.deepEqual(arrow, rows)
    const csv = fromCSV(readFileSync(join(at, `${name}.csv`), 'utf8')).objects() as Record<string, unknown>[]
    for (const [i, row] of rows.entries())
      for (const [column, value] of Object.entries(row as object))
        if (typeof value === 'number') assert.equal(csv[i]![column], value, `${name} ${column}`)
  }
})

test('digits are significant ones, and whole numbers stay whole', async () => {
  const paper = [{ table: '2', observed: 0.123456, tokens: 1234567, lift: -12.3456, note: null }]
  await writeTables({ paper }, join(folder, 'short'), { digits: 3, formats: ['json'] })
  const text = readFileSync(join(folder, 'short', 'paper.json'), 'utf8')
  assert.deepEqual(JSON.parse(text), {
    table: ['2'],
    observed: [0.123],
    tokens: [1234567],
    lift: [-12.3],
    note: [null],
  })
})

test('a folder without tables, a damaged table and an unknown one are refused by name', async () => {
  assert.throws(() => readTables(join(folder, 'nowhere')), /nowhere holds no table NAME\.json/)
  const cases: [string, string, RegExp][] = [
    ['paper', '{"a": [1, 2], "b": [1]}', /paper\.json is no table: expected an object of columns of one length/],
    ['table2', '[]', /table2\.json is no table/],
    ['mine', '{"a": [1]}', /mine\.json is none of the tables: summary, traces/],
  ]
  for (const [name, text, message] of cases) {
    const at = join(folder, `bad-${name}`)
    mkdirSync(at)
    writeFileSync(join(at, `${name}.json`), text)
    assert.throws(() => readTables(at), message)
  }
  await assert.rejects(writeTables({}, folder, { formats: ['xlsx' as 'csv'] }), /unknown table format 'xlsx'/)
  assert.equal(new Set(TABLE_NAMES).size, 17)
})

test('a lift reads as percent with sign and interval', () => {
  assert.equal(liftText(0.206, 0.17, 0.2415), '+20.6 % [17.0, 24.1]')
  assert.equal(liftText(-0.05, -0.1, 0.02), '-5.0 % [-10.0, 2.0]')
  assert.equal(liftText(1.96), '+196.0 %')
  assert.equal(shareText(0.123, 0.1, 0.15), '12.3 % [10.0, 15.0]')
  assert.equal(shareText(null), 'undefined')
})
