import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'node:test'
import { blockSizes } from '../../lib/training/gradients/blockSizes'
import { decodingParts } from '../../lib/training/plan/decodingParts'
import { type MomentMemory, memoryMoments, peakMemory } from '../../lib/training/plan/memoryMoments'
import { remedies } from '../../lib/training/plan/memoryShortage'
import { parameterCounts } from '../../lib/training/plan/parameterCounts'
import { type PlannedLengths, plannedLengths } from '../../lib/training/plan/plannedLengths'
import { plannedModel } from '../../lib/training/plan/plannedModel'
import { parseConfig, withChanges } from '../../lib/training/readConfig'
import { resolveTask } from '../../lib/training/resolveTask'
import { freshConfig } from '../../lib/training/trainedModel'
import type { FreshModel, TrainingConfig } from '../../lib/training/trainingConfig'
import { planLines, shortageText, size, trainingPlan } from '../../lib/training/trainingPlan'
import { BASE } from './gradientProblem'
import { tinyConfig } from './tinyRun'

/** As on a CPU. */
const HERE = { sizes: blockSizes(), memoryIsReturned: false }

/** Memory in use at one kind of moment, in bytes by part. */
function partsAt(moment: string, config: TrainingConfig, lengths: PlannedLengths): Record<string, number> {
  const model = freshConfig(config.model as FreshModel)
  const moments = memoryMoments(config, model, lengths, HERE)
  const found = moments.find((m) => m.moment === moment)
  assert.ok(found, `${moment} is not among ${moments.map((m) => m.moment)}`)
  return Object.fromEntries(Object.entries(found.parts).map(([name, { bytes }]) => [name, bytes]))
}

const lengthsOf = (prompt: number, demonstrations: PlannedLengths['demonstrations'] = []): PlannedLengths => ({
  prompts: [prompt],
  demonstrations,
  responses: null,
})

test('parameters of a small decoder and of its adapters, counted by hand', () => {
  const model = {
    ...BASE,
    vocabSize: 10,
    hiddenSize: 8,
    intermediateSize: 12,
    numHiddenLayers: 2,
    numAttentionHeads: 2,
    numKeyValueHeads: 1,
    headDim: 4,
  }
  // Embedding and head 80 each, last norm 8; of a layer two norms 16, q 64, k and v 32 each, o 64, gate, up and down 96 each.
  const all = 80 + 80 + 8 + 2 * (16 + 64 + 32 + 32 + 64 + 3 * 96)
  const counts = parameterCounts(model, null)
  assert.deepEqual([counts.all, counts.trained, counts.adapted, counts.largest], [all, all, 0, 96])
  assert.equal(parameterCounts({ ...model, tieWordEmbeddings: true }, null).all, all - 80)
  const lora = parameterCounts(model, { rank: 3, alpha: 6, targets: ['q_proj', 'v_proj', 'down_proj'] })
  assert.equal(lora.all, all)
  assert.equal(lora.trained, 2 * 3 * (8 + 8 + (8 + 4) + (12 + 8)))
  // The tensor of queries, keys and values together, and down.
  assert.equal(lora.adapted, 2 * (128 + 96))
  // In bf16 output projections and MLPs have copies of two bytes a number, or, with adapters, nothing else and adapters beside them.
  const narrow = 2 * (64 + 3 * 96)
  assert.equal(parameterCounts(model, null, 'bf16').held.bytes, 4 * all + 2 * narrow)
  const adapted = parameterCounts(model, { rank: 3, alpha: 6, targets: ['q_proj', 'v_proj', 'down_proj'] }, 'bf16')
  assert.deepEqual([adapted.held.bytes, adapted.adapted], [4 * all - 2 * narrow, 2 * 128])
})

test('weights, gradients and moments of the optimizer take 4, 4 and 8 bytes a number, moments in bf16 4', () => {
  // Three micro-batches: in the second, all gradients are there.
  const input = tinyConfig({ grpo: { microBatch: 2 } })
  const config = parseConfig(input)
  const { all } = parameterCounts(freshConfig(config.model as FreshModel), null)
  const of = (changed: TrainingConfig) => partsAt('update', changed, lengthsOf(4, [[{ prompt: 4, response: 7 }]]))
  const { weights, gradients, optimizer } = of(config)
  assert.deepEqual([weights, gradients, optimizer], [4 * all, 4 * all, 8 * all])
  const bf16 = parseConfig(withChanges(input, ['grpo.optimizer.state=bf16']))
  assert.equal(of(bf16).optimizer, 4 * all)
  const kl = parseConfig(withChanges(input, ['grpo.klCoefficient=0.1']))
  assert.equal(of(kl)['reference policy'], 4 * all)
  assert.equal(of(config)['reference policy'], undefined)
})

