import assert from 'node:assert/strict'
import test from 'node:test'
import { sweepHtml, sweepText } from '../../lib/notebook/sweepDisplay'
import type { RunView, SweepView } from '../../lib/sweeps/sweepView'

const run = (arm: string, state: RunView['state'], changes: Partial<RunView> = {}): RunView => ({
  ...{ kind: 'cell', name: `${arm}-0`, arm, seed: 0, state, step: 0, steps: 100 },
  ...{ secondsPerStep: null, accuracy: null, message: null },
  ...changes,
})
const view: SweepView = {
  ...{
    name: 'main',
    folder: '/runs/main',
    launcher: 'local',
    slots: 2,
    elapsed: 75,
    left: 3675,
    note: null,
    over: false,
  },
  runs: [
    run('seed-0', 'done', { kind: 'warmup' }),
    run('uniform', 'done', { accuracy: 0.4 }),
    run('uniform', 'done', { accuracy: 0.42 }),
    run('coupled', 'running', { step: 41, secondsPerStep: 2.345, accuracy: 0.412 }),
    run('coupled', 'waiting'),
    run('<odd>', 'failed', { message: 'many lines\nno such item' }),
  ],
  counts: { waiting: 1, running: 1, done: 3, failed: 1, stopped: 0 },
}

test('the table of a sweep: what is done, what runs and how fast, what failed and why, time left', () => {
  assert.deepEqual(sweepText(view), [
    'main: 3 of 6 done, 1 running, 1 waiting, 1 failed; 1:15, about 1:01:15 left',
    'arm       done  running  waiting  failed  accuracy %',
    '--------  ----  -------  -------  ------  ----------',
    'warm-ups     1        0        0       0  –',
    'uniform      2        0        0       0  41.0',
    'coupled      0        1        1       0  –',
    '<odd>        0        0        0       1  –',
    'running: coupled-0: step 41 of 100, 2.3 s a step, accuracy 41.2 %',
    'failed: <odd>-0: no such item',
  ])
})

test('what a run waits for, why it was stopped, and what happened last', () => {
  const waits = run('coupled', 'waiting', { message: 'another process is at it' })
  const turn = run('coupled', 'waiting', { message: 'its warm-up seed-0 is not done' })
  const stopped = run('uniform', 'stopped', { message: 'was stopped by others' })
  const shown = sweepText({ ...view, runs: [waits, turn, stopped] }, 'coupled-0: done\nand more')
  assert.deepEqual(shown.slice(5), [
    'waiting: coupled-0: another process is at it',
    'stopped: uniform-0: was stopped by others',
    'last: coupled-0: done',
  ])
  assert.match(sweepHtml(view, 'a <b> happened'), /last: a &lt;b&gt; happened/)
  assert.doesNotMatch(sweepHtml({ ...view, over: true }, 'a'), /last:/)
})

test('on a low terminal the arms go first, then the last of the runs', () => {
  assert.equal(sweepText(view, '', 8).length, 3)
  const small = sweepText({ ...view, runs: Array.from({ length: 9 }, () => view.runs[3]!) }, '', 4)
  assert.deepEqual(small.slice(2), [small[1], '… and 7 more lines'])
})

test('in a notebook it is a table, with nothing that a name could break', () => {
  const html = sweepHtml(view)
  assert.match(html, /<table[\s\S]*<td[^>]*>&lt;odd&gt;<\/td>/)
  assert.doesNotMatch(html, /<odd>/)
})
