import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { expandGrid } from '../../lib/sweeps/expandGrid'
import { planSweep } from '../../lib/sweeps/planSweep'
import { parseSweep, readSweepFile, type SweepInput } from '../../lib/sweeps/sweepFile'
import { ConfigError } from '../../lib/training/readConfig'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyConfig } from '../training/tinyRun'

const folder = temporaryFolder()
const SWEEPS = join(__dirname, '..', '..', 'data', 'configs', 'sweeps')

/** The paper's first version, written out. */
const V1 = { 'grpo.credit.rl.horizon': [10, 50], 'grpo.credit.options.sign': 'nonnegative' }

const sweepOf = (changes: Partial<SweepInput> = {}) =>
  parseSweep({
    base: tinyConfig(),
    axes: { 'grpo.credit.strategy': ['uniform', 'coupled'] },
    seeds: [3, 5],
    ...changes,
  } as SweepInput)
const planOf = (changes: Partial<SweepInput> = {}, threads = 1) =>
  planSweep(sweepOf(changes), { run: join(folder, 'run'), threads })
const refused = (changes: Record<string, unknown>, message: RegExp) =>
  assert.throws(
    () => planOf(changes as Partial<SweepInput>),
    (error) => error instanceof ConfigError && message.test(error.message),
    String(message),
  )

test('every combination for each seed, the seed slowest', () => {
  const cells = expandGrid(
    sweepOf({ axes: { 'grpo.credit.strategy': ['uniform', 'coupled'], 'grpo.credit.options.topShare': [0.2, 1] } }),
  )
  assert.deepEqual(
    cells.map(({ seed, arm }) => `${seed}: ${arm}`),
    [
      '3: strategy uniform, topShare 0.2',
      '3: strategy uniform, topShare 1',
      '3: strategy coupled, topShare 0.2',
      '3: strategy coupled, topShare 1',
      '5: strategy uniform, topShare 0.2',
      '5: strategy uniform, topShare 1',
      '5: strategy coupled, topShare 0.2',
      '5: strategy coupled, topShare 1',
    ],
  )
  assert.deepEqual(cells[3]!.labels, { strategy: 'coupled', topShare: '1' })
  assert.deepEqual(cells[3]!.set, { 'grpo.credit.strategy': 'coupled', 'grpo.credit.options.topShare': 1 })
})

test('a number of seeds counts from 0; no axis gives one cell a seed', () => {
  assert.deepEqual(
    expandGrid(sweepOf({ axes: {}, seeds: 3 })).map(({ seed, arm }) => [seed, arm]),
    [
      [0, 'base'],
      [1, 'base'],
      [2, 'base'],
    ],
  )
})

test('warm-ups crossed with seeds, or in turn', () => {
  const starts = (pairing: 'cross' | 'alternate') =>
    expandGrid(sweepOf({ axes: {}, seeds: [7, 8, 9], warmup: { seeds: [0, 1], pairing } })).map(
      ({ seed, warmup }) => `${seed} from ${warmup}`,
    )
  assert.deepEqual(starts('cross'), ['7 from 0', '7 from 1', '8 from 0', '8 from 1', '9 from 0', '9 from 1'])
  // By the seed itself: a sweep of other seeds pairs those that it shares alike.
  assert.deepEqual(starts('alternate'), ['7 from 1', '8 from 0', '9 from 1'])
})

test('an exclusion leaves out the cells that meet all of its conditions', () => {
  const axes = { 'grpo.credit.strategy': ['uniform', 'coupled'], 'grpo.credit.options.topShare': [0.2, 0.4, 1] }
  const left = (exclude: Record<string, unknown>[]) =>
    expandGrid(sweepOf({ axes, exclude })).map(({ labels, seed }) => `${labels.strategy} ${labels.topShare} ${seed}`)
  assert.deepEqual(left([{ strategy: 'uniform', topShare: [0.2, 1] }]), [
    ...['uniform 0.4 3', 'coupled 0.2 3', 'coupled 0.4 3', 'coupled 1 3'],
    ...['uniform 0.4 5', 'coupled 0.2 5', 'coupled 0.4 5', 'coupled 1 5'],
  ])
  // By the axis's whole key, by seed, and by several exclusions, each of which suffices.
  assert.deepEqual(left([{ seed: 5 }, { 'grpo.credit.strategy': 'uniform' }, { topShare: 1 }]), [
    ...['coupled 0.2 3', 'coupled 0.4 3'],
  ])
})

