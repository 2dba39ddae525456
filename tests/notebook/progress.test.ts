import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Interrupted, interrupt } from '../../lib/engine/cooperate'
import { clockTime, type ProgressView, progress, progressHtml, progressLine } from '../../lib/notebook/progress'

const view: ProgressView = {
  label: 'trace <1>',
  done: 3,
  total: 12,
  unit: 'responses',
  note: '',
  state: 'running',
  elapsed: 75.4,
  left: 226.2,
}

/** What `act` writes to standard error, which is made a terminal or a pipe for as long. */
function written(terminal: boolean, act: () => void): string {
  const { stderr } = process
  const before = { write: stderr.write, isTTY: stderr.isTTY, columns: stderr.columns }
  let text = ''
  Object.assign(stderr, {
    isTTY: terminal,
    columns: 60,
    write: (piece: string) => {
      text += piece
      return true
    },
  })
  try {
    act()
  } finally {
    Object.assign(stderr, before)
  }
  return text
}

test('times are minutes and seconds, with hours where there are any', () => {
  assert.deepEqual([0, 59.4, 59.6, 75, 3599.7, 3675].map(clockTime), [
    '0:00',
    '0:59',
    '1:00',
    '1:15',
    '1:00:00',
    '1:01:15',
  ])
})

test('a line has the label, a bar, the count, the time and what is left', () => {
  assert.equal(progressLine(view), 'trace <1> █████░░░░░░░░░░░░░░░ 3/12 responses, 1:15, about 3:46 left')
  assert.equal(
    progressLine({ ...view, state: 'stopped', note: 'gsm8k-7' }),
    'trace <1> █████░░░░░░░░░░░░░░░ stopped at 3/12 responses after 1:15 · gsm8k-7',
  )
  assert.equal(
    progressLine({ ...view, done: 12, state: 'finished', left: 0 }),
    'trace <1> ████████████████████ 12/12 responses in 1:15',
  )
  assert.equal(progressLine({ ...view, left: null }, 30), 'trace <1> █████░░░░░░░░░░░░░░…')
})

test('the notebook form escapes its texts and says the same to a screen reader', () => {
  const html = progressHtml(view)
  assert.match(html, /trace &lt;1&gt;/)
  assert.match(html, /aria-valuenow="25\.0"/)
  assert.match(html, /width: 25\.0%/)
})

test('on a terminal one line is redrawn, and ends with a line break', () => {
  const text = written(true, () => {
    const bar = progress('work', 2)
    bar.update(1)
    bar.update(2, 'last')
    bar.update(2)
    bar.finish()
  })
  const [first, second, ...rest] = text.split('\r').slice(1)
  assert.equal(first, 'work ░░░░░░░░░░░░░░░░░░░░ 0/2, 0:00\u001b[K')
  assert.equal(second, 'work ████████████████████ 2/2 in 0:00 · last\u001b[K\n')
  assert.deepEqual(rest, [])
})

test('elsewhere short work is one line at its end', () => {
  const text = written(false, () => {
    const { callback } = progress('work', 1, { unit: 'items' })
    for (let i = 1; i <= 50; i++) callback(i, 50)
  })
  assert.equal(text, 'work: 50/50 items in 0:00\n')
})

test('after an interrupt the next update shows that it stopped, and throws', () => {
  const text = written(false, () => {
    const bar = progress('work', 10)
    bar.update(4)
    interrupt()
    assert.throws(() => bar.update(5), Interrupted)
    assert.throws(() => bar.update(6), Interrupted)
    bar.finish()
  })
  assert.equal(text, 'work: stopped at 5/10 after 0:00\n')
})

test('an interrupt shows without another update', async () => {
  let text = ''
  const { write } = process.stderr
  process.stderr.write = ((piece: string) => {
    text += piece
    return true
  }) as typeof write
  try {
    const bar = progress('work', 10)
    bar.update(4)
    interrupt()
    await new Promise((resolve) => setTimeout(resolve, 400))
  } finally {
    process.stderr.write = write
  }
  assert.match(text, /stopped at 4\/10/)
})

test('counts that are none are refused', () => {
  assert.throws(
    () => progress('work', Number.NaN),
    /progress\('work'\): total must be a finite number, 0 or more, got NaN/,
  )
  assert.throws(() => progress('work', 3).update(-1), /done must be .*got -1/)
})
