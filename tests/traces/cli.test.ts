import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { parseTraceRhythm } from '../../lib/credit/traceSchema'
import { readTrace } from '../../lib/traces/traceFiles'
import { parseTraceInput } from '../../lib/traces/traceInput'
import { REFERENCE, readReference } from '../oracle/reference'
import { temporaryFolder } from '../support/temporaryFolder'
import { saveTinyModel } from '../support/tinyStoredModel'

const CLI = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')
const MODEL = join(REFERENCE, 'tiny-llama')
const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)

function rhythm(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', cwd: folder })
  return { status, stdout, stderr }
}

test('trace: files that agree with the reference; a second run does nothing; what is damaged or changed is done again', async () => {
  const { ids, promptLength, rl } = readReference('tiny-llama/expected.json')
  const lines = [
    { id: 'whole', ids, promptLength },
    { id: 'short', ids: ids.slice(0, 6), promptLength: 5 },
    { id: 'cut.40', ids: ids.slice(0, 40), promptLength },
  ]
  writeFileSync(at('input.jsonl'), `\uFEFF${lines.map((line) => JSON.stringify(line)).join('\r\n\n')}\n`)
  const trace = (...more: string[]) =>
    rhythm('trace', '--model', MODEL, '--input', 'input.jsonl', '--output', 'traces', ...more)
  const first = trace()
  assert.equal(first.status, 0, first.stderr)
  assert.match(first.stdout, /3 traces made/)
  assert.deepEqual(
    readdirSync(at('traces')).sort(),
    lines.flatMap(({ id }) => [`${id}.json`, `${id}.series.safetensors`]).sort(),
  )
  const { rhythm: record, series, maps } = await readTrace(at('traces'), 'whole')
  assert.deepEqual(record.rl.credit.coupled, rl.credit.coupled)
  assert.deepEqual(
    series.waad.map(({ window }) => window).sort((a, b) => a - b),
    [5, 8, 10, 12, 20],
  )
  assert.equal(series.fai.length, 10)
  assert.equal(maps.local!.size, 80)
  parseTraceRhythm(JSON.parse(readFileSync(at('traces', 'short.json'), 'utf8')))

  assert.match(trace().stdout, /0 traces made, 3 were already there/)
  truncateSync(at('traces', 'whole.series.safetensors'), 5000)
  writeFileSync(at('traces', 'short.json'), '{"ids": [')
  const again = trace()
  assert.match(again.stdout, /2 traces made, 1 were already there/)
  assert.match(again.stderr, /trace 'whole' is made again: damaged: .*whole\.series\.safetensors/)
  assert.match(again.stderr, /trace 'short' is made again: damaged: .*short\.json is not JSON/)
  const other = trace('--set', 'rl.window=8')
  assert.match(other.stdout, /3 traces made/)
  assert.match(other.stderr, /trace 'cut\.40' is made again: made with other options/)
  const changed = (await readTrace(at('traces'), 'whole')).rhythm
  assert.equal(changed.rl.window, 8)
  assert.match(trace('--set', 'rl.window=8').stdout, /0 traces made/)
})

test('trace: one bad trace does not stop the others, and shows in the exit code', () => {
  const lines = [
    { id: 'bad', ids: [1, 2, 500], promptLength: 1 },
    { id: 'good', ids: [1, 2, 3], promptLength: 1 },
  ]
  writeFileSync(at('mixed.jsonl'), lines.map((line) => JSON.stringify(line)).join('\n'))
  const { status, stdout, stderr } = rhythm('trace', '--model', MODEL, '--input', 'mixed.jsonl', '--output', 'mixed')
  assert.equal(status, 1)
  assert.match(stderr, /trace 'bad' failed: forward: sequence 0 has id 500 at 2/)
  assert.match(stdout, /1 traces made, 1 failed/)
})

