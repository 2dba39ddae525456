import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { ConfigError, parseConfig, readConfig } from '../../lib/training/readConfig'
import { resumedConfig } from '../../lib/training/runConfig'
import { temporaryFolder } from '../support/temporaryFolder'

const folder = temporaryFolder()
const CONFIGS = join(__dirname, '..', '..', 'data', 'configs')
const small = {
  model: { from: 'smollm2-135m-instruct' },
  task: { name: 'countdown' },
  grpo: { steps: 3 },
}
const messageOf = (value: unknown): string => {
  try {
    parseConfig(value)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.message
  }
  throw new Error('nothing was refused')
}

test('what is left out takes its default: the paper’s credit, no KL, no entropy bonus', () => {
  const { grpo, seed, supervised, evaluation } = parseConfig(small)
  assert.ok(grpo)
  assert.deepEqual([seed, supervised, evaluation], [0, null, null])
  assert.deepEqual([grpo.clipLow, grpo.clipHigh, grpo.aggregate], [0.2, 0.2, 'token'])
  assert.deepEqual([grpo.klCoefficient, grpo.entropyCoefficient, grpo.temperature], [0, 0, 1])
  assert.deepEqual([grpo.credit.strategy, grpo.credit.preset, grpo.credit.heads], ['coupled', 'v2', 'calibrated'])
})

test('messages name the key, what it takes and what was given', () => {
  const cases: [unknown, RegExp][] = [
    [{ ...small, grpo: { steps: 3, stepz: 1 } }, /unknown key grpo\.stepz; grpo takes steps, prompts/],
    [{ ...small, nonsense: 1 }, /unknown key nonsense; the configuration takes seed, dataSeed, model/],
    [{ ...small, grpo: { steps: 3, clipLow: -1 } }, /grpo\.clipLow: .*>=0.* \(got -1\)/],
    [{ ...small, grpo: { steps: 'many' } }, /grpo\.steps: .*\(got "many"\)/],
    [{ ...small, grpo: {} }, /grpo\.steps: .*\(missing\)/],
    [{ ...small, grpo: { steps: 3, aggregate: 'word' } }, /grpo\.aggregate: .*"token"\|"sequence"\|"dr-grpo"/],
    [
      { ...small, grpo: { steps: 3, credit: { strategy: 'best' } } },
      /grpo\.credit\.strategy: expected one of uniform, random/,
    ],
    [
      { ...small, grpo: { steps: 3, credit: { options: { topShare: 2 } } } },
      /grpo\.credit: .*topShare = 2: expected a share/,
    ],
    [{ ...small, grpo: { steps: 3, credit: { options: { share: 2 } } } }, /unknown credit option 'share'/],
    [{ ...small, grpo: { steps: 3, credit: { rl: { window: 0 } } } }, /window 0: expected a whole number/],
    [{ ...small, grpo: { steps: 3, optimizer: { lr: 1 } } }, /unknown key grpo\.optimizer\.lr; .*takes learningRate/],
    [{ ...small, model: { fron: 'x' } }, /model: expected \{"from": a model\}/],
    [{ ...small, model: { from: 'x', layers: 2 } }, /unknown key model\.layers; model takes from/],
    [{ ...small, model: { characters: 'ab', end: 'b' } }, /model\.numHiddenLayers: .*\(missing\)/],
    [{ ...small, task: { name: 'countdown', option: {} } }, /unknown key task\.option; task takes name, options/],
    [{ model: small.model, task: small.task }, /nothing to train/],
    [{ ...small, grpo: { steps: 1, prompts: 1, responses: 2, updates: 3 } }, /grpo\.updates is 3 for 2 responses/],
    [undefined, /the configuration: /],
  ]
  for (const [value, expected] of cases) assert.match(messageOf(value), expected)
})

test('every mistake has its line', () => {
  assert.equal(messageOf({ ...small, grpo: { steps: 0, nope: 1, alsoNope: 2 } }).split('\n').length, 3)
})

test('files: comments, trailing commas, changes by key=value; a syntax error has a line and a column', () => {
  const file = join(folder, 'a.jsonc')
  writeFileSync(
    file,
    '// a comment\n{ "model": { "from": "m" }, "task": { "module": "./t.cjs" },\n "grpo": { "steps": 3, }, }\n',
  )
  const config = readConfig(file, [
    'grpo.credit.strategy=uniform',
    'grpo.optimizer.learningRate=1e-5',
    'grpo.credit.rl.horizon=[0,null]',
  ])
  assert.equal(config.grpo?.credit.strategy, 'uniform')
  assert.equal(config.grpo?.optimizer.learningRate, 1e-5)
  assert.deepEqual(config.grpo?.credit.rl, { horizon: [0, null] })
  assert.equal((config.task as { module: string }).module, join(folder, 't.cjs'))
  assert.throws(() => readConfig(file, ['grpo.nope=1']), /unknown key grpo\.nope/)
  assert.throws(() => readConfig(file, ['grpo']), /expected key=value/)
  assert.throws(() => readConfig(file, ['__proto__.x=1']), ConfigError)
  writeFileSync(file, '{\n  "seed": 1,\n  "task" "x"\n}')
  assert.throws(() => readConfig(file), /a\.jsonc, line 3, column 10: ColonExpected/)
  assert.throws(() => readConfig(join(folder, 'none.jsonc')), /cannot read the configuration/)
})

test('a run goes on with the same configuration only, but for what changes no number and for more steps', () => {
  const stored = parseConfig(small)
  const changed = (change: object) => parseConfig({ ...small, ...change })
  assert.doesNotThrow(() => resumedConfig(stored, changed({ checkpoints: { every: 7 } }), 'run'))
  assert.equal(resumedConfig(stored, changed({ grpo: { steps: 9 } }), 'run').grpo?.steps, 9)
  assert.throws(() => resumedConfig(stored, changed({ grpo: { steps: 2 } }), 'run'), /grpo\.steps \(3, now 2\)/)
  assert.throws(() => resumedConfig(stored, changed({ seed: 1 }), 'run'), /different: seed \(0, now 1\)/)
  const cosine = { grpo: { steps: 3, optimizer: { schedule: 'cosine' } } }
  const longer = { grpo: { steps: 9, optimizer: { schedule: 'cosine' } } }
  assert.throws(() => resumedConfig(changed(cosine), changed(longer), 'run'), /grpo\.steps/)
})

test('the presets are valid', () => {
  const files = readdirSync(CONFIGS).filter((name) => name.endsWith('.jsonc') && !name.startsWith('sweep'))
  assert.ok(files.length >= 3)
  for (const file of files) readConfig(join(CONFIGS, file))
})
