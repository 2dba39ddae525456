import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { planSweep } from '../../lib/sweeps/planSweep'
import { readSweep } from '../../lib/sweeps/readSweep'
import { runSweep } from '../../lib/sweeps/runSweep'
import { parseSweep, type SweepInput } from '../../lib/sweeps/sweepFile'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyConfig } from '../training/tinyRun'
import { ScriptedLauncher } from './scriptedLauncher'

const CLI = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')
const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)

/** A sweep whose runs are finished but one, and say what `lines` gives for them. */
async function sweepOf(run: string, changes: Partial<SweepInput>, lines: (cell: string) => object[]) {
  const input = { base: tinyConfig(), axes: { 'grpo.credit.strategy': ['uniform', 'coupled'] }, seeds: 2, ...changes }
  const plan = planSweep(parseSweep(input as SweepInput), { run: at(run), threads: 1 })
  const end = { state: 'finished' as const, step: 10 }
  const launcher = new ScriptedLauncher(
    2,
    (cell) =>
      cell.endsWith('coupled_seed=1')
        ? [{ state: 'failed', exitCode: 1, run: { state: 'failed', step: 3, error: 'broke' } }]
        : [{ state: 'succeeded', exitCode: 0, run: end }],
    10,
  )
  await runSweep(plan, { launcher, every: 1 })
  for (const { folder: cell, name } of plan.cells) {
    writeFileSync(
      join(cell, 'metrics.jsonl'),
      lines(name)
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(''),
    )
  }
}

const evaluated = (sampled: number, greedy: number) => ({
  ...{ 'eval/greedy': greedy, 'eval/avg@8': sampled, 'eval/avg@8_low': 0, 'eval/pass@8': 1, 'timing_s/evaluation': 10 },
})
const step = (n: number, reward: number, more: object = {}) => ({
  ...{ step: n, phase: 'grpo', phaseStep: n, reward, 'timing_s/step': 2, ...more },
})

test('runs become rows: evaluations, reward, mean credit, seconds, and how they stand', async () => {
  await sweepOf('sweep', { set: { supervised: null }, name: 'two', paper: 'strategies' }, (cell) => [
    { step: 0, phase: 'grpo', phaseStep: 0, ...evaluated(0.25, 0.5) },
    step(1, 0.5, cell.includes('coupled') ? { 'rhythm/gamma_mean': 1.1 } : {}),
    step(2, 0.75, { ...(cell.includes('coupled') ? { 'rhythm/gamma_mean': 1.3 } : {}), ...evaluated(0.375, 0.625) }),
  ])
  const record = await readSweep(at('sweep'))
  assert.deepEqual([record.name, record.baseline, record.paper], ['two', 'uniform', 'strategies'])
  const { meanCredit, ...first } = record.rows[1]!
  assert.ok(Math.abs(meanCredit! - 1.2) < 1e-12)
  assert.deepEqual(first, {
    ...{ sweep: 'two', cell: 'strategy=coupled_seed=0', arm: 'coupled', labels: { strategy: 'coupled' } },
    ...{ seed: 0, warmup: null, state: 'finished', steps: 2, seconds: 24 },
    evaluations: [
      { step: 0, sampled: 0.25, greedy: 0.5 },
      { step: 2, sampled: 0.375, greedy: 0.625 },
    ],
    reward: { step: [1, 2], value: [0.5, 0.75] },
  })
  assert.deepEqual(
    record.rows.map(({ arm, state, meanCredit: credit }) => [
      arm,
      state,
      credit === null ? null : Number(credit.toFixed(3)),
    ]),
    [
      ['uniform', 'finished', 1],
      ['coupled', 'finished', 1.2],
      ['uniform', 'finished', 1],
      ['coupled', 'failed', 1.2],
    ],
  )
})

test('with a warm-up of its own, a run is counted from the checkpoint at its end', async () => {
  await sweepOf('own', {}, () => [
    { step: 4, phase: 'supervised', phaseStep: 4, loss: 1, 'timing_s/step': 1, ...evaluated(0.125, 0.25) },
    { ...step(1, 1, evaluated(0.5, 0.5)), step: 5 },
  ])
  const [row] = (await readSweep(at('own'))).rows
  assert.deepEqual(
    row!.evaluations.map(({ step: s, sampled }) => [s, sampled]),
    [
      [0, 0.125],
      [1, 0.5],
    ],
  )
})

test('rhythm compare prints the tables and writes a record that reads as the sweep does', async () => {
  const args = ['compare', at('sweep'), '--threshold', '30', '--output', at('out')]
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  assert.match(stdout, /two: 1 of 4 runs are not finished and left out/)
  assert.match(stdout, /uniform +2 +1 +37\.5 \[37\.5, 37\.5\] +37\.5 +31\.3 +62\.5 +1 +1\.000 +0\.4 +52\.6/)
  assert.match(stdout, /coupled +1 +\+0\.0 +– +0 of 1 +1\.0000 +1\.0000 +1\.0000 +– +\+10\.5/)
  const tables = ['arms', 'cells', 'comparisons', 'curves'].flatMap((name) => [`${name}.csv`, `${name}.json`])
  assert.deepEqual(readdirSync(at('out')).sort(), [...tables, 'runs.json'].sort())
  const [live, kept] = [await readSweep(at('sweep')), await readSweep(at('out'))]
  assert.match(kept.machine!, /cores of/)
  assert.deepEqual({ ...kept, machine: null }, live)
  assert.doesNotMatch(readFileSync(at('out', 'runs.json'), 'utf8'), new RegExp(folder), 'no path of this machine')
})

test('what holds no sweep is refused', async () => {
  await assert.rejects(readSweep(at('none')), /none holds no sweep: expected sweep\.json/)
  writeFileSync(at('runs.json'), '{"format": "reasoning-rhythm runs 1"}')
  await assert.rejects(
    readSweep(folder),
    /has the format "reasoning-rhythm runs 1": expected 'reasoning-rhythm sweep 1'/,
  )
  writeFileSync(at('out', 'sweep.json'), '{"version": 2}')
  await assert.rejects(readSweep(at('out')), /sweep\.json has version 2/)
})
