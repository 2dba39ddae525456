import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { readMetrics } from '../../lib/training/runFolder'
import { temporaryFolder } from '../support/temporaryFolder'
import { filesOf, resultOf, tinyConfig } from './tinyRun'

const CLI = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')
const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)
const CONFIG = at('config.json')
// Long enough for many kills: a hundred steps, a checkpoint after every seventh.
writeFileSync(
  CONFIG,
  JSON.stringify(
    tinyConfig({
      supervised: { steps: 40 },
      grpo: { steps: 60, evaluateEvery: 10, credit: { refreshEvery: 10 } },
      checkpoints: { every: 7 },
      rollouts: { every: 5 },
    }),
  ),
)

const args = (run: string) => [CLI, 'train', CONFIG, '--run', at(run)]
const finished = (run: string) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, args(run), { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout
}
const ended = (child: ChildProcess) =>
  new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.on('exit', (code, signal) => resolve({ code, signal })),
  )
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const stepsOf = (run: string) => readMetrics(at(run)).at(-1)?.step ?? 0

test('killed at many random moments and started again each time: the same bits as without a kill', async () => {
  const started = performance.now()
  assert.match(finished('straight'), /finished at step 100 of 100/)
  const whole = performance.now() - started
  const moments: string[] = []
  for (let kills = 0; kills < 12; kills++) {
    const before = stepsOf('killed')
    const child = spawn(process.execPath, args('killed'), { stdio: 'ignore' })
    const end = ended(child)
    // From the first step that this process makes; sometimes before that.
    const state = at('killed', 'state.json')
    const mark = existsSync(state) ? readFileSync(state, 'utf8') : ''
    if (kills % 4 !== 3)
      while (child.exitCode === null && (!existsSync(state) || readFileSync(state, 'utf8') === mark)) await sleep(5)
    await sleep(Math.random() * (kills % 4 === 3 ? whole / 3 : whole / 12))
    child.kill('SIGKILL')
    const { signal } = await end
    if (signal !== 'SIGKILL') break
    moments.push(`${before}-${stepsOf('killed')}`)
  }
  assert.ok(moments.length >= 6, `the run was finished after ${moments.length} kills (steps ${moments.join(', ')})`)
  finished('killed')
  assert.deepEqual(resultOf(at('killed')), resultOf(at('straight')), `killed at steps ${moments.join(', ')}`)
})

test('SIGINT ends after the step in progress with a checkpoint; a second process is refused meanwhile', async () => {
  const child = spawn(process.execPath, args('signalled'), { stdio: ['ignore', 'pipe', 'pipe'] })
  const end = ended(child)
  let stdout = ''
  child.stdout?.on('data', (data) => (stdout += data))
  while (child.exitCode === null && stepsOf('signalled') < 3) await sleep(5)
  const second = spawnSync(process.execPath, [...args('signalled'), '--set', 'checkpoints.every=9'], {
    encoding: 'utf8',
  })
  assert.equal(second.status, 1)
  assert.match(second.stderr, new RegExp(`in use by process ${child.pid} on `))
  child.kill('SIGINT')
  assert.deepEqual(await end, { code: 0, signal: null })
  const steps = stepsOf('signalled')
  if (steps < 100) assert.match(stdout, new RegExp(`stopped at step ${steps} of 100 \\(the process was asked to end`))
  assert.ok(existsSync(at('signalled', 'checkpoints', `step-${steps}`, 'trainer_state.json')))
  finished('signalled')
  assert.deepEqual(resultOf(at('signalled')), resultOf(at('straight')))
})

test('a full disk loses no checkpoint: the run ends saying so, and goes on when there is room', async () => {
  const child = spawn(process.execPath, args('full'), { stdio: 'ignore' })
  const end = ended(child)
  while (child.exitCode === null && stepsOf('full') < 8) await sleep(5)
  child.kill('SIGKILL')
  await end
  const saved = readdirSync(at('full', 'checkpoints')).filter((name) => name.startsWith('step-'))
  assert.ok(saved.length > 0)
  const good = Math.max(...saved.map((name) => Number(name.slice(5))))
  const before = filesOf(at('full', 'checkpoints', `step-${good}`))

  // The system refuses to let a file grow beyond this size: the weights fit, the optimizer's state does not.
  const kilobytes = Math.ceil(statSync(at('full', 'checkpoints', `step-${good}`, 'model.safetensors')).size / 1024) + 2
  const limit = `ulimit -f ${kilobytes}; exec "$@"`
  const full = spawnSync('bash', ['-c', limit, 'bash', process.execPath, ...args('full')], { encoding: 'utf8' })
  assert.equal(full.status, 1, full.stderr)
  assert.match(
    full.stderr,
    new RegExp(`step \\d+ could not be written \\(step ${good} is the last good one\\): .*EFBIG`),
  )
  assert.deepEqual(filesOf(at('full', 'checkpoints', `step-${good}`)), before)
  assert.ok(readdirSync(at('full', 'checkpoints')).every((name) => !name.startsWith('.')))

  finished('full')
  assert.deepEqual(resultOf(at('full')), resultOf(at('straight')))
})

test('mistakes end with one line and status 1', () => {
  const wrong = spawnSync(process.execPath, [...args('wrong'), '--set', 'grpo.stepz=1'], { encoding: 'utf8' })
  assert.equal(wrong.status, 1)
  assert.match(wrong.stderr, /^rhythm: unknown key grpo\.stepz; grpo takes steps/m)
  assert.ok(!existsSync(at('wrong')))
})
