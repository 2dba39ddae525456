import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { attachRun } from '../../lib/training/startRun'
import { root } from '../kernel/kernelSession'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyConfig } from '../training/tinyRun'
import { runNotebook } from './runNotebook'

const NAME = '05-does-it-learn-from-its-own-attempts.ipynb'
const folder = temporaryFolder()
const at = (name: string) => join(folder, name)

test('notebook 05: a run of its own, credit from a cell, and what is recorded', () => {
  const config = at('config.json')
  writeFileSync(config, JSON.stringify(tinyConfig({ grpo: { steps: 8 }, rollouts: { every: 1 } })))
  const cli = (...args: string[]) => {
    const done = spawnSync(process.execPath, [join(root, 'lib', 'dist', 'cli.js'), ...args], { encoding: 'utf8' })
    assert.equal(done.status, 0, done.stderr)
  }
  cli('train', config, '--run', at('kept'))
  cli('collect', at('kept'), '--output', at('runs.json'))

  const own = {
    config,
    run: at('own'),
    trials: at('trials'),
    ownSteps: 3,
    changes: ['seed=4'],
    check: at('no-check.json'),
  }
  const { titles, tables, printed } = runNotebook(NAME, { ...own, recorded: at('runs.json') }, at('out'))
  // A step in which every group's rewards are equal has no credit to show.
  const isCredit = (title: string) => /^Where does the credit of a (right|wrong) response go\?$/.test(title)
  const shown = titles.filter(isCredit).length
  assert.ok(shown === 1 || shown === 2, `${shown} responses of the run`)
  assert.deepEqual(
    titles.filter((title) => !isCredit(title)),
    [
      // The report of an H200 that is recorded, as there is none of one's own.
      'How fast is NVIDIA H200?',
      'Does it learn from its rewards?',
      'Does it learn to write searches?',
      'Does credit of my own train?',
      'Where does my credit go?',
      'Does it learn from its own attempts?',
      'GRPO, coupled credit, seed 3',
    ],
  )
  // Five are that report's.
  assert.equal(tables, 7)
  assert.match(printed, /device: CPU/)
  assert.match(printed, /no-check\.json is not there yet: npm run gpu-check writes it/)
  // What shortens the laptop's preset is not done to another configuration.
  assert.equal(attachRun(own.run).metrics().at(-1)!.phaseStep, 8)
  assert.match(printed, /headline: GRPO step 8: .* % .* of sampled responses right/)
  assert.match(printed, /headline: GRPO, coupled credit, 1 seed: .* points/)
  const { state, step } = attachRun(own.run).status()
  assert.deepEqual([state, step], ['finished', 12])
  assert.deepEqual(readdirSync(own.trials), ['own-credit-1'])
})
