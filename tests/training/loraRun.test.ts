import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { before } from 'node:test'
import { tf } from '../../lib/engine/tensorflow'
import { isAdapterFolder } from '../../lib/model/adapterFolder'
import { loadModel, saveModel } from '../../lib/model/loadModel'
import { readSafetensors } from '../../lib/model/safetensors'
import { storedWeights } from '../../lib/model/weights'
import { ConfigError, parseConfig } from '../../lib/training/readConfig'
import { readMetrics } from '../../lib/training/runFolder'
import { type TrainOptions, train } from '../../lib/training/train'
import { initialModel } from '../../lib/training/trainedModel'
import type { FreshModel } from '../../lib/training/trainingConfig'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyConfig, withoutTimings } from './tinyRun'

const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)
const LORA = { rank: 2, alpha: 4 }

/** The tiny run on adapters of the model in `base`. */
const config = (changes: Record<string, unknown> = {}) => ({
  ...tinyConfig(changes),
  model: { from: at('base') },
  lora: LORA,
})
const run = (name: string, given: object | null = config(), options: Partial<TrainOptions> = {}) =>
  train(given, { run: at(name), ...options })

const hash = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex')

/** What a run that goes on must equal. */
const resultOf = (name: string) => {
  const metrics = readMetrics(at(name)).map(withoutTimings)
  const last = at(name, 'checkpoints', `step-${metrics.at(-1)!.step}`)
  const files = ['adapter_model.safetensors', 'optimizer.safetensors', 'trainer_state.json']
  return { metrics, files: files.map((file) => hash(join(last, file))) }
}

before(async () => {
  const { model } = parseConfig(tinyConfig())
  const base = await initialModel(model as FreshModel, 1, at('text'))
  await saveModel(base, at('base'))
  base.dispose()
})

test('only adapters are trained and saved; a checkpoint loads as the merged model that was evaluated', async () => {
  const untouched = hash(at('base', 'model.safetensors'))
  const result = await run('whole')
  assert.equal(result.state, 'finished')
  assert.deepEqual(readdirSync(result.checkpoint).sort(), [
    'adapter_config.json',
    'adapter_model.safetensors',
    'optimizer.safetensors',
    'trainer_state.json',
  ])
  assert.ok(isAdapterFolder(result.checkpoint))
  const { tensors } = await readSafetensors(join(result.checkpoint, 'adapter_model.safetensors'))
  const { tensors: moments } = await readSafetensors(join(result.checkpoint, 'optimizer.safetensors'))
  const count = (of: Record<string, { data: { length: number } }>) =>
    Object.values(of).reduce((sum, { data }) => sum + data.length, 0)
  // Sides of the matrices of a layer: 16 → 16, 8, 8 (queries, keys, values), 16 → 16, and 16 → 32 twice, 32 → 16.
  const sides = 32 + 24 + 24 + 32 + 3 * 48
  assert.equal(count(tensors), 2 * 2 * sides)
  assert.equal(count(moments), 2 * count(tensors))
  assert.equal(hash(at('base', 'model.safetensors')), untouched)

  const trained = await loadModel(result.checkpoint)
  const base = await loadModel(at('base'))
  assert.equal(trained.decode(trained.encode('ab10\n')), 'ab10\n')
  const before = storedWeights(base.config, base.weights).map(({ load }) => load().slice())
  for (const [i, { name, load }] of storedWeights(trained.config, trained.weights).entries())
    assert.equal(
      load().every((v, k) => v === before[i]![k]),
      !name.includes('_proj'),
      name,
    )
  trained.dispose()
  base.dispose()
  const held = tf.memory().numTensors
  await run('whole-again')
  assert.ok(tf.memory().numTensors <= held, `${tf.memory().numTensors - held} tensors more than before`)
})

test('it learns: demonstrations become likelier', () => {
  const losses = readMetrics(at('whole'))
    .filter(({ step, phase }) => step > 0 && phase === 'supervised')
    .map(({ loss }) => Number(loss))
  assert.ok(losses.at(-1)! < losses[0]! - 0.05, `${losses}`)
})

test('stopped at any step and taken up again: the same bits as without a stop, the reference policy too', async () => {
  for (const [name, stopAt, changes] of [
    ['whole', 3, {}],
    ['kl', 7, { grpo: { klCoefficient: 0.1 } }],
  ] as const) {
    if (name === 'kl') await run(name, config(changes))
    const controller = new AbortController()
    const stopped = `${name}-${stopAt}`
    const first = await run(stopped, config(changes), {
      signal: controller.signal,
      onStep: ({ step }) => {
        if (step === stopAt) controller.abort('enough')
      },
    })
    assert.deepEqual([first.state, first.step], ['stopped', stopAt])
    // Recomputation changes no number, so it may come later.
    assert.equal((await run(stopped, { ...config(changes), recompute: true })).state, 'finished')
    assert.deepEqual(resultOf(stopped), resultOf(name), `stopped at ${stopAt}`)
  }
  assert.ok(isAdapterFolder(at('kl', 'reference')))
  assert.ok(!existsSync(at('kl', 'reference', 'model.safetensors')))
  const kl = readMetrics(at('kl')).flatMap(({ kl }) => (kl === undefined ? [] : [Number(kl)]))
  // The policy moves away from where GRPO began, adapters of the warm-up included.
  assert.ok(kl[0]! < 1e-3 && kl.at(-1)! > 2 * kl[0]!, `${kl}`)
})

test('a run goes on only with the base and the adapters that it began with', async () => {
  await assert.rejects(
    run('whole', { ...config(), lora: { ...LORA, alpha: 5 } }),
    /different: lora\.alpha \(4, now 5\)/,
  )
  await assert.rejects(run('whole', { ...config(), lora: null }), /different: .*lora/)
  const file = at('base', 'model.safetensors')
  const bytes = readFileSync(file)
  const changed = Buffer.from(bytes)
  changed[changed.length - 2]! ^= 1
  writeFileSync(file, changed)
  const before = tf.memory().numTensors
  await assert.rejects(run('whole', null), /the model that this configuration was run with has changed/)
  assert.equal(tf.memory().numTensors, before)
  writeFileSync(file, bytes)
  assert.equal((await run('whole', null)).state, 'finished')
})

test('the configuration names what is wrong with adapters', () => {
  const refused = (lora: object, message: RegExp, model: object = { from: 'x' }) =>
    assert.throws(
      () => parseConfig({ ...tinyConfig(), model, lora }),
      (error: Error) => error instanceof ConfigError && message.test(error.message),
      String(message),
    )
  assert.deepEqual(parseConfig({ ...tinyConfig(), model: { from: 'x' }, lora: {} }).lora, {
    rank: 16,
    alpha: 32,
    targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  })
  refused({ rank: 0 }, /lora\.rank: .*\(got 0\)/)
  refused({ alpha: 0 }, /lora\.alpha: .*\(got 0\)/)
  refused({ targets: [] }, /lora\.targets: .*\(got \[\]\)/)
  refused({ targets: ['query'] }, /lora\.targets\.0: .*"q_proj"/)
  refused({ targets: ['q_proj', 'q_proj'] }, /lora\.targets: expected each target once/)
  refused({ dropout: 0.1 }, /unknown key lora\.dropout; lora takes rank, alpha, targets/)
  refused({}, /lora adapts a model that is there already: give model\.from/, tinyConfig().model as object)
})
