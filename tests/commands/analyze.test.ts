import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test, { before } from 'node:test'
import { readTables } from '../../lib/analysis/tableFiles'
import { makeControlSet } from '../../lib/traces/controlSet'
import { makeTraceSet } from '../../lib/traces/makeTraceSet'
import { openTraceSet } from '../../lib/traces/openTraceSet'
import { perturbSet } from '../../lib/traces/perturbSet'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyTextModel } from '../traces/tinyTextModel'

const CLI = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')
const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)

function analyze(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const quick = ['--replicates', '50', '--shuffles', '10']
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'analyze', ...args, ...quick], {
    encoding: 'utf8',
    cwd: folder,
  })
  return { status, stdout, stderr }
}

before(async () => {
  const model = await tinyTextModel()
  const options = { limit: 4, plain: true, maxNewTokens: 60, verify: () => null }
  await makeTraceSet(model, at('set'), options)
  await makeTraceSet(model, at('other'), { ...options, seed: 1 })
  await makeControlSet(at('set'), at('control'), { model })
  await perturbSet(model, await openTraceSet(at('set')), at('rollouts.jsonl'), { positions: 2, tokens: 8 })
  model.dispose()
})

test('analyze: the main tables beside the paper, files of all tables, every figure', () => {
  const all = [
    '--control',
    'control',
    '--compare',
    'second=other',
    '--rollouts',
    'rollouts.jsonl',
    '--output',
    'results',
  ]
  const { status, stdout, stderr } = analyze(
    'set',
    ...all,
    '--figures',
    '--leave-out',
    'peakOverlapByTrace',
    '--digits',
    '4',
  )
  assert.equal(status, 0, stderr)
  for (const title of [
    'Table 2 (',
    'Table 2 and its controls',
    'Table 10',
    'Table 12',
    'Table 20',
    'The beat',
    'Table 1:',
  ])
    assert.ok(stdout.includes(title), title)
  // The paper's lifts stand beside ours, and every lift of Table 2 has its interval, or is not defined.
  assert.match(stdout, /prominence 0\.25 .*\+171\.5 %/)
  for (const line of stdout.split('\n').filter((text) => /^(entropy at|receiver-FAI|FAI peaks).*trace /.test(text)))
    assert.match(line, /% \[-?[\d.]+, -?[\d.]+\]|undefined/)
  const tables = readTables(at('results'))
  assert.equal(tables.table2.length, 8)
  assert.deepEqual([...new Set(tables.controls.map(({ set }) => set))], ['set', 'permuted weights'])
  assert.deepEqual([...new Set(tables.sideBySide.map(({ set }) => set))], ['set', 'second'])
  assert.deepEqual([...new Set(tables.differences.map((row) => row.comparedWith))], ['second', 'permuted weights'])
  // Side by side: the two models' lifts of one claim in neighbouring lines.
  assert.match(
    stdout,
    /\nset +entropy at WAAD peaks +prominence 0\.25 .*\nsecond +entropy at WAAD peaks +prominence 0\.25 /,
  )
  assert.match(stdout, /rhythm traces --answers\): marked in set, marked in second/)
  assert.equal(tables.traces.length, 4)
  assert.equal(tables.perturbation[0]!.paper, 0.534)
  assert.ok(!existsSync(at('results', 'peakOverlapByTrace.csv')))
  for (const format of ['json', 'csv', 'arrow']) assert.ok(statSync(at('results', `table2.${format}`)).size > 500)
  const names = ['lifts', 'prominence', 'beat', 'anchors', 'correlations', 'layers', 'robustness', 'perturbation']
  const expected = [...names.flatMap((name) => [`${name}.html`, `${name}.svg`]), 'plotly.js']
  assert.deepEqual(readdirSync(at('results', 'figures')).sort(), expected.sort())
})

test('what cannot be analysed is refused by name, before any work', () => {
  const refused: [string[], RegExp][] = [
    [['set', '--control', 'other'], /other is no control: make one with rhythm traces --control permuted --base set/],
    [['other', '--control', 'control'], /control is a control of other responses/],
    [['other', '--rollouts', 'rollouts.jsonl'], /rollouts\.jsonl holds roll-outs of other responses/],
    [
      ['set', '--compare', 'a/other', 'b/other'],
      /two sets are named 'other': give b\/other another name, --compare NAME=/,
    ],
    [['set', '--compare', 'set'], /two sets are named 'set'/],
    [['set', '--figures'], /--figures needs --output/],
    [['set', '--output', 'x', '--leave-out', 'mine'], /--leave-out mine: the tables are summary, traces/],
    [['set', '--output', 'x', '--formats', 'xlsx'], /expected a list of json, csv, arrow/],
    [['nowhere'], /nowhere is no trace set/],
  ]
  for (const [args, message] of refused) {
    const { status, stderr } = analyze(...args)
    assert.equal(status, 1, args.join(' '))
    assert.match(stderr, message)
    assert.doesNotMatch(stderr, /^\s+at /m, 'no stack for a user')
  }
  assert.equal(existsSync(at('x')), false)
})
