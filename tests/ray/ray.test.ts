import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LaunchedJob, Launcher } from '../../lib/sweeps/launcher'
import { connectRay } from '../../lib/sweeps/rayLauncher'
import { readMetrics } from '../../lib/training/runFolder'
import { isLocked } from '../../lib/training/runLock'
import { temporaryFolder } from '../support/temporaryFolder'
import { resultOf, TASK, tinyConfig } from '../training/tinyRun'
import { RayHead } from './rayHead'

const CLI = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')
const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)
const head = new RayHead(2)
let launcher: Launcher
before(async () => {
  await head.start()
  launcher = await connectRay({ address: head.address, token: head.token, resources: { cpus: 1, gpus: 0 } })
})
const commands: ChildProcess[] = []
after(async () => {
  for (const command of commands) command.kill('SIGKILL')
  await head.remove()
})

/** Waits until `there` gives something; fails after four minutes, saying for what it waited. */
async function until<T>(what: string, there: () => T | Promise<T>): Promise<NonNullable<T>> {
  for (const end = Date.now() + 240_000; Date.now() < end; await sleep(50)) {
    const found = await there()
    if (found) return found
  }
  throw new Error(`waited four minutes in vain: ${what}`)
}

/** A job that is a script of Node's, in the test's folder. */
const script = (id: string, code: string, changes: Partial<LaunchedJob> = {}): LaunchedJob => ({
  id,
  command: [process.execPath, '-e', code],
  workingDirectory: folder,
  environment: {},
  resources: { cpus: 1, gpus: 0, threads: 1 },
  logFile: at(`${id}.log`),
  stopFile: at(`${id}.stop`),
  ...changes,
})
const reaches = (id: string, state: string) =>
  until(`${id} ${state}`, async () => {
    const status = await launcher.status(id)
    return status.state === state ? status : null
  })

test('the token: without it, with another one', async () => {
  const asks = (token: string | null) => connectRay({ address: head.address, token, resources: { cpus: 1, gpus: 0 } })
  await assert.rejects(asks(null), /asks for a token \(401\)/)
  await assert.rejects(asks('another-token-0123456789abcdef0123'), /refuses the token that it was sent \(403\)/)
  assert.equal(launcher.slots, 2)
})

test('a job runs where and with what it was given, its output can be read, and its exit status arrives', async () => {
  const awkward = `it's "$HOME" \${HOME} \`pwd\` *`
  const code = `console.log(JSON.stringify([process.cwd(), process.env.AWKWARD, process.env.RAY_AUTH_TOKEN ?? null, process.argv.slice(1)])); process.exit(3)`
  const job = script('given', code, { environment: { AWKWARD: awkward } })
  const id = await launcher.submit({ ...job, command: [...job.command, awkward] })
  assert.deepEqual(await reaches(id, 'failed'), { state: 'failed', exitCode: 3, message: 'exit status 3' })
  assert.deepEqual(JSON.parse((await launcher.logs(id)).split('\n').at(-1)!), [folder, awkward, null, [awkward]])

  // The same once more, now that it has ended: a new job.
  const again = await launcher.submit(script('given', ''))
  assert.equal(again, `${id}-again2`)
  assert.deepEqual(await reaches(again, 'succeeded'), { state: 'succeeded', exitCode: 0 })
})

test('a job is stopped: by its file, by SIGTERM with time to end, while it waits; one that is killed says so', async () => {
  const polite = `const fs = require('fs'); fs.writeFileSync(process.argv[1], String(process.pid))
    const end = (why) => setTimeout(() => { fs.writeFileSync(process.argv[1] + '.end', why); process.exit(0) }, 4000)
    process.on('SIGTERM', () => end('signal')); setInterval(() => fs.existsSync(process.argv[2]) && end('file'), 100)`
  const started = async (id: string) => {
    const job = script(id, polite)
    const known = await launcher.submit({ ...job, command: [...job.command, at(id), job.stopFile] })
    const pid = Number(await until(`${id} starts`, () => existsSync(at(id)) && readFileSync(at(id), 'utf8')))
    return { known, pid, ended: () => readFileSync(at(`${id}.end`), 'utf8') }
  }
  const [one, two] = await Promise.all([started('by-file'), started('by-signal')])
  const third = await launcher.submit(script('waits', `require('fs').writeFileSync('${at('waited')}', '')`))
  assert.deepEqual(await launcher.status(third), { state: 'waiting', message: 'waits until a node has 1 CPU free' })
  await launcher.stop(third)
  assert.equal((await launcher.status(third)).state, 'stopped')
  const big = await launcher.submit(script('big', '', { resources: { cpus: 3, gpus: 0, threads: 3 } }))
  assert.match((await launcher.status(big)).message ?? '', /^asks for 3 CPU, and no node has that \(nodes: 2 CPU\)/)

  await launcher.stop(one.known)
  await launcher.stop(two.known)
  rmSync(at('by-signal.stop'))
  await launcher.stop(two.known)
  await reaches(one.known, 'succeeded')
  await reaches(two.known, 'stopped')
  assert.deepEqual([one.ended(), two.ended()], ['file', 'signal'])

  const four = await started('killed')
  process.kill(four.pid, 'SIGKILL')
  assert.deepEqual(await reaches(four.known, 'failed'), {
    state: 'failed',
    exitCode: null,
    message: 'ended by SIGKILL',
  })
  assert.ok(!existsSync(at('waited')), 'a job that was stopped while it waited ran nonetheless')
})

