import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import type { ChangeTables } from '../../lib/analysis/changeTables'
import { ALL_RUNS } from '../../lib/analysis/rhythmChange'
import { rhythmChanges } from '../../lib/plots/rhythmChanges'

const FOLDER = join(__dirname, '..', '..', 'data', 'results', 'rhythm-in-training')
const readme = readFileSync(join(FOLDER, 'README.md'), 'utf8')

function rowsOf<Row>(name: string): Row[] {
  const columns = JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf8')) as Record<string, unknown[]>
  return Object.values(columns)[0]!.map(
    (_, i) => Object.fromEntries(Object.entries(columns).map(([key, values]) => [key, values[i]])) as Row,
  )
}
const change = rowsOf<ChangeTables['change'][number]>('change')
const headGroups = rowsOf<ChangeTables['headGroups'][number]>('headGroups')
const own = change.filter(
  ({ heads, peakMode, setting }) =>
    heads !== 'calibrated' &&
    [null, 'prominence 0.25'].includes(peakMode) &&
    [null, 'W 8, horizon 0-end'].includes(setting),
)
const find = (quantity: string, baseline: string | null, reading: string, run = ALL_RUNS) =>
  own.find(
    (row) => row.quantity === quantity && row.baseline === baseline && row.reading === reading && row.run === run,
  )
const lines = readme.split('\n').flatMap((line) => (/^\| /.test(line) ? [line.slice(2, -2).split(' | ')] : []))

const scale = (unit: string) => (unit === 'lift' || unit === 'share' ? { by: 100, digits: 1 } : { by: 1, digits: 3 })
const signed = (value: number, digits: number) => `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(digits)}`

test("the README's table has the recorded numbers: before, after, and both changes with intervals and signs", () => {
  const rows = lines.filter((cells) => cells.length === 5 && own.some((row) => cells[0]!.startsWith(row.quantity)))
  assert.equal(rows.length, 17)
  for (const [label, before, after, ...changes] of rows) {
    const quantity = label!.replace(', same symbols', '')
    const first = own.find((row) => row.quantity === quantity)!
    const baseline = first.unit !== 'lift' ? null : label === quantity ? 'paper' : 'same class'
    const { by, digits } = scale(first.unit)
    const unit = by === 100 ? '%' : first.unit
    const value = (x: number) => `${first.unit === 'lift' ? signed(by * x, digits) : (by * x).toFixed(digits)} ${unit}`
    const written = find(quantity, baseline, 'own responses')!
    assert.deepEqual([before, after], [value(written.before!), value(written.after!)], label)
    const expected = ['own responses', 'same responses'].map((reading) => {
      const row = find(quantity, baseline, reading)
      if (!row) return ''
      const [low, high] = [row.differenceLow!, row.differenceHigh!].map((x) => (by * x).toFixed(digits))
      return `${signed(by * row.difference!, digits)} [${low}, ${high}], ${row.sameSign} of ${row.runs}`
    })
    assert.deepEqual(
      changes.map((cell) => cell.trim()),
      expected,
      label,
    )
  }
})

test("the README's similarities of head groups are the recorded ones", () => {
  const rows = lines.filter(([, heads]) => /^\d+ \w+ of \d+$/.test(heads ?? ''))
  assert.equal(rows.length, 9)
  for (const [run, heads, ...cells] of rows) {
    const [count, group, , all] = heads!.split(' ')
    const of = (reading: string) =>
      headGroups.find((row) => row.run === `countdown-laptop-${run}` && row.group === group && row.reading === reading)!
    const [read, same] = [of('own responses'), of('same responses')]
    assert.deepEqual([`${read.heads}`, `${read.modelHeads}`], [count, all])
    const expected = [read.calibrated, same.calibrated, read.halvesBefore].map((x) => x.toFixed(2))
    assert.deepEqual(cells, [...expected.slice(0, 2), `${expected[2]}, ${read.halvesAfter.toFixed(2)}`])
  }
})

test("what the README's sentences say is what was recorded", () => {
  const row = (quantity: string, reading: string, baseline: string | null = null) => find(quantity, baseline, reading)!
  const percent = (value: number | null) => `${signed(100 * value!, 1)} %`
  const entropy = row('entropy at WAAD peaks', 'same responses', 'paper')
  assert.ok(readme.includes(`from ${percent(entropy.before)} to ${percent(entropy.after)}. Most`))
  const symbols = row('entropy at WAAD peaks', 'same responses', 'same class')
  assert.ok(readme.includes(`it was ${percent(symbols.before)}, and is ${percent(symbols.after)}`))
  for (const quantity of ['mean span of local heads', 'mean span of global heads']) {
    const { before, difference } = row(quantity, 'same responses')
    assert.ok(difference! > 0 && difference! < 0.02 * before!, quantity)
  }
  for (const quantity of ['tokens that are WAAD peaks', 'tokens that are FAI peaks'])
    assert.ok(Math.abs(row(quantity, 'same responses').difference!) <= 0.0055, quantity)
  const { before, after } = row('mean entropy', 'same responses')
  assert.equal((after! / before!).toFixed(1), '0.5')
  const runs = [1, 2, 3].map(
    (seed) => find('receiver-FAI peaks that are FAI peaks', 'paper', 'own responses', `countdown-laptop-${seed}`)!,
  )
  const [a, b, c] = runs.map((run) => signed(100 * run.before!, 0))
  assert.ok(readme.includes(`is ${a}, ${b} and ${c} %`), `${a} ${b} ${c}`)
  const lengths = row('response length', 'own responses')
  assert.ok(readme.includes(`responses of ${lengths.after!.toFixed(0)} to ${lengths.before!.toFixed(0)} tokens`))
  for (const [, file] of readme.matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)) assert.ok(existsSync(join(FOLDER, file!)))
})

test('the figure: for each lift before, after in the same text and after in own words, over both baselines; runs as dots', () => {
  const { data, layout } = rhythmChanges(change)
  const means = data.filter(({ marker }) => (marker as { size: number }).size === 10)
  assert.equal(means.length, 4 * 3 * 2)
  const drawn = (label: string, axis: string | undefined) =>
    (means.find(({ y, xaxis }) => (y as string[])[0] === label && xaxis === axis)!.x as number[])[0]!
  const close = (x: number, value: number) => assert.ok(Math.abs(x - 100 * value) < 0.05 * Math.abs(100 * value) + 0.01)
  const claim = 'entropy at WAAD peaks'
  close(drawn(`${claim}: before`, undefined), find(claim, 'paper', 'own responses')!.before!)
  close(drawn(`${claim}: after, same responses`, 'x2'), find(claim, 'same class', 'same responses')!.after!)
  close(drawn(`${claim}: after, own responses`, 'x2'), find(claim, 'same class', 'own responses')!.after!)
  const dots = data.filter(({ marker }) => (marker as { size: number }).size === 5)
  assert.ok(dots.every(({ x }) => (x as number[]).length === 3))
  assert.match(JSON.stringify(layout.title), /Does training change the rhythm/)
  assert.throws(() => rhythmChanges(change, { peakMode: 'prominence 9' }), /no lifts with prominence 9/)
})