test('each cell has its complete configuration: base, changes of the sweep, axis, seed', () => {
  const { cells, warmups } = planOf({
    set: { 'grpo.steps': 8 },
    axes: { arm: [{ label: 'short', set: { 'grpo.maxNewTokens': 5, 'grpo.credit.options.topShare': 0.3 } }] },
  })
  assert.deepEqual(warmups, [])
  assert.deepEqual(
    cells.map(({ name, config, steps }) => [name, config.seed, config.grpo!.steps, config.grpo!.maxNewTokens, steps]),
    [
      ['arm=short_seed=3', 3, 8, 5, 12],
      ['arm=short_seed=5', 5, 8, 5, 12],
    ],
  )
  assert.equal(cells[0]!.config.grpo!.credit.options.topShare, 0.3)
  assert.equal(cells[0]!.config.supervised!.steps, 4)
})

test('cells of one warm-up seed share a checkpoint, unless an axis changes the warm-up itself', () => {
  const { cells, warmups } = planOf({ warmup: { seeds: [0, 1] } })
  assert.equal(warmups.length, 2)
  assert.equal(cells.length, 8)
  for (const warmup of warmups) {
    assert.equal(warmup.config.grpo, null)
    assert.equal(warmup.config.seed, warmup.seed)
    const from = join(warmup.folder, 'checkpoints', 'step-4')
    const own = cells.filter((cell) => cell.warmup!.seed === warmup.seed)
    assert.equal(own.length, 4)
    for (const { config } of own) assert.deepEqual([config.model, config.supervised], [{ from }, null])
  }
  const axes = { 'model.hiddenSize': [16, 32] }
  assert.equal(planOf({ axes, warmup: { seeds: [0, 1] } }).warmups.length, 4)
  // What is evaluated does not change the weights.
  assert.deepEqual(
    planOf({ warmup: { seeds: [0, 1] }, set: { 'evaluation.items': 2 } }).warmups.map(({ name }) => name),
    warmups.map(({ name }) => name),
  )
})

test('a key says what is computed: the same wherever it lies, another for other numbers or threads', () => {
  const key = (changes: Partial<SweepInput> = {}, threads = 1) => planOf(changes, threads).cells[0]!.key
  assert.equal(key(), key({ name: 'another', set: { 'checkpoints.every': 1, 'rollouts.every': 0 } }))
  const renamed = { axes: { arm: [{ label: 'plain', set: { 'grpo.credit.strategy': 'uniform' } }] } }
  assert.equal(key(), key(renamed))
  assert.notEqual(key(), key({ set: { 'grpo.temperature': 0.9 } }))
  // What is at its default may as well be left out; a section that is left out is another run.
  assert.equal(
    key(),
    key({ set: { 'grpo.clipLow': 0.2, 'grpo.credit.options.topShare': 0.4, 'grpo.credit.preset': 'v2' } }),
  )
  assert.notEqual(key(), key({ set: { 'grpo.credit.preset': 'v1' } }))
  assert.equal(key({ set: { 'grpo.credit.preset': 'v1' } }), key({ set: V1 }))
  assert.notEqual(key(), key({ set: { supervised: null } }))
  assert.notEqual(key({ set: { supervised: { steps: 1 } } }), key({ set: { supervised: null } }))
  assert.notEqual(key(), key({ seeds: [4] }))
  assert.notEqual(key(), key({}, 2))
  const elsewhere = planSweep(sweepOf({ warmup: { seeds: 1 } }), { run: '/elsewhere', warmups: '/warm', threads: 1 })
  assert.equal(elsewhere.cells[0]!.key, key({ warmup: { seeds: 1 } }))
  assert.notEqual(key({ warmup: { seeds: [0] } }), key({ warmup: { seeds: [1] } }))
})