test('generate: continued after a kill, the file is what an uninterrupted run writes; other settings are refused', async () => {
  await saveTinyModel(at('text-model'))
  const problems = Array.from({ length: 3 }, (_, i) => ({
    id: `p${i}`,
    context: 'Two and two.',
    question: 'How many?',
    answer: '4',
  }))
  writeFileSync(at('problems.jsonl'), problems.map((problem) => JSON.stringify(problem)).join('\n'))
  const generate = (output: string, ...more: string[]) =>
    rhythm(
      'generate',
      ...['--model', 'text-model', '--problems', 'problems.jsonl', '--output', output],
      ...['--max-new-tokens', '5', '--batch', '2'],
      ...more,
    )
  const whole = generate('whole.jsonl')
  assert.equal(whole.status, 0, whole.stderr)
  const text = readFileSync(at('whole.jsonl'), 'utf8')
  const parsed = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    parsed.map(({ id }) => id),
    ['p0', 'p1', 'p2'],
  )
  assert.ok(parsed.every(({ ids, promptLength, answer }) => ids.length > promptLength && answer === '4'))

  // As a kill leaves it: the first batch, and the beginning of a line.
  const lines = text.split('\n')
  writeFileSync(at('cut.jsonl'), `${lines[0]}\n`)
  appendFileSync(at('cut.jsonl'), lines[1]!.slice(0, 40))
  assert.match(generate('cut.jsonl').stdout, /2 responses written, 1 were already there/)
  assert.equal(readFileSync(at('cut.jsonl'), 'utf8'), text)

  const other = generate('cut.jsonl', '--seed', '2')
  assert.equal(other.status, 1)
  assert.match(other.stderr, /cannot be continued: response 'p0' was sampled with .*"seed":0/)
  assert.equal(readFileSync(at('cut.jsonl'), 'utf8'), text, 'a refusal costs no data')
})

test('what the command line cannot use is refused by name, before a model is loaded', () => {
  writeFileSync(at('one.jsonl'), '{"id": "a", "ids": [1, 2, 3], "promptLength": 1}')
  const refused: [string[], RegExp][] = [
    [['trace', '--input', 'none.jsonl', '--output', 'x', '--set', 'rl.windw=3'], /unknown option 'options.rl.windw'/],
    [['trace', '--input', 'none.jsonl', '--output', 'x'], /cannot read none\.jsonl/],
    [['trace', '--output', 'x'], /--input/],
    [['generate', '--output', 'x.jsonl', '--temperature', 'warm'], /expected a number/],
    [['trace', '--input', 'i', '--output', 'x', '--horizons', '10:20'], /10-100,0-end/],
    [['options', '--preset', 'v3'], /unknown preset 'v3'/],
    [['trace', '--input', 'one.jsonl', '--output', 'x', '--model', 'nowhere'], /no model nowhere/],
  ]
  for (const [args, message] of refused) {
    const { status, stderr } = rhythm(...args)
    assert.notEqual(status, 0, args.join(' '))
    assert.match(stderr, message)
    assert.doesNotMatch(stderr, /^\s+at /m, 'no stack for a user')
  }
  const v1 = JSON.parse(rhythm('options', '--preset', 'v1').stdout)
  assert.deepEqual([v1.rl.horizon, v1.credit.sign], [[10, 50], 'nonnegative'])
})

test('trace input of no known form is refused by line and key', () => {
  const refused: [string, RegExp][] = [
    ['{', /input:1: not JSON/],
    ['[]', /input:1: .*object/],
    ['{"ids": [1, 2], "promptLength": 1}', /key 'id'/],
    ['{"id": "../up", "ids": [1, 2], "promptLength": 1}', /key 'id': may have letters/],
    ['{"id": "a", "ids": [1, 2]}', /expected one of/],
    ['{"id": "a", "ids": [1, 2], "promptLength": 2}', /key 'promptLength': must be less/],
    ['{"id": "a", "ids": [1, -2], "promptLength": 1}', /key 'ids.1'/],
    ['{"id": "a", "prompt": "x"}', /expected one of/],
    ['{"id": "a", "messages": [{"role": "user"}], "response": "x"}', /key 'messages.0.content'/],
  ]
  for (const [line, message] of refused) assert.throws(() => parseTraceInput(line, 'input:1'), message)
})
