import assert from 'node:assert/strict'
import { appendFileSync, copyFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { before } from 'node:test'
import { loadModel } from '../../lib/model/loadModel'
import { makeControlSet } from '../../lib/traces/controlSet'
import { openTraceSet } from '../../lib/traces/openTraceSet'
import { runCheckpoint } from '../../lib/training/runCheckpoint'
import { train } from '../../lib/training/train'
import { commandLine } from '../support/commandLine'
import { temporaryFolder } from '../support/temporaryFolder'
import { TASK, tinyConfig } from '../training/tinyRun'

const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)

const rhythm = commandLine(folder)

before(async () => {
  copyFileSync(TASK, at('task.cjs'))
  const evaluation = { split: 'validation', items: 4, samples: 2, maxNewTokens: 12, temperature: 0.9, batch: 3 }
  await train(tinyConfig({ task: { module: at('task.cjs') }, evaluation, dataSeed: 7 }), { run: at('run') })
})

const lines = (file: string) =>
  readFileSync(at(file), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
/** As the task says: right if the response has an even number of ones. */
const isRight = (response: string) => [...response].filter((character) => character === '1').length % 2 === 0

test("traces --run: the run's items, prompts and sampling; the task's verdicts; a manifest that says which run, checkpoint and items", async () => {
  const { status, stdout, stderr } = rhythm('traces', '--run', 'run', '--checkpoint', 'step-4', '--output', 'set')
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^set: 4 traces of run\/checkpoints\/step-4, .* 0 without an answer \(answers: task\)/)
  const set = await openTraceSet(at('set'))
  const { manifest } = set
  assert.deepEqual(manifest.run, { folder: 'run', checkpoint: 'step-4', config: manifest.run!.config })
  assert.deepEqual(
    { ...manifest.task, hash: null },
    {
      ...{ name: 'even-ones', hash: null, split: 'validation', dataSeed: 7 },
      choice: { module: '../task.cjs', options: {} },
    },
  )
  assert.match(manifest.task!.hash!, /^[0-9a-f]{64}$/)
  const { samples, ...sampling } = manifest.sampling
  assert.deepEqual(
    [samples, sampling],
    [1, { temperature: 0.9, topK: null, topP: 1, maxNewTokens: 12, seed: 3, batch: 3 }],
  )
  assert.deepEqual(set.problems[1], { id: 'validation-00001', item: { prompt: 'ba', split: 'validation' } })
  assert.deepEqual(
    set.responses.map(({ prompt }) => prompt),
    ['ab', 'ba', 'aab', 'b'],
  )
  for (const { response, correct, truncated, ids, promptLength } of set.responses) {
    assert.equal(correct, isRight(response))
    assert.equal(truncated, ids.length - promptLength === 12 && ids.at(-1) !== 4)
  }
  const traced = []
  for await (const { problem, correct } of set.traces()) traced.push([problem, correct])
  assert.deepEqual(
    traced,
    set.responses.map(({ problem, correct }) => [problem, correct]),
  )

  assert.match(rhythm('traces', '--run', 'run', '--checkpoint', 'step-4', '--output', 'set').stderr, /already there/)
  const other = rhythm('traces', '--run', 'run', '--checkpoint', 'last', '--output', 'set')
  assert.match(other.stderr, /set holds another trace set: model\.name is "run\/checkpoints\/step-4" here, .*step-10/)
})

test('generate --run: lines with verdicts, of the best checkpoint unless another is named; what was asked changes what the run says', async () => {
  const best = (JSON.parse(readFileSync(at('run', 'best.json'), 'utf8')) as { step: number }).step
  const changes = ['--split', 'test', '--limit', '2', '--samples', '2', '--max-new-tokens', '5', '--seed', '8']
  const { status, stderr } = rhythm('generate', '--run', 'run', ...changes, '--output', 'best.jsonl')
  assert.equal(status, 0, stderr)
  const written = lines('best.jsonl')
  assert.deepEqual(
    written.map(({ id, model, sampling, verdict, response }) => [
      id,
      model,
      sampling.maxNewTokens,
      sampling.seed,
      sampling.temperature,
      verdict.correct === isRight(response),
    ]),
    ['test-00000-s0', 'test-00000-s1', 'test-00001-s0', 'test-00001-s1'].map((id) => [
      id,
      `run/checkpoints/step-${best}`,
      ...[5, 8, 0.9, true],
    ]),
  )
  assert.equal(await runCheckpoint(at('run'), 'last'), at('run', 'checkpoints', 'step-10'))
})

test('a control of such a set keeps its verdicts', async () => {
  const base = await openTraceSet(at('set'))
  const model = await loadModel(at('run', 'checkpoints', 'step-4'))
  const control = await makeControlSet(at('set'), at('control'), { model })
  assert.equal(control.judgedBy, 'task')
  assert.deepEqual(
    control.responses.map(({ correct }) => correct),
    base.responses.map(({ correct }) => correct),
  )
  model.dispose()
  await assert.rejects(openTraceSet(at('set'), { verify: () => null }), /even-ones, which judged the responses/)
})

test('options that a run decides, or that need one, are refused by name; so is a task that changed', () => {
  const run = ['traces', '--run', 'run', '--output', 'x']
  const refused: [string[], RegExp][] = [
    [[...run, '--problems', 'p.jsonl', '--plain'], /with --run .* leave out --problems, --plain/],
    [[...run, '--model', 'm'], /leave out --model \(--checkpoint/],
    [[...run, '--answers', 'lenient'], /leave out --answers/],
    [[...run, '--control', 'permuted', '--base', 'set'], /leave out --control, --base/],
    [['traces', '--output', 'x', '--checkpoint', 'last'], /--checkpoint goes with --run FOLDER/],
    [['generate', '--output', 'x', '--split', 'test'], /--split goes with --run FOLDER/],
    [[...run, '--checkpoint', 'step-5'], /run has no checkpoint step-5: it has step-4, .*step-10, or best, last/],
    [['traces', '--run', 'set', '--output', 'x'], /set holds no run/],
    [['evaluate', '--checkpoint', 'last', '--model', 'm'], /--checkpoint goes with --run/],
  ]
  for (const [args, message] of refused) {
    const { status, stderr } = rhythm(...args)
    assert.equal(status, 1, args.join(' '))
    assert.match(stderr, message)
    assert.doesNotMatch(stderr, /^\s+at /m, 'no stack for a user')
  }
  appendFileSync(at('task.cjs'), '// changed\n')
  assert.match(rhythm(...run).stderr, /the task that the run was trained on has changed/)
  assert.equal(existsSync(at('x')), false)
})