test('mistakes are named by their key', () => {
  refused({ paper: 'stratgies' }, /^paper: expected one of strategies, top share, .*"stratgies"/)
  refused({ seedz: 2 }, /^unknown key seedz; a sweep takes name, base, set, axes, seeds/)
  refused({ seeds: [] }, /^seeds: expected at least one seed \(got \[\]\)/)
  refused({ seeds: [1, 1] }, /^seeds: 1 is there twice/)
  refused({ warmup: { seeds: 1, pairing: 'all' } }, /^warmup\.pairing: .*"all"/)
  refused({ warmup: { seed: 1 } }, /warmup\.seed; warmup takes seeds, pairing/)
  refused({ axes: { 'grpo.credit.strategy': [] } }, /^axes\.grpo\.credit\.strategy: expected at least one value/)
  refused({ axes: { seed: [1] } }, /^axes\.seed: seeds are no axis: give them as "seeds"/)
  refused({ axes: { a: [{ label: 'x' }] } }, /^axes\.a\.0: expected "value" \(of a\) or "set"/)
  refused({ axes: { a: [{ label: 'x', sets: {} }] } }, /^axes\.a\.0: unknown key sets/)
  refused({ axes: { 'grpo.steps': [1, 1] } }, /^axes\.grpo\.steps: two values are called "1"/)
  refused(
    { axes: { 'grpo.credit.strategi': ['uniform'] } },
    /^cell strategi=uniform_seed=3: unknown key grpo\.credit\.strategi/,
  )
  refused(
    { axes: { 'grpo.credit.options.topShare': [2] } },
    /^cell topShare=2_seed=3: grpo\.credit: invalid credit option topShare = 2/,
  )
  refused({ base: { ...tinyConfig(), stepz: 1 } }, /^base: unknown key stepz/)
  refused({ base: join(folder, 'none.jsonc') }, /^base: cannot read the configuration .*none\.jsonc/)
  refused({ set: { 'grpo.stepz': 1 } }, /^set: unknown key grpo\.stepz/)
  refused({ exclude: [{ stratgy: 'uniform' }] }, /^exclude\.0\.stratgy: is no axis; expected one of strategy, seed/)
  refused(
    { exclude: [{ strategy: 'unifrom' }] },
    /^exclude\.0\.strategy: "unifrom" is no value of it; expected one of uniform, coupled/,
  )
  refused({ exclude: [{}] }, /^exclude\.0: is empty/)
  refused({ exclude: [{ strategy: ['uniform', 'coupled'] }] }, /^exclude: no cell is left/)
  refused({ warmup: { seeds: 1 }, set: { supervised: null } }, /shares a warm-up, so its base needs "supervised"/)
  refused(
    {
      axes: {
        arm: [
          { label: 'a', set: {} },
          { label: 'b', set: {} },
        ],
      },
    },
    /^cells arm=a_seed=3 and arm=b_seed=3 are the same run/,
  )
  refused({ baseline: 'couple' }, /^baseline: no arm of sweep is called 'couple': expected one of uniform; coupled/)
  refused({ baseline: 'strategy=random' }, /an axis with one of its labels \(strategy=uniform\|coupled\)$/)
  assert.throws(() => readSweepFile(join(folder, 'none.jsonc')), /cannot read the sweep file .*none\.jsonc/)
  writeFileSync(join(folder, 'broken.jsonc'), '{\n  "seeds": 2,\n  "base" }')
  assert.throws(() => readSweepFile(join(folder, 'broken.jsonc')), /broken\.jsonc, line 3, column 10/)
})

