import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { before } from 'node:test'
import { loadModel } from '../../lib/model/loadModel'
import { makeRereadSet, modelOfSet } from '../../lib/traces/controlSet'
import { openTraceSet } from '../../lib/traces/openTraceSet'
import { traceResponse } from '../../lib/traces/traceResponse'
import { train } from '../../lib/training/train'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyTextModel } from '../traces/tinyTextModel'
import { tinyConfig } from '../training/tinyRun'

const CLI = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')
const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)

function change(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const all = [CLI, 'change', ...args, '--traces', 'sets', '--replicates', '20']
  const { status, stdout, stderr } = spawnSync(process.execPath, all, { encoding: 'utf8', cwd: folder })
  return { status, stdout, stderr }
}

before(async () => {
  for (const seed of [3, 4]) await train(tinyConfig({ seed }), { run: at(`run-${seed}`) })
})

test('change: a set before, one after, and the first read by the checkpoint after, for each run; tables and a figure of them', async () => {
  const { status, stdout, stderr } = change('run-3', 'run-4', '--window', '5', '--output', 'out')
  assert.equal(status, 0, stderr)
  assert.match(stdout, /2 runs, 4 items; after minus before/)
  for (const title of [
    'Lifts of Table 2, own responses (W 5, horizon 0-end)',
    'Other quantities, same responses',
    'Head groups',
  ])
    assert.ok(stdout.includes(title), title)
  const names = ['change.csv', 'change.json', 'change.svg', 'headGroups.csv', 'headGroups.json']
  assert.deepEqual(readdirSync(at('out')).sort(), names)
  const suffixes = ['step-10', 'step-4', 'step-4-read-by-step-10']
  assert.deepEqual(
    readdirSync(at('sets')).sort(),
    ['run-3', 'run-4'].flatMap((run) => suffixes.map((suffix) => `${run}-${suffix}`)),
  )

  // What the figures are of: the run's items, answered by either checkpoint; the third set has the first one's words.
  const [first, second, reread] = await Promise.all(
    ['step-4', 'step-10', 'step-4-read-by-step-10'].map((name) => openTraceSet(at('sets', `run-3-${name}`))),
  )
  assert.deepEqual(second!.problems, first!.problems)
  assert.deepEqual(reread!.responses, first!.responses)
  assert.deepEqual(
    [reread!.manifest.control!.kind, reread!.manifest.model.fingerprint],
    ['model', second!.manifest.model.fingerprint],
  )
  const table = JSON.parse(readFileSync(at('out', 'change.json'), 'utf8')) as Record<string, unknown[]>
  const place = table.quantity!.findIndex((name, i) => name === 'mean entropy' && table.run![i] === 'run-3')
  const entropies = []
  for await (const { record } of first!.traces()) entropies.push(...record.entropy)
  const mean = entropies.reduce((sum, value) => sum + value, 0) / entropies.length
  assert.ok(Math.abs((table.before![place] as number) - mean) < 1e-4 * mean)

  const after = await loadModel(at('run-3', 'checkpoints', 'step-10'))
  for await (const { record } of reread!.traces()) {
    const { rhythm } = await traceResponse(after, record)
    assert.deepEqual(record.analysis.waad, rhythm.analysis.waad)
  }
  const named = {
    ...reread!.manifest,
    model: { ...reread!.manifest.model, name: at('run-3', 'checkpoints', 'step-10') },
  }
  assert.equal(await modelOfSet({ ...reread!, manifest: named }), after)
  after.dispose()
  const stranger = await tinyTextModel()
  await assert.rejects(
    makeRereadSet(stranger, at('sets', 'run-3-step-4'), at('x')),
    /has a vocabulary of 128, .*step-4, which wrote .*, one of 5: it would read other tokens/,
  )
  stranger.dispose()
})

test('what cannot be compared is refused by name', () => {
  const refused: [string[], RegExp][] = [
    [['run-3', '--from', 'step-10'], /run-3: run-3\/checkpoints\/step-10 would be compared with itself/],
    [['run-3', 'x/../run-3'], /two runs are named run-3/],
    [['run-3', '--to', 'step-9'], /run-3 has no checkpoint step-9/],
  ]
  for (const [args, message] of refused) {
    const { status, stderr } = change(...args)
    assert.equal(status, 1, `${args.join(' ')}: ${stderr}`)
    assert.match(stderr, message)
  }
})
