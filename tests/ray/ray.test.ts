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
import { resultOf, tinyConfig } from '../training/tinyRun'
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

/** Waits until `there` gives something; fails after two minutes, saying for what it waited. */
async function until<T>(what: string, there: () => T | Promise<T>): Promise<NonNullable<T>> {
  for (const end = Date.now() + 120_000; Date.now() < end; await sleep(50)) {
    const found = await there()
    if (found) return found
  }
  throw new Error(`waited two minutes in vain: ${what}`)
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
const runsIn = (sweep: string) =>
  ['warmups', 'cells'].flatMap((kind) =>
    existsSync(at(sweep, kind)) ? readdirSync(at(sweep, kind)).map((name) => join(kind, name)) : [],
  )
const stepsOf = (sweep: string, run: string) => readMetrics(at(sweep, run)).at(-1)?.step ?? 0

test('a sweep on Ray that loses a job, its own command and the head ends with the bits of a local one', async () => {
  const base = tinyConfig({
    supervised: { steps: 20 },
    grpo: { steps: 60, evaluateEvery: 20, credit: { refreshEvery: 10 } },
    checkpoints: { every: 7 },
    rollouts: { every: 10 },
  })
  const axes = { 'grpo.credit.strategy': ['uniform', 'coupled'] }
  writeFileSync(SWEEP, JSON.stringify({ base, axes, seeds: 2, warmup: { seeds: 1 } }))
  await new SweepCommand(['--run', at('local'), '--slots', '2']).succeeds()

  const onRay = () => new SweepCommand(['--run', at('ray'), '--on', 'ray', '--ray-address', head.address])
  /** Steps made by the cells in which a process trains now. */
  const training = () =>
    runsIn('ray')
      .filter((run) => run.startsWith('cells') && isLocked(at('ray', run)))
      .map((run) => ({ run, step: stepsOf('ray', run) }))
  const deepInACell = () => training().find(({ step }) => step >= 10 && step < 50)

  let sweep = onRay()
  const first = await until('a cell in the middle', deepInACell)
  const { pid } = JSON.parse(readFileSync(at('ray', first.run, 'run.lock'), 'utf8'))
  assert.ok(readFileSync(join('/proc', String(pid), 'cmdline'), 'utf8').includes(first.run))
  process.kill(pid, 'SIGKILL')
  await until('the sweep sees that a job was killed', () => /is gone \(ended by SIGKILL\)/.test(sweep.output))

  await until('cells train', () => training().length > 0)
  await sweep.kill()
  sweep = onRay()
  await until('the new command follows the jobs of the old one', () => /still runs and is followed/.test(sweep.output))

  const second = await until('a cell in the middle', deepInACell)
  await head.kill()
  assert.deepEqual(training(), [])
  await until('the sweep says that Ray is gone', () => /ray does not answer/.test(sweep.output))
  await head.start()
  await sweep.succeeds()
  assert.match(sweep.output, /is gone \(Ray does not know the job: its head was started anew\)/)

  const runs = runsIn('local')
  assert.equal(runs.length, 5)
  assert.deepEqual(runsIn('ray'), runs)
  for (const run of runs)
    assert.deepEqual(resultOf(at('ray', run)), resultOf(at('local', run)), `${run}; killed: ${[first, second]}`)
})