test('paths are relative to the file that names them', () => {
  writeFileSync(join(folder, 'base.jsonc'), JSON.stringify({ ...tinyConfig(), task: { module: './task.cjs' } }))
  const strategy = { label: 'own', value: { module: './credit.cjs' } }
  writeFileSync(
    join(folder, 'sweep.jsonc'),
    `{ /* named after its file */ "base": "base.jsonc", "axes": { "grpo.credit.strategy": [${JSON.stringify(strategy)}] }, "seeds": 1, }`,
  )
  const sweep = readSweepFile(join(folder, 'sweep.jsonc'), { set: ['grpo.steps=2'], seeds: [4, 6] })
  assert.equal(sweep.name, 'sweep')
  assert.throws(
    () => planSweep(sweep, { run: join(folder, 'run'), threads: 1 }),
    /^ConfigError: cell strategy=own_seed=4: cannot read the module .*task\.cjs/,
  )
  writeFileSync(join(folder, 'task.cjs'), 'module.exports = {}')
  writeFileSync(join(folder, 'credit.cjs'), 'module.exports = () => []')
  const { cells } = planSweep(sweep, { run: join(folder, 'run'), threads: 1 })
  assert.deepEqual(
    cells.map(({ seed, config }) => [seed, config.grpo!.steps, config.task, config.grpo!.credit.strategy]),
    [4, 6].map((seed) => [
      seed,
      2,
      { module: join(folder, 'task.cjs'), options: {} },
      { module: join(folder, 'credit.cjs'), options: {} },
    ]),
  )
})

test('an edited strategy module makes other runs of the cells that use it, and of no warm-up; an edited task of all', () => {
  writeFileSync(join(folder, 'task.cjs'), 'module.exports = {}')
  writeFileSync(join(folder, 'credit.cjs'), 'module.exports = () => []')
  const written = {
    base: { ...tinyConfig(), task: { module: './task.cjs' } },
    axes: { 'grpo.credit.strategy': ['uniform', { label: 'own', value: { module: './credit.cjs' } }] },
    ...{ seeds: 1, warmup: { seeds: 1 } },
  }
  const keys = () => {
    const { cells, warmups } = planSweep(parseSweep(written, { folder }), { run: join(folder, 'run'), threads: 1 })
    return { warmup: warmups.map(({ key }) => key), uniform: cells[0]!.key, own: cells[1]!.key }
  }
  const before = keys()
  assert.equal(before.warmup.length, 1)
  writeFileSync(join(folder, 'credit.cjs'), 'module.exports = () => [1]')
  const edited = keys()
  assert.deepEqual({ ...edited, own: before.own }, before)
  assert.notEqual(edited.own, before.own)
  writeFileSync(join(folder, 'task.cjs'), 'module.exports = { name: 1 }')
  const other = keys()
  assert.notEqual(other.warmup[0], before.warmup[0])
  assert.notEqual(other.uniform, before.uniform)
  writeFileSync(join(folder, 'task.cjs'), 'module.exports = {}')
  writeFileSync(join(folder, 'credit.cjs'), 'module.exports = () => []')
  assert.deepEqual(keys(), before)
})

test('the ready sweeps hold: every ablation of the paper, on two warm-ups, with the arms that the paper names', () => {
  const names = readdirSync(SWEEPS).filter((name) => name.endsWith('.jsonc'))
  const plans = new Map(
    names.map((name) => [name, planSweep(readSweepFile(join(SWEEPS, name)), { run: join(folder, name), threads: 1 })]),
  )
  const arms = (name: string) => [...new Set(plans.get(`${name}.jsonc`)!.cells.map(({ arm }) => arm))]
  assert.deepEqual(arms('strategies'), [
    ...['uniform', 'random', 'entropy', 'local-chunk', 'global-anchor', 'coupled', 'shuffled'],
  ])
  assert.deepEqual(arms('top-share'), ['uniform', '0.2', '0.4', '0.6', '0.8', '1.0'])
  for (const [name, { warmups, cells }] of plans) {
    if (name === 'horizon-paper.jsonc') continue
    assert.equal(warmups.length, 2, name)
    assert.equal(new Set(cells.map(({ warmup }) => warmup!.seed)).size, 2, name)
  }
  const strategies = new Set(plans.get('strategies.jsonc')!.cells.map(({ key }) => key))
  for (const name of names.filter((n) => !['strategies.jsonc', 'horizon-paper.jsonc'].includes(n))) {
    const shared = plans.get(name)!.cells.filter(({ key }) => strategies.has(key))
    assert.ok(shared.length >= 5, `${name} shares ${shared.length} runs with the main comparison`)
  }
})
