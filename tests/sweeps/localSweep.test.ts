import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { LocalLauncher } from '../../lib/sweeps/localLauncher'
import type { JobRecord } from '../../lib/sweeps/sweepFolder'
import { readMetrics } from '../../lib/training/runFolder'
import { temporaryFolder } from '../support/temporaryFolder'
import { TASK, tinyConfig, withoutTimings } from '../training/tinyRun'

const CLI = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')
const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

// One of the strategies is a module that fails while a file is there.
const FLAG = at('fail')
writeFileSync(
  at('moody.cjs'),
  `module.exports = ({ length }) => {
  if (require('node:fs').existsSync(${JSON.stringify(FLAG)})) throw new Error('not in the mood')
  return new Array(length).fill(1.5)
}`,
)
// A step takes three quarters of a second while another file is there.
const SLOW = at('slow')
writeFileSync(
  at('task.cjs'),
  `const task = require(${JSON.stringify(TASK)})({})
const still = new Int32Array(new SharedArrayBuffer(4))
module.exports = { ...task, verify: (...given) => {
  if (require('node:fs').existsSync(${JSON.stringify(SLOW)})) Atomics.wait(still, 0, 0, 60)
  return task.verify(...given)
} }`,
)
writeFileSync(
  at('sweep.jsonc'),
  JSON.stringify({
    base: tinyConfig({
      task: { module: './task.cjs' },
      supervised: { steps: 6 },
      grpo: { steps: 24, evaluateEvery: 12 },
      checkpoints: { every: 7, keep: 1 },
    }),
    axes: { 'grpo.credit.strategy': ['uniform', { label: 'moody', value: { module: './moody.cjs' } }] },
    seeds: [4],
    warmup: { seeds: [1] },
  }),
)
const CELLS = ['strategy=uniform_warmup=1_seed=4', 'strategy=moody_warmup=1_seed=4']
const args = (run: string, ...more: string[]) => [
  CLI,
  'sweep',
  at('sweep.jsonc'),
  '--run',
  at(run),
  '--threads',
  '1',
  ...more,
]
const swept = (run: string, ...more: string[]) =>
  spawnSync(process.execPath, args(run, '--slots', '2', ...more), { encoding: 'utf8' })
const start = (run: string) => spawn(process.execPath, args(run, '--slots', '1'), { stdio: ['ignore', 'pipe', 'pipe'] })
const endOf = (child: ChildProcess) =>
  new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.on('exit', (code, signal) => resolve({ code, signal })),
  )