test('activations grow linearly with the micro-batch, and not with the batch', () => {
  const sequences = (count: number) =>
    lengthsOf(4, [Array.from({ length: count }, () => ({ prompt: 4, response: 29 }))])
  const of = (batch: number, microBatch: number) => {
    const changes = [`supervised.batch=${batch}`, `supervised.microBatch=${microBatch}`]
    const config = parseConfig(withChanges(tinyConfig(), changes))
    return partsAt('supervised', config, sequences(batch)).activations!
  }
  // 64 sequences of 32 tokens that are read make one group.
  const [one, two, four] = [of(64, 64), of(128, 128), of(256, 256)]
  assert.ok(Math.abs(four - two - 2 * (two - one)) < 1e-6 * four, `${one}, ${two}, ${four}`)
  assert.ok(two > 1.9 * one)
  assert.equal(of(256, 64), one)
})

test('the cache of responses, by hand', () => {
  const parts = decodingParts(
    BASE,
    { batch: 5, distinct: 1, prompt: 10, response: 100, someWait: false },
    HERE.sizes.forward,
  )
  // Keys and values of 2 layers, 2 heads of 6, room for 128 tokens.
  assert.equal(parts.cache!.bytes, 2 * 2 * 2 * 6 * 128 * 5 * 4)
  const longer = decodingParts(
    BASE,
    { batch: 5, distinct: 1, prompt: 30, response: 100, someWait: false },
    HERE.sizes.forward,
  )
  assert.equal(longer.cache!.bytes, 2 * parts.cache!.bytes)
  // Where some wait, one that has 128 tokens stays while others go on: its next would be in the place after them.
  const full = { batch: 5, distinct: 1, prompt: 28, response: 100 }
  const cacheOf = (someWait: boolean) => decodingParts(BASE, { ...full, someWait }, HERE.sizes.forward).cache!.bytes
  // And one begins beside the five.
  assert.deepEqual([cacheOf(false), cacheOf(true)], [parts.cache!.bytes, (6 / 5) * parts.cache!.bytes])
  const more = { ...full, prompt: 29 }
  assert.equal(decodingParts(BASE, { ...more, someWait: false }, HERE.sizes.forward).cache!.bytes, parts.cache!.bytes)
  assert.ok(decodingParts(BASE, { ...more, someWait: true }, HERE.sizes.forward).cache!.bytes >= 2 * parts.cache!.bytes)
})

test('the parts of the peak add up; freed memory serves small blocks again, and on a GPU any', () => {
  const part = (bytes: number, large = 0) => ({ bytes: 1e6 * bytes, large: 1e6 * large })
  const moments: MomentMemory[] = [
    { moment: 'update', parts: { weights: part(100), activations: part(400) } },
    { moment: 'evaluation', parts: { weights: part(100), cache: part(300, 300) } },
  ]
  const sum = (parts: Record<string, number>) => Object.values(parts).reduce((total, n) => total + n, 0)
  const kept = peakMemory(moments, false)
  assert.equal(kept.moment, 'evaluation')
  assert.equal(kept.parts['freed before'], 400e6)
  assert.equal(kept.parts.cache, 300e6)
  assert.ok(Math.abs(sum(kept.parts) - kept.bytes) < 1)
  const pooled = peakMemory(moments, true)
  assert.equal(pooled.moment, 'update')
  assert.equal(pooled.parts['freed before'], undefined)
  const counted = ({ bytes, parts }: typeof kept) => bytes - parts['process and gaps']!
  // What the other moment freed stays with a CPU's process: 100 + 300 + 400; on a GPU 100 + 400 alone.
  assert.ok(Math.abs(counted(kept) - 800e6) < 1 && Math.abs(counted(pooled) - 500e6) < 1)
  // 90 MB and 6 % beside it on a CPU, 0.9 GB and 12 % on a GPU.
  assert.ok(Math.abs(kept.bytes - (90e6 + 1.06 * 800e6)) < 1 && Math.abs(pooled.bytes - (0.9e9 + 1.12 * 500e6)) < 1)
})

test('lengths are those of the task’s prompts and demonstrations', async () => {
  const config = parseConfig(tinyConfig())
  const { task } = await resolveTask(config.task)
  const lengths = plannedLengths(config, task, await plannedModel(config.model))
  // The task's eight prompts; twelve demonstrations, 10, 1010, 101010 in turn with a line end.
  assert.deepEqual(lengths.prompts, [2, 2, 3, 1, 4, 2, 1, 3])
  assert.deepEqual(lengths.responses!.sort(), [3, 3, 3, 3, 5, 5, 5, 5, 7, 7, 7, 7])
  assert.deepEqual([lengths.demonstrations.length, lengths.demonstrations[0]!.length], [2, 6])
  const total = (step: { prompt: number; response: number }[]) => step.map((s) => s.prompt + s.response)
  assert.ok(Math.max(...total(lengths.demonstrations[0]!)) <= Math.min(...total(lengths.demonstrations[1]!)))
})

