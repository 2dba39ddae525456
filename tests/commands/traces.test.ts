import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { before } from 'node:test'
import { CLI, commandLine } from '../support/commandLine'
import { temporaryFolder } from '../support/temporaryFolder'
import { saveTinyModel } from '../support/tinyStoredModel'

const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)

const rhythm = commandLine(folder)

before(() => saveTinyModel(at('model')))

const traces = (output: string, ...more: string[]) => [
  'traces',
  ...['--model', 'model', '--limit', '5', '--max-new-tokens', '24', '--batch', '1', '--output', output],
  ...more,
]

function contents(set: string): [string, string][] {
  const files = readdirSync(at(set), { recursive: true, encoding: 'utf8' }).filter((name) => /\.\w+$/.test(name))
  return files.sort().map((name) => [name, readFileSync(at(set, name)).toString('base64')])
}

test('traces: killed with -9 in the middle, it ends with the files of an uninterrupted run; its control and Table 1 follow', async () => {
  const whole = rhythm(...traces('whole'))
  assert.equal(whole.status, 0, whole.stderr)
  assert.match(
    whole.stdout,
    /^whole: 5 traces of model, \d+ response tokens, \d truncated; 0 right, 0 wrong, 5 without an answer \(answers: marked\)/,
  )
  const child = spawn(process.execPath, [CLI, ...traces('killed')], { cwd: folder, stdio: 'ignore' })
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on('exit', (_, signal) => resolve(signal)))
  let second: ReturnType<typeof rhythm> | undefined
  const poll = setInterval(() => {
    if (!existsSync(at('killed', 'traces', 'wp-001.series.safetensors'))) return
    child.kill('SIGSTOP')
    second ??= rhythm(...traces('killed'))
    child.kill('SIGKILL')
  }, 2)
  assert.equal(await ended, 'SIGKILL')
  clearInterval(poll)
  assert.equal(second!.status, 1)
  assert.match(second!.stderr, new RegExp(`killed is in use by process ${child.pid} .*name another folder`))
  const again = rhythm(...traces('killed'))
  assert.equal(again.status, 0, again.stderr)
  assert.deepEqual(contents('killed'), contents('whole'))

  const control = rhythm('traces', '--control', 'permuted', '--base', 'whole', '--output', 'control')
  assert.equal(control.status, 0, control.stderr)
  assert.match(control.stdout, /5 traces of model \(weights permuted, seed 0\)/)

  const lenient = rhythm(...traces('whole', '--answers', 'lenient'))
  assert.equal(lenient.status, 0, lenient.stderr)
  assert.match(lenient.stdout, /\d right, \d wrong, \d without an answer \(answers: lenient\)/)

  const first = rhythm('perturb', 'whole', '--limit', '2', '--positions', '2', '--candidates', '2', '--tokens', '4')
  assert.equal(first.status, 0, first.stderr)
  assert.match(first.stdout, /whole\/perturbation\.jsonl: 2 responses perturbed\n/)
  assert.match(first.stdout, /Pr\(top < bottom\), % .* paper 87\.14/)
})

test('what a set cannot be made of is refused by name', () => {
  const refused: [string[], RegExp][] = [
    [traces('x', '--control', 'permuted'), /needs both --control KIND and --base FOLDER/],
    [
      [...traces('x', '--temperature', '1'), ...['--control', 'permuted', '--base', 'whole']],
      /a control is made as its base set was: leave out --limit, --max-new-tokens, --temperature, --batch, or/,
    ],
    [traces('whole', '--seed', '3'), /whole holds another trace set: sampling\.seed is 0 here, 3 was asked for/],
    [traces('x', '--problems', 'nowhere.jsonl'), /no problems at nowhere\.jsonl/],
    [['perturb', 'model'], /model is no trace set/],
  ]
  cpSync(at('whole'), at('before'), { recursive: true })
  for (const [args, message] of refused) {
    const { status, stderr } = rhythm(...args)
    assert.equal(status, 1, args.join(' '))
    assert.match(stderr, message)
    assert.doesNotMatch(stderr, /^\s+at /m, 'no stack for a user')
  }
  assert.deepEqual(contents('whole'), contents('before'))
  assert.equal(existsSync(at('x')), false)
})
