import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import type { CreditStrategy } from '../../lib/credit/creditStrategy'
import { interrupt } from '../../lib/engine/cooperate'
import { tf } from '../../lib/engine/tensorflow'
import { loadModel } from '../../lib/model/loadModel'
import { isTiming, readMetrics, readRollouts, rolloutSteps } from '../../lib/training/runFolder'
import { lockRun } from '../../lib/training/runLock'
import { type TrainOptions, train } from '../../lib/training/train'
import { temporaryFolder } from '../support/temporaryFolder'
import { filesOf, resultOf, TASK, tinyConfig, withoutTimings } from './tinyRun'

const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)
const run = (name: string, config: object | null = tinyConfig(), options: Partial<TrainOptions> = {}) =>
  train(config, { run: at(name), ...options })

test('warm-up and GRPO: metrics of every step, rollouts with their rhythm, checkpoints that load as models', async () => {
  const result = await run('whole')
  assert.deepEqual([result.state, result.step, result.steps], ['finished', 10, 10])
  const lines = readMetrics(at('whole'))
  assert.deepEqual(
    lines.map(({ step, phase, phaseStep }) => [step, phase, phaseStep]),
    [...[1, 2, 3, 4].map((i) => [i, 'supervised', i]), ...[1, 2, 3, 4, 5, 6].map((i) => [4 + i, 'grpo', i])],
  )
  assert.deepEqual(
    lines.flatMap((line) => ('eval/avg@2' in line ? [line.step] : [])),
    [4, 7, 10],
  )
  const step = lines[5]!
  for (const name of [
    'reward',
    'reward_std',
    'frac_reward_zero_std',
    'entropy',
    'grad_norm',
    'learning_rate',
    'clip_ratio/low_mean',
    'clip_ratio/high_mean',
    'actor/ppo_kl',
    'completions/mean_length',
    'completions/clipped_ratio',
    'rhythm/gamma_mean',
    'rhythm/dominated_share',
    'rhythm/head_turnover',
    'timing_s/gen',
    'timing_s/old_log_prob',
    'timing_s/credit',
    'timing_s/update_actor',
    'perf/throughput',
  ])
    assert.equal(typeof step[name], 'number', `${name} of step 6 is ${step[name]}`)
  assert.ok(lines.at(-1)!.num_tokens! > step.num_tokens!)

  assert.deepEqual(await rolloutSteps(at('whole')), [5, 6, 8, 10])
  const [rollout] = (await readRollouts(at('whole'), 6)).filter(({ gamma }) => gamma !== null)
  const { ids, tokens, gamma, rhythm, advantage, reward } = rollout!
  assert.equal(tokens.join('').replace(/\n$/, ''), rollout!.response.replace(/\n$/, ''))
  for (const values of [tokens, gamma, rhythm!.waad, rhythm!.fai, rhythm!.delta])
    assert.equal(values!.length, ids.length)
  assert.ok(advantage > 0 === reward > 0, 'the better responses of a group have the positive advantage')

  assert.deepEqual(
    readdirSync(at('whole', 'checkpoints')).sort(),
    ['step-10', 'step-4', 'step-8'].concat(result.best!.step === 7 ? ['step-7'] : []).sort(),
  )
  const model = await loadModel(result.checkpoint)
  assert.equal(model.decode(model.encode('ab10\n')), 'ab10\n')
  assert.deepEqual(model.config.eosTokenIds, [4])
  model.dispose()
  // Constants of the first run stay; a second one adds nothing.
  const held = tf.memory().numTensors
  await run('whole-again')
  assert.ok(tf.memory().numTensors <= held, `${tf.memory().numTensors - held} tensors more than before`)
  // A finished run is left as it is.
  const before = filesOf(at('whole'))
  assert.equal((await run('whole', null)).state, 'finished')
  assert.deepEqual(filesOf(at('whole')), before)
})

test('stopped at any step, by stop file, abort or interrupt, and taken up again: the same bits as without a stop', async () => {
  const expected = resultOf(at('whole'))
  for (const [i, how] of ['file', 'abort', 'interrupt'].entries()) {
    const controller = new AbortController()
    const name = `stopped-${how}`
    const first = await run(name, tinyConfig(), {
      signal: controller.signal,
      onStep: ({ step }) => {
        if (step !== 3 + 2 * i) return
        if (how === 'file') writeFileSync(at(name, 'stop'), '')
        else if (how === 'abort') controller.abort()
        // In the middle of the next step.
        else setTimeout(interrupt, 5)
      },
    })
    assert.equal(first.state, 'stopped')
    assert.ok(first.step < 10 && existsSync(first.checkpoint), `${how} at ${first.step}`)
    assert.equal((await run(name)).state, 'finished')
    assert.deepEqual(resultOf(at(name)), expected, how)
  }
})

