import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { blockSizes } from '../../lib/training/gradients/blockSizes'
import { parameterCounts } from '../../lib/training/plan/parameterCounts'
import { gpuWith } from '../../lib/training/plan/plannedDevice'
import { plannedShape } from '../../lib/training/plan/plannedModel'
import { publishedShape } from '../../lib/training/plan/publishedModels'
import { ConfigError, parseConfig, readConfig } from '../../lib/training/readConfig'
import { shortageText, trainingPlan } from '../../lib/training/trainingPlan'
import { asOnGpu } from '../support/asOnGpu'
import { temporaryFolder } from '../support/temporaryFolder'
import { ENVIRONMENT, environmentRow, presetFiles, presetPlan } from './presetPlans'
import { tinyConfig } from './tinyRun'

const folder = temporaryFolder()
const CONFIGS = join(__dirname, '..', '..', 'data', 'configs')

test('there is a preset of each size, with all weights and with adapters, for Countdown and for mathematics', () => {
  const files = presetFiles()
  for (const part of ['0.6b', '1.7b', '4b', 'full', 'lora', 'countdown', 'math'])
    assert.ok(
      files.some((file) => file.includes(part)),
      part,
    )
  for (const file of files) {
    const { model, lora, task, grpo } = readConfig(join(CONFIGS, file))
    assert.ok('from' in model && 'name' in task && grpo)
    if (!file.startsWith('qwen3')) continue
    const [, size, kind, way] = /^qwen3-([\d.]+b)-(\w+)-(\w+)\.jsonc$/.exec(file)!
    assert.equal(model.from, `Qwen/Qwen3-${size!.toUpperCase()}-Base`)
    assert.deepEqual([task.name, lora !== null], [kind, way === 'lora'])
  }
})

test("the paper's settings: 512 responses, 16 updates, learning rate 1e-6, temperature 1, no KL term", () => {
  for (const [file, tokens] of [
    ['paper-1k.jsonc', 1024],
    ['paper-8k.jsonc', 8192],
  ] as const) {
    const { grpo, lora } = readConfig(join(CONFIGS, file))
    const { prompts, responses, updates, maxNewTokens, temperature, klCoefficient, optimizer } = grpo!
    assert.deepEqual(
      [prompts * responses, updates, maxNewTokens, temperature, klCoefficient, optimizer.learningRate, optimizer.state],
      [512, 16, tokens, 1, 0, 1e-6, 'float32'],
    )
    assert.equal(lora, null)
  }
})

for (const file of presetFiles()) {
  test(`${file}: the plan in its comment is today's, needs neither weights nor network, and fits`, async () => {
    const { named, written, printed, plan } = await presetPlan(file)
    assert.equal(named, file)
    assert.deepEqual(written, printed, 'write them anew: node --import tsx tests/training/presetPlans.ts')
    assert.equal(shortageText(plan), null)
    assert.ok(readFileSync(ENVIRONMENT, 'utf8').includes(environmentRow(file, plan)), 'the row of environment.md')
  })
}

test('a plan for another GPU is made with the block sizes that this library has on a GPU', () =>
  asOnGpu(() => assert.deepEqual(gpuWith(1e9).sizes, blockSizes())))

test('published shapes: parameters and those beside the embedding, in billions, by the models’ cards', () => {
  for (const [name, all, inner] of [
    ['Qwen/Qwen3-0.6B', 0.6, 0.44],
    ['Qwen/Qwen3-1.7B-Base', 1.7, 1.4],
    ['Qwen/Qwen3-4B', 4, 3.6],
  ] as const) {
    const model = publishedShape(name)!
    const counted = parameterCounts(model, null).all
    const billions = [counted, counted - model.vocabSize * model.hiddenSize].map((n) =>
      Number((n / 1e9).toPrecision(2)),
    )
    assert.deepEqual(billions, [all, inner], name)
  }
  for (const name of ['Qwen/Qwen3-8B', 'Qwen/Qwen3-4B-Instruct', 'other/Qwen3-4B', 'smollm2']) {
    assert.equal(publishedShape(name), null, name)
  }
})

test('a folder with nothing but a config.json can be planned', async () => {
  const model = join(folder, 'shape-only')
  mkdirSync(model)
  const fixture = join(__dirname, '..', 'fixtures', 'reference', 'tiny-qwen3')
  writeFileSync(join(model, 'config.json'), readFileSync(join(fixture, 'config.json')))
  // As the folder with the weights has it.
  assert.deepEqual(await plannedShape({ from: model }), await plannedShape({ from: fixture }))
  const config = parseConfig({
    model: { from: model },
    task: { name: 'countdown' },
    grpo: { steps: 1, maxNewTokens: 16 },
  })
  const plan = await trainingPlan(config, { gpuBytes: 2 ** 30, promptTokens: 8 })
  assert.deepEqual([plan.lengths.prompts, plan.totalSeconds, plan.seconds], [[8], null, {}])
})

test('a GPU that is too small is told, with keys; what a plan cannot know is refused', async () => {
  const config = readConfig(join(CONFIGS, 'qwen3-4b-countdown-full.jsonc'))
  const plan = await trainingPlan(config, { gpuBytes: 48 * 2 ** 30, promptTokens: 128 })
  // 0.92 of 48 GiB.
  assert.match(shortageText(plan)!, /and 47 GB are there: --set .*lora\.rank=16/)
  await assert.rejects(trainingPlan(parseConfig(tinyConfig()), { promptTokens: 8 }), ConfigError)
})

test('the command of a comment prints the comment; its options are refused without --plan', async () => {
  const cli = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')
  const file = 'qwen3-0.6b-math-lora.jsonc'
  const train = (...args: string[]) =>
    spawnSync(process.execPath, [cli, 'train', join(CONFIGS, file), '--run', join(folder, 'none'), ...args], {
      encoding: 'utf8',
    })
  const planned = train('--plan', '--gpu-memory', '80', '--prompt-tokens', '512')
  assert.equal(planned.status, 0, planned.stderr)
  assert.deepEqual(planned.stdout.trim().split('\n'), (await presetPlan(file)).written)
  const started = train('--gpu-memory', '80')
  assert.equal(started.status, 1)
  assert.match(started.stderr, /--gpu-memory and --prompt-tokens go with --plan/)
})
