import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { before } from 'node:test'
import { learningTable } from '../../lib/analysis/learningArms'
import { readRecordedRuns } from '../../lib/analysis/recordedRuns'
import { train } from '../../lib/training/train'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyConfig } from '../training/tinyRun'

const CLI = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')
const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)
const FILE = at('results', 'runs.json')

const collect = (...runs: string[]) =>
  spawnSync(process.execPath, [CLI, 'collect', ...runs, '--output', FILE], { encoding: 'utf8', cwd: folder })

before(async () => {
  await train(tinyConfig(), { run: at('whole') })
  const model = { from: at('whole', 'checkpoints', 'step-4') }
  await train({ ...tinyConfig({ grpo: null }), model }, { run: at('further') })
  await train(tinyConfig({ evaluation: { samples: 3 }, grpo: { steps: 1 } }), { run: at('odd') })
  await train(tinyConfig({ evaluation: null, grpo: null }), { run: at('blind') })
})

test('collect: what the folders hold, in one file without paths', () => {
  const { status, stdout, stderr } = collect('whole', 'twice the data=further')
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^GRPO, coupled credit, seed 3: finished at step 10, 3 evaluations, last greedy .*%.*avg@2/)
  const text = readFileSync(FILE, 'utf8')
  assert.ok(!text.includes(folder) && text.length < 20_000, `${text.length} characters`)
  const recorded = readRecordedRuns(FILE)!
  assert.deepEqual([recorded.samples, recorded.items], [2, 4])
  assert.match(recorded.machine, /cores of .*Node \d+.*TensorFlow 2\./)
  const [whole, further] = recorded.runs
  const lines = readFileSync(at('whole', 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    whole!.metrics.grpo?.reward,
    lines.slice(4).map(({ reward }) => Number(reward.toPrecision(5))),
  )
  assert.equal(whole!.evaluations.at(-1)!.sampled.value, Number(lines.at(-1)['eval/avg@2'].toPrecision(5)))
  assert.deepEqual([further!.label, further!.from], ['twice the data', 'whole/checkpoints/step-4'])
  assert.deepEqual(
    learningTable(recorded).map(({ arm, origin, steps }) => [arm, origin, steps]),
    [
      ['GRPO, coupled credit', 'whole', 6],
      ['twice the data', 'whole', 4],
    ],
  )
})

test('runs that cannot be compared, or are none, are refused by name', () => {
  writeFileSync(at('nothing'), '')
  for (const [runs, message] of [
    [['whole', 'odd'], /odd was evaluated on 4 items × 3, whole on 4 × 2/],
    [['whole', 'whole'], /two runs are named whole/],
    [['blind'], /blind: this run has no evaluation/],
    [['missing'], /missing holds no run/],
  ] as const) {
    const { status, stderr } = collect(...runs)
    assert.equal(status, 1)
    assert.match(stderr, message)
  }
})