test('metrics and rollouts that were written after the last checkpoint are made again', async () => {
  await run('rewound', tinyConfig(), { onStep: ({ step }) => step === 7 && writeFileSync(at('rewound', 'stop'), '') })
  writeFileSync(
    at('rewound', 'metrics.jsonl'),
    `${readFileSync(at('rewound', 'metrics.jsonl'))}{"step": 8, "phase": "grpo", "phaseStep": 4, "reward": 99}\n{"step": 9, "pha`,
  )
  writeFileSync(at('rewound', 'rollouts', 'step-000009.jsonl'), 'nonsense')
  mkdirSync(at('rewound', 'checkpoints', '.step-8.1.abc.tmp'))
  await run('rewound')
  assert.deepEqual(resultOf(at('rewound')), resultOf(at('whole')))
  assert.ok(!existsSync(at('rewound', 'checkpoints', '.step-8.1.abc.tmp')))
})

test('a damaged checkpoint is passed over with a warning, the one before it is used', async () => {
  const config = tinyConfig({ checkpoints: { every: 2, keep: 9 } })
  await run('damaged', config, { onStep: ({ step }) => step === 8 && writeFileSync(at('damaged', 'stop'), '') })
  truncateSync(at('damaged', 'checkpoints', 'step-8', 'model.safetensors'), 1000)
  const warnings: string[] = []
  await run('damaged', config, { onWarning: (text) => warnings.push(text) })
  assert.match(warnings.join(), /step-8 cannot be read and is passed over/)
  assert.deepEqual(resultOf(at('damaged')).metrics, resultOf(at('whole')).metrics)
  assert.deepEqual(resultOf(at('damaged')).weights, resultOf(at('whole')).weights)
})

test('the second process on a run folder is refused, and another configuration', async () => {
  const release = await lockRun(at('whole'))
  await assert.rejects(run('whole'), new RegExp(`in use by process ${process.pid} `))
  await release()
  await assert.rejects(
    run('whole', tinyConfig({ seed: 5 })),
    /begun with another configuration; different: seed \(3, now 5\)/,
  )
  await assert.rejects(run('nowhere', null), /holds no run yet/)
  // What a process on another machine wrote long ago is no lock; what it wrote just now is.
  writeFileSync(at('whole', 'run.lock'), JSON.stringify({ pid: 1, host: 'elsewhere', since: 'then' }))
  await assert.rejects(run('whole'), /in use by process 1 on elsewhere/)
})

test('a run that does not fit into memory is refused before anything large is there', async () => {
  const giant = tinyConfig({
    model: { hiddenSize: 2 ** 14, intermediateSize: 2 ** 16, numHiddenLayers: 64 },
  })
  await assert.rejects(
    run('giant', giant),
    /^ConfigError: this run needs about \d+ GB of memory .* or give anyway: true$/,
  )
  assert.deepEqual(readMetrics(at('giant')), [])
})

test('a run whose first model is gone goes on: that it cannot be planned is a warning', async () => {
  cpSync(join(at('whole'), 'checkpoints', 'step-10'), at('first-model'), { recursive: true })
  const config = tinyConfig({ model: null, supervised: null, grpo: { steps: 2 } })
  await run('moved', { ...config, model: { from: at('first-model') } })
  rmSync(at('first-model'), { recursive: true })
  const warnings: string[] = []
  const { state } = await run('moved', null, { onWarning: (text) => warnings.push(text) })
  assert.equal(state, 'finished')
  assert.match(warnings.join('\n'), /whether the run fits into memory is not known.*first-model/)
})

