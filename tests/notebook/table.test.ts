import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tableHtml, tableOf, tableText } from '../../lib/notebook/table'

const rows = [
  { token: ' the', fai: 0.123456, n: 12 },
  { token: '<b>', fai: null, n: 3 },
]

test('aligned text, numbers to the right', () => {
  assert.equal(
    tableText(tableOf(rows, { title: 'Anchors', headings: { fai: 'FAI (%)' }, format: { fai: 2 } })),
    ['Anchors', 'token  FAI (%)   n', '-----  -------  --', ' the      0.12  12', '<b>          –   3'].join('\n'),
  )
})

test('HTML is escaped and takes the colours of the page', () => {
  const html = tableHtml(tableOf(rows))
  assert.match(html, /<td style="text-align:left[^"]*">&lt;b&gt;<\/td>/)
  assert.match(html, /<td style="text-align:right[^"]*">0\.1235<\/td>/)
  assert.doesNotMatch(html, /background|[^-]color/)
  // JupyterLab would set "$3 and $" as mathematics.
  assert.match(html, /^<table class="mathjax_ignore"/)
})

test('rows beyond the limit are counted', () => {
  const table = tableOf(
    Array.from({ length: 35 }, (_, i) => ({ i })),
    { limit: 10 },
  )
  assert.equal(table.rows.length, 10)
  assert.match(tableText(table), /and 25 more rows/)
})

test('arquero tables and danfojs data frames are read', () => {
  const arquero = { columnNames: () => ['a', 'b'], objects: () => [{ a: 1, b: 'x' }], numRows: () => 1 }
  assert.deepEqual(tableOf(arquero).rows, [['1', 'x']])
  const frame = { columns: ['a', 'b'], values: [[1.5, true]] }
  assert.deepEqual(tableOf(frame).rows, [['1.5', 'yes']])
})

test('unknown columns and what is no table are refused', () => {
  assert.throws(() => tableOf(rows, { columns: ['fae'] }), /no column 'fae' in this table; it has token, fai, n/)
  assert.throws(() => tableOf(5 as never), /arquero table or a danfojs data frame/)
})
