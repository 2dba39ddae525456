import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { learningArms, learningSummary, learningTable, WARM_UP } from '../../lib/analysis/learningArms'
import { readRecordedRuns, recordedMetrics } from '../../lib/analysis/recordedRuns'
import { recordRun } from '../../lib/analysis/recordRun'
import { evaluationOf, type MetricsRow, samplesOf, thinned } from '../../lib/analysis/runMetrics'
import { temporaryFolder } from '../support/temporaryFolder'

const folder = temporaryFolder()
const state = { state: 'finished', step: 6, device: 'CPU', startedAt: '2026-01-01', changedAt: '2026-01-02' }
const config = {
  seed: 4,
  model: { hiddenSize: 8 },
  supervised: { steps: 4 },
  grpo: { credit: { strategy: 'coupled' } },
}

/** An accuracy with an interval of 0.1 to either side, as metrics name it. */
const accuracy = (name: string, value: number) => ({
  [`eval/${name}`]: value,
  [`eval/${name}_low`]: value - 0.1,
  [`eval/${name}_high`]: value + 0.1,
})
const evaluated = (greedy: number, sampled: number) => ({
  ...accuracy('greedy', greedy),
  ...accuracy('avg@8', sampled),
  ...accuracy('pass@8', 0.75),
  ...{ 'eval/mean_length': 20, 'eval/clipped_ratio': 0.25, 'timing_s/evaluation': 100 },
})

/** Four steps of warm-up of 30 s, two of GRPO of 60 s; evaluations, 100 s each, after steps 4, 5 and 6. */
const metrics: MetricsRow[] = [
  ...[8, 6, 4, 2].map(
    (loss, i): MetricsRow => ({
      ...{ step: i + 1, phase: 'supervised', phaseStep: i + 1, loss, 'timing_s/step': 30, learning_rate: 0.1 },
      ...(i === 3 ? evaluated(0.4, 0.3) : {}),
    }),
  ),
  ...[0.5, 0.7].map(
    (reward, i): MetricsRow => ({
      ...{ step: i + 5, phase: 'grpo', phaseStep: i + 1, reward, grad_norm: i === 0 ? null : 2, 'timing_s/step': 60 },
      ...evaluated(0.5 + 0.1 * i, 0.45 + 0.05 * i),
    }),
  ),
]
const run = recordRun({ name: 'a', config, state, metrics }, config, { points: 2 })

test('a run: label, seconds of training by phase, evaluations at the training time before them', () => {
  assert.equal(run.label, 'GRPO, coupled credit')
  assert.deepEqual(run.seconds, { supervised: 120, grpo: 120, evaluation: 300 })
  assert.deepEqual(
    run.evaluations.map(({ phase, step, phaseStep, seconds }) => [phase, step, phaseStep, seconds]),
    [
      ['supervised', 4, 4, 120],
      ['grpo', 5, 1, 180],
      ['grpo', 6, 2, 240],
    ],
  )
  assert.deepEqual(run.evaluations[1]!.sampled, { value: 0.45, low: 0.35, high: 0.55 })
  assert.deepEqual([run.evaluations[0]!.length, run.evaluations[0]!.truncated], [20, 0.25])
  assert.equal(samplesOf(metrics), 8)
})

test('metrics are thinned to means of neighbouring steps; what no figure draws goes, a number that was not finite stays null', () => {
  assert.deepEqual(run.metrics.supervised, { step: [2, 4], phaseStep: [2, 4], loss: [7, 3], 'timing_s/step': [30, 30] })
  assert.deepEqual(run.metrics.grpo?.grad_norm, [null, 2])
  // 5 lines to at most 2 points: stretches of 3 and 2.
  const five = [1, 2, 3, 4, 5].map((n): MetricsRow => ({ step: n, phase: 'grpo', phaseStep: n, reward: n }))
  assert.deepEqual(thinned(five, 2), { step: [3, 5], phaseStep: [3, 5], reward: [2, 4.5] })
  assert.deepEqual(thinned(five, 9).reward, [1, 2, 3, 4, 5])
})

