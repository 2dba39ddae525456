import assert from 'node:assert/strict'
import test from 'node:test'
import { creditText, paperComparisons, staticSvg } from '../../lib/plots'

const tokens = ['We', ' add', '<b>', '\n', 'so', ' it', ' is', ' twelve', '.']
const credits = {
  uniform: tokens.map(() => 1),
  coupled: [1.5, 1, 1.25, 1, 1, 1.75, 1, 1, 1],
}

test('each strategy shows the whole text, coloured by its own gammas, and its mean', () => {
  const { html, svg } = creditText(tokens, credits)
  const spans = html.match(/<span title="[^"]*"[^>]*>/g)!
  assert.equal(spans.length, 2 * tokens.length)
  // The text once under the other: uniform has no colour, coupled three.
  const filled = spans.map((span) => /background:(#\w+)/.exec(span)?.[1] ?? null)
  assert.ok(filled.slice(0, tokens.length).every((fill) => fill === null))
  assert.deepEqual(
    filled.slice(tokens.length).map((fill) => fill !== null),
    credits.coupled.map((gamma) => gamma > 1),
  )
  assert.equal(new Set(filled.slice(tokens.length)).size, 4)
  assert.match(html, /uniform 1\.00/)
  assert.match(html, /coupled 1\.17/)
  for (const text of [html, svg()]) {
    assert.doesNotMatch(text, /<b>/)
    assert.match(text, /&lt;b&gt;/)
  }
})

test('lines break between tokens, for all strategies at the same', () => {
  const many = Array.from({ length: 30 }, (_, i) => ` word${i}`)
  const { html } = creditText(many, { a: many.map(() => 1), b: many.map(() => 2) }, { columns: 40 })
  const blocks = html.match(/<div style="white-space:pre[\s\S]*?<\/div>/g)!
  assert.ok(blocks.length > 3)
  for (const block of blocks) {
    const [first, second] = block.split('\n').map((row) => [...row.matchAll(/title="(\d+) /g)].map(([, at]) => at))
    assert.deepEqual(first, second)
  }
})

test('gammas of another length, and no strategy at all, are refused', () => {
  assert.throws(() => creditText(tokens, { short: [1] }), /short has 1 gammas; expected 9/)
  assert.throws(() => creditText(tokens, {}), /no strategies to draw/)
})

test('ours beside the paper: a trace for each verdict, the paper as diamonds, what is not run with its diamond alone', async () => {
  const row = {
    result: 'sign',
    unit: 'points' as const,
    paperSetting: '8B',
    paperSign: null,
    ourSetting: 'laptop',
    command: 'npm test',
  }
  const figure = paperComparisons([
    { ...row, quantity: 'both', paper: 3.8, ours: 2, low: 1, high: 3, verdict: 'agrees in direction' },
    { ...row, quantity: 'positive', paper: 2.6, ours: null, low: null, high: null, verdict: 'not run' },
  ])
  assert.deepEqual(
    figure.data.map(({ name, x, y }) => [name, x, y]),
    [
      ['agrees in direction', [2], ['both']],
      ['paper', [3.8, 2.6], ['both', 'positive']],
    ],
  )
  assert.match(await staticSvg(figure), /1 of 2 not run/)
  const mixed = { ...row, unit: '%' as const, quantity: 'a', paper: 1, ours: 1, low: 0, high: 2 }
  assert.throws(
    () =>
      paperComparisons([
        { ...mixed, verdict: 'undecided' },
        { ...mixed, unit: 'points', verdict: 'undecided' },
      ]),
    /rows in % and points cannot share an axis/,
  )
})