test('a strategy written by the caller places credit; an error in it stops the step; its text is part of the run', async () => {
  const seen: number[] = []
  const mine: CreditStrategy = (rhythm) => {
    seen.push(rhythm.length)
    return Array.from({ length: rhythm.length }, () => 3)
  }
  await run('own', tinyConfig(), { credit: mine })
  assert.ok(seen.length > 0)
  assert.ok(
    readMetrics(at('own')).every((line) => line['rhythm/gamma_mean'] === undefined || line['rhythm/gamma_mean'] === 3),
  )
  await assert.rejects(run('own', null), /the credit that this configuration was run with has changed/)
  const failing: CreditStrategy = () => {
    throw new Error('no rhythm today')
  }
  await assert.rejects(run('failing', tinyConfig(), { credit: failing }), /no rhythm today/)
  assert.equal(JSON.parse(readFileSync(at('failing', 'state.json'), 'utf8')).state, 'failed')
  const module = join(TASK, '..', 'secondToken.cjs')
  const result = await run('module', tinyConfig({ grpo: { credit: { strategy: { module } } } }))
  const { hashes } = JSON.parse(readFileSync(at('module', 'config.json'), 'utf8'))
  assert.match(hashes.credit, /^[0-9a-f]{64}$/)
  const rollouts = await readRollouts(at('module'), 6)
  assert.ok(rollouts.some(({ gamma }) => gamma?.[0] === 0.5 && gamma[1] === 2))
  assert.equal(result.state, 'finished')
})

test('a loss that is not finite skips the update, is logged, and stops the run after the stated number', async () => {
  const config = tinyConfig({ maxNonFiniteUpdates: 3 })
  const credit: CreditStrategy = ({ length }) => new Array(length).fill(1e300)
  await assert.rejects(
    run('infinite', config, { credit }),
    /3 updates in a row had a loss or gradient that is not finite/,
  )
  const lines = readMetrics(at('infinite')).filter(({ phase }) => phase === 'grpo')
  const skipped = lines.reduce((sum, line) => sum + Number(line.updates_skipped), 0)
  assert.ok(skipped >= 3 && lines.every((line) => line.updates === 0))
  assert.equal(lines.at(-1)!.grad_norm, null)
})

test('uniform credit with one update needs no pass of the old policy; with the pass it is the same training', async () => {
  const of = (skipUnneededPass: boolean) =>
    tinyConfig({ supervised: null, grpo: { updates: 1, steps: 3, credit: { strategy: 'uniform', skipUnneededPass } } })
  const without = await run('skipped', of(true))
  const withPass = await run('with-pass', of(false))
  assert.ok(!('rhythm/gamma_mean' in without.metrics.at(-1)!))
  assert.equal(withPass.metrics.at(-1)!['rhythm/gamma_mean'], 1)
  for (const [i, line] of without.metrics.entries())
    for (const name of ['loss', 'grad_norm', 'reward'])
      assert.ok(
        Math.abs(Number(line[name] ?? 0) - Number(withPass.metrics[i]![name] ?? 0)) < 1e-4,
        `${name} of step ${line.step}: ${line[name]}, ${withPass.metrics[i]![name]}`,
      )
})

test('micro-batches, Dr. GRPO, KL, entropy bonus, masked truncation and heads by response: they run, and KL starts at 0', async () => {
  const grpo = {
    microBatch: 2,
    aggregate: 'dr-grpo',
    advantage: 'none',
    droppedGroups: 'left-out',
    klCoefficient: 0.1,
    entropyCoefficient: 0.01,
    maskTruncated: true,
    temperature: 0.8,
    updates: 1,
    steps: 2,
    credit: { heads: 'response', preset: 'v1' },
  }
  const { metrics } = await run('options', tinyConfig({ grpo }))
  const first = metrics.find(({ phase }) => phase === 'grpo')!
  assert.ok(Math.abs(Number(first.kl)) < 1e-6 && Math.abs(Number(first['actor/ppo_kl'])) < 1e-5, JSON.stringify(first))
  assert.ok(!('rhythm/head_turnover' in first))
  const micro = (microBatch: number) => tinyConfig({ grpo: { steps: 1, updates: 1, microBatch } })
  const [small, large] = [await run('micro-3', micro(3)), await run('micro-64', micro(64))]
  for (const name of ['loss', 'grad_norm'])
    assert.ok(Math.abs(Number(small.metrics.at(-1)![name]) - Number(large.metrics.at(-1)![name])) < 1e-5, name)
})

test('timings are named as such, and nothing else is', () => {
  const lines = readMetrics(at('whole')).map(withoutTimings)
  assert.ok(Object.keys(lines.at(-1)!).includes('reward') && !Object.keys(lines.at(-1)!).some(isTiming))
})