const metrics = (run: string) => CELLS.map((cell) => readMetrics(at(run, 'cells', cell)).map(withoutTimings))
const stepOf = (run: string) => readMetrics(at(run, 'cells', CELLS[0]!)).at(-1)?.step ?? 0
const pidOf = (run: string, name: string) => {
  const file = at(run, 'jobs', `${name}.json`)
  const { id } = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as JobRecord) : { id: null }
  return id === null ? null : Number(id.split('-')[0])
}
const until = async (holds: () => boolean) => {
  for (let waited = 0; !holds(); waited += 10) {
    assert.ok(waited < 120_000, `waited two minutes for ${holds}`)
    await sleep(10)
  }
}
const isAlive = (pid: number) => {
  try {
    return !/^\S+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

test('a failing cell says why, the rest is done, --retry makes up for it', () => {
  writeFileSync(FLAG, '')
  const first = swept('straight')
  assert.equal(first.status, 1, first.stderr)
  assert.match(first.stdout, /strategy=moody_warmup=1_seed=4 failed: .*not in the mood/)
  assert.match(first.stderr, /strategy=uniform_warmup=1_seed=4: done/)
  rmSync(FLAG)
  const second = swept('straight', '--retry')
  assert.equal(second.status, 0, second.stderr)
  assert.match(second.stdout, /cells: 2, 1 of them done \(1 begun, 1 failed before\)/)
  // Finished cells keep their last checkpoint alone.
  for (const cell of CELLS) assert.deepEqual(readdirSync(at('straight', 'cells', cell, 'checkpoints')), ['step-24'])
})

test('killed with -9 in the middle, alone and with its run, and stopped: the same bits as without', async () => {
  const { steps, pid } = { steps: () => stepOf('killed'), pid: () => pidOf('killed', CELLS[0]!)! }
  const begin = () => {
    const child = start('killed')
    let said = ''
    child.stderr?.on('data', (data) => (said += data))
    return { child, end: endOf(child), says: (words: RegExp) => until(() => words.test(said)) }
  }
  // The sweep alone is killed: its run goes on, and the next sweep follows it.
  const first = begin()
  await first.says(/uniform.*: started/)
  writeFileSync(SLOW, '')
  // One step after the first checkpoint.
  await until(() => steps() >= 8)
  first.child.kill('SIGKILL')
  await first.end
  const orphan = pid()
  assert.ok(isAlive(orphan))
  const second = begin()
  await second.says(/uniform.*: its process still runs and is followed/)

  // Its run is killed: it is begun again at once.
  process.kill(orphan, 'SIGKILL')
  await second.says(/uniform.*: its process is gone .*lost[\s\S]*: goes on from its last checkpoint/)
  const next = pid()
  assert.notEqual(next, orphan)

  // Both are killed, as when the machine goes down.
  second.child.kill('SIGKILL')
  process.kill(next, 'SIGKILL')
  await second.end

  // Ctrl-C: the run in progress ends after its step, with a checkpoint.
  const third = begin()
  await third.says(/uniform.*: goes on from its last checkpoint/)
  const before = steps()
  await until(() => steps() > before)
  third.child.kill('SIGINT')
  assert.deepEqual(await third.end, { code: 130, signal: null })
  assert.ok(!isAlive(pid()))
  assert.ok(existsSync(at('killed', 'cells', CELLS[0]!, 'checkpoints', `step-${steps()}`)))
  assert.ok(steps() < 24)
  rmSync(SLOW)

  const last = swept('killed')
  assert.equal(last.status, 0, last.stderr)
  assert.deepEqual(metrics('killed'), metrics('straight'))
})

test('processes of this machine: states, output, and what another command still knows of them', async () => {
  const launcher = new LocalLauncher(2)
  const job = (id: string, script: string, environment = {}) => ({
    id,
    command: ['/bin/sh', '-c', script],
    workingDirectory: folder,
    environment,
    resources: { cpus: 1, gpus: 0, threads: 1 },
    logFile: at('logs', `${id}.log`),
    stopFile: at('stop'),
  })
  const ended = async (id: string, from = launcher) => {
    await until(() => !isAlive(Number(id.split('-')[0])))
    await sleep(20)
    return from.status(id)
  }
  const good = await launcher.submit(job('good', 'echo $WORD; pwd', { WORD: 'hello' }))
  assert.deepEqual(await ended(good), { state: 'succeeded', exitCode: 0 })
  assert.equal(await launcher.logs(good), `hello\n${folder}`)
  const bad = await launcher.submit(job('bad', 'exit 3'))
  assert.deepEqual(await ended(bad), { state: 'failed', exitCode: 3, message: 'exit status 3' })

  const long = await launcher.submit(job('long', 'exec sleep 100'))
  const other = new LocalLauncher(2)
  assert.deepEqual(await other.status(long), { state: 'running' })
  // The number of a process alone does not make it that process.
  assert.deepEqual(await other.status(`${long.split('-')[0]}-1`), { state: 'lost' })
  await other.stop(long)
  assert.deepEqual(await ended(long), { state: 'failed', exitCode: null, message: 'ended by SIGTERM' })
  assert.deepEqual(await other.status(long), { state: 'lost' })
  await other.stop(long)
  await assert.rejects(
    launcher.submit({ ...job('none', ''), command: [at('no-such-program')] }),
    /none could not be started: .*ENOENT/,
  )
  assert.throws(() => new LocalLauncher(0), /slots is 0/)
})