test('each remedy for too little memory is one that --set takes and that is enough', () => {
  const input = tinyConfig({ supervised: { batch: 512, microBatch: 512 }, grpo: { prompts: 64, microBatch: 256 } })
  const config = parseConfig(input)
  const model = freshConfig(config.model as FreshModel)
  const lengths = lengthsOf(4, [Array.from({ length: 512 }, () => ({ prompt: 4, response: 12 }))])
  const needed = (changed: TrainingConfig) => peakMemory(memoryMoments(changed, model, lengths, HERE), false).bytes
  const most = needed(config)
  assert.equal(remedies(config, model, lengths, HERE, most), null)
  const least = needed(
    parseConfig(withChanges(input, ['supervised.microBatch=1', 'grpo.microBatch=1', 'recompute=true'])),
  )
  for (const available of [most - 1, (most + least) / 2, least + 1e5]) {
    const found = remedies(config, model, lengths, HERE, available)
    assert.ok(found && found.length > 0, `${available} of ${most}`)
    for (const { changes, bytes } of found) {
      assert.equal(needed(parseConfig(withChanges(input, changes))), bytes, changes.join(' '))
      assert.ok(bytes <= available, `${changes}: ${bytes}, ${available}`)
    }
  }
  assert.deepEqual(remedies(config, model, lengths, HERE, 1e6), [])
})

test('a plan of a tiny run: its times are measured, its text has the numbers', async () => {
  const plan = await trainingPlan(parseConfig(tinyConfig()))
  const { seconds, memory } = plan
  for (const phase of ['supervised', 'rollout', 'oldLogprob', 'update', 'evaluation'] as const)
    assert.ok(seconds[phase]! > 0 && seconds[phase]! < 5, `${phase}: ${seconds[phase]}`)
  // 4 steps of warm-up with one evaluation after them, 6 of GRPO with two.
  const steps = 4 * seconds.supervised! + 6 * (seconds.rollout! + seconds.oldLogprob! + seconds.update!)
  assert.ok(Math.abs(plan.totalSeconds! - steps - 3 * seconds.evaluation!) < 1e-9)
  assert.ok(Math.abs(Object.values(memory).reduce((sum, n) => sum + n, 0) - plan.peakBytes) < 1)
  assert.equal(plan.checkpointBytes, 12 * plan.parameters)
  assert.equal(shortageText(plan), null)
  const text = planLines(plan).join('\n')
  assert.match(text, /prompts of 1 to 4 tokens, demonstrations of 4 to 9/)
  assert.ok(text.includes(size(plan.peakBytes)))
})

test('uniform credit with one update needs no pass, and none is planned', async () => {
  const changes = ['grpo.updates=1', 'grpo.credit.strategy=uniform', 'supervised=null', 'evaluation=null']
  const config = parseConfig(withChanges(tinyConfig(), changes))
  const { seconds, moments } = await trainingPlan(config)
  assert.equal(seconds.oldLogprob, 0)
  assert.deepEqual(Object.keys(moments), ['rollout', 'oldLogprob', 'update', 'checkpoint'])
})

test('bytes are given in decimal units', () => {
  assert.deepEqual([999e3, 9.54e6, 359e6, 1.04e9, 41.2e9].map(size), ['1.0 MB', '9.5 MB', '359 MB', '1.0 GB', '41 GB'])
})

test('rhythm train refuses a run that cannot fit, before anything is allocated, and names keys', () => {
  const cli = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')
  const laptop = join(__dirname, '..', '..', 'data', 'configs', 'countdown-laptop.jsonc')
  const train = (...set: string[]) =>
    spawnSync(process.execPath, [cli, 'train', laptop, '--run', '/nowhere/at/all', '--set', ...set], {
      encoding: 'utf8',
    })
  const wide = train('supervised.microBatch=20000', 'supervised.batch=20000', 'supervised.bucketSteps=1')
  assert.equal(wide.status, 1, wide.stdout)
  assert.match(wide.stderr, /needs about [\d.]+ GB .* --set supervised\.microBatch=\d+ \([\d.]+ [GM]B\).*or --anyway/)
  const large = train('model.hiddenSize=100000', 'model.intermediateSize=400000')
  assert.equal(large.status, 1, large.stdout)
  assert.match(large.stderr, /no setting is small enough, take a smaller model; or --anyway/)
})