/** `rhythm sweep`, its output collected. */
class SweepCommand {
  output = ''
  readonly child: ChildProcess
  private readonly exit: Promise<number | null>

  constructor(args: string[]) {
    const env = { ...process.env, RAY_AUTH_TOKEN: head.token }
    const stdio = ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe']
    this.child = spawn(process.execPath, [CLI, 'sweep', SWEEP, '--threads', '1', ...args], { env, stdio })
    commands.push(this.child)
    for (const stream of [this.child.stdout!, this.child.stderr!]) stream.on('data', (text) => (this.output += text))
    this.exit = once(this.child, 'close').then(([code]) => code)
  }

  async succeeds(): Promise<void> {
    assert.equal(await this.exit, 0, this.output)
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.exit
  }
}

const SWEEP = at('sweep.json')
const HOLD = at('hold')
const runsIn = (sweep: string) =>
  ['warmups', 'cells'].flatMap((kind) =>
    existsSync(at(sweep, kind)) ? readdirSync(at(sweep, kind)).map((name) => join(kind, name)) : [],
  )

/** The tests' task, whose processes stand still after five steps or so for as long as the file HOLD is there. */
const heldTask = () => {
  const text = `const { existsSync } = require('node:fs')
    const clock = new Int32Array(new SharedArrayBuffer(4))
    let calls = 0
    module.exports = (options) => {
      const task = require(${JSON.stringify(TASK)})(options)
      const verify = (...args) => {
        calls++
        while (calls > 60 && existsSync(${JSON.stringify(HOLD)})) Atomics.wait(clock, 0, 0, 50)
        return task.verify(...args)
      }
      return { ...task, verify }
    }`
  writeFileSync(at('task.cjs'), text)
  return { module: at('task.cjs') }
}

test('a sweep on Ray that loses a job, its own command and the head ends with the bits of a local one', async () => {
  const base = tinyConfig({
    task: heldTask(),
    supervised: { steps: 20 },
    grpo: { steps: 20, evaluateEvery: 10, credit: { refreshEvery: 5 } },
    checkpoints: { every: 3 },
    rollouts: { every: 5 },
  })
  const axes = { 'grpo.credit.strategy': ['uniform', 'coupled'] }
  writeFileSync(SWEEP, JSON.stringify({ base, axes, seeds: 2, warmup: { seeds: 1 } }))
  await new SweepCommand(['--run', at('local'), '--slots', '2']).succeeds()

  writeFileSync(HOLD, '')
  const onRay = () => new SweepCommand(['--run', at('ray'), '--on', 'ray', '--ray-address', head.address])
  /** The cells in which a process trains now. */
  const training = () => runsIn('ray').filter((run) => run.startsWith('cells') && isLocked(at('ray', run)))
  const stepOf = (run: string) => readMetrics(at('ray', run)).at(-1)?.step ?? 0
  const twoInTheMiddle = () => {
    const cells = training()
    return cells.length === 2 && cells.every((run) => stepOf(run) >= 4) ? cells : null
  }

  let sweep = onRay()
  const [first] = await until('two cells are in the middle', twoInTheMiddle)
  const { pid } = JSON.parse(readFileSync(at('ray', first!, 'run.lock'), 'utf8'))
  assert.ok(readFileSync(join('/proc', String(pid), 'cmdline'), 'utf8').includes(first!))
  process.kill(pid, 'SIGKILL')
  await until('the sweep sees that a job was killed', () => /is gone \(ended by SIGKILL\)/.test(sweep.output))
  await until('the job is back', () => training().includes(first!))

  await sweep.kill()
  sweep = onRay()
  await until(
    'the new command follows both jobs',
    () => sweep.output.match(/still runs and is followed/g)?.length === 2,
  )

  const held = await until('both cells are in the middle again', twoInTheMiddle)
  assert.ok(held.every((run) => stepOf(run) < 20))
  await head.kill()
  await until('the system has cleared the jobs away', () => training().length === 0)
  await until('the sweep says that Ray is gone', () => /ray does not answer/.test(sweep.output))
  await head.start()
  await until(
    'the sweep sees that both jobs are lost',
    () => sweep.output.match(/is gone \(Ray does not/g)?.length === 2,
  )
  rmSync(HOLD)
  await sweep.succeeds()

  const runs = runsIn('local')
  assert.equal(runs.length, 5)
  assert.deepEqual(runsIn('ray'), runs)
  for (const run of runs) assert.deepEqual(resultOf(at('ray', run)), resultOf(at('local', run)), run)
})