test('recorded metrics are lines again, with the evaluations among them', () => {
  const rows = recordedMetrics(run, 8)
  assert.deepEqual(
    rows.map(({ phase, step }) => [phase, step]),
    [
      ['supervised', 2],
      ['supervised', 4],
      ['supervised', 4],
      ['grpo', 5],
      ['grpo', 5],
      ['grpo', 6],
      ['grpo', 6],
    ],
  )
  assert.deepEqual(
    rows.flatMap((row) => evaluationOf(row, 0) ?? []).map(({ sampled, length }) => [sampled.value, length]),
    run.evaluations.map(({ sampled, length }) => [sampled.value, length]),
  )
})

test('differences name keys, whole sections where one side has none, and no path of a machine', () => {
  const further = { ...config, seed: 9, model: { from: './../../x/y/a/checkpoints/step-4' }, grpo: null }
  const other = recordRun({ name: 'b', config: further, state, metrics: metrics.slice(0, 4) }, config)
  assert.equal(other.label, 'further supervised training')
  assert.equal(other.from, 'a/checkpoints/step-4')
  assert.deepEqual(other.differences, { model: { from: 'a/checkpoints/step-4' }, grpo: null })
  const uniform = { ...config, grpo: { credit: { strategy: 'uniform' } }, hashes: { task: 'abc' } }
  const third = recordRun({ name: 'c', config: uniform, state, metrics }, config, { label: 'mine' })
  assert.deepEqual([third.label, third.differences], ['mine', { 'grpo.credit.strategy': 'uniform' }])
  assert.throws(() => recordRun({ name: 'd', config, state, metrics: metrics.slice(0, 3) }, config), /no evaluation/)
})

test('curves count from the checkpoint that the arms share; a run from it is paired with its origin', () => {
  const further = recordRun(
    {
      ...{ name: 'b', state, config: { ...config, seed: 104, model: { from: '../a/checkpoints/step-4' }, grpo: null } },
      metrics: [
        { step: 0, phase: 'supervised', phaseStep: 0, ...evaluated(0.4, 0.3) },
        { step: 1, phase: 'supervised', phaseStep: 1, 'timing_s/step': 120, ...evaluated(0.42, 0.31) },
      ],
    },
    config,
  )
  const arms = learningArms({ runs: [run, further] })
  assert.deepEqual(
    arms.map(({ label, origin, points }) => [label, origin, points.map(({ step, minutes }) => [step, minutes])]),
    [
      [WARM_UP, 'a', [[0, 0]]],
      [
        'GRPO, coupled credit',
        'a',
        [
          [0, 0],
          [1, 1],
          [2, 2],
        ],
      ],
      [
        'further supervised training',
        'a',
        [
          [0, 0],
          [1, 2],
        ],
      ],
    ],
  )
  assert.deepEqual(
    arms.map(({ seed }) => seed),
    [4, 4, 4],
    "the origin's seed",
  )
  const rows = learningTable({ runs: [run, further] })
  const [grpo, supervised] = rows
  const near = (actual: number, expected: number) => assert.ok(Math.abs(actual - expected) < 1e-9, `${actual}`)
  near(grpo!.gain, 0.2)
  near(grpo!.greedyGain, 0.2)
  near(grpo!.sampledHigh, 0.6)
  near(supervised!.gain, 0.01)
  assert.equal(grpo!.minutes, supervised!.minutes)
  // Two seeds of one arm: gains 0.2 and 0.1.
  const second = { ...grpo!, seed: 5, sampled: 0.4, gain: 0.1 }
  const [summary] = learningSummary([grpo!, second])
  assert.deepEqual([summary!.seeds, summary!.gainLowest], [2, 0.1])
  near(summary!.gain, 0.15)
  near(summary!.sampled, 0.45)
})

test('a file of another form is refused, one that is not there is none', () => {
  const file = join(folder, 'runs.json')
  assert.equal(readRecordedRuns(file), null)
  writeFileSync(file, '{"format": "something"}')
  assert.throws(() => readRecordedRuns(file), /"something": expected 'reasoning-rhythm runs 1'/)
})
