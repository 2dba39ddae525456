import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, join } from 'node:path'
import test from 'node:test'
import { LauncherUnavailable } from '../../lib/sweeps/launcher'
import { planSweep } from '../../lib/sweeps/planSweep'
import { type RunSweepOptions, runSweep } from '../../lib/sweeps/runSweep'
import { parseSweep, type SweepInput } from '../../lib/sweeps/sweepFile'
import { lockRun } from '../../lib/training/runLock'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyConfig } from '../training/tinyRun'
import { ScriptedLauncher, type ScriptedLook } from './scriptedLauncher'

const folder = temporaryFolder()
const STEPS = 6
const running: ScriptedLook = { state: 'running' }
const done: ScriptedLook = { state: 'succeeded', exitCode: 0, run: { state: 'finished', step: STEPS } }
const warm: ScriptedLook = { state: 'succeeded', exitCode: 0, run: { state: 'finished', step: 4 } }

const planOf = (run: string, changes: Partial<SweepInput> = {}, threads = 1) =>
  planSweep(
    parseSweep({
      base: { ...tinyConfig(), supervised: null },
      axes: { 'grpo.credit.strategy': ['uniform', 'coupled'] },
      seeds: 2,
      ...changes,
    } as SweepInput),
    { run: join(folder, run), threads },
  )
const sweep = (plan: ReturnType<typeof planOf>, launcher: ScriptedLauncher, options: Partial<RunSweepOptions> = {}) =>
  runSweep(plan, { launcher, every: 1, ...options })
const names = (launcher: ScriptedLauncher) => launcher.submitted.map(({ command }) => basename(command.at(-1)!))
const always = (...looks: ScriptedLook[]) => new ScriptedLauncher(2, () => looks, STEPS)

test('cells run in their order, as many at once as there are slots, and what is done is not done again', async () => {
  const launcher = always(running, running, done)
  const { state, view } = await sweep(planOf('order'), launcher)
  assert.deepEqual([state, view.counts.done, launcher.most, launcher.closed], ['finished', 4, 2, true])
  const order = [0, 1].flatMap((seed) => ['uniform', 'coupled'].map((s) => `strategy=${s}_seed=${seed}`))
  assert.deepEqual(names(launcher), order)
  const [job] = launcher.submitted
  assert.match(job!.id, /^[A-Za-z0-9_-]+$/)
  assert.deepEqual(job!.command.slice(2), [
    'train',
    join(folder, 'order', 'cells', order[0]!, 'asked.json'),
    '--run',
    join(folder, 'order', 'cells', order[0]!),
  ])
  assert.equal(job!.environment.TF_NUM_INTRAOP_THREADS, '1')

  const again = always(done)
  assert.equal((await sweep(planOf('order'), again)).state, 'finished')
  assert.deepEqual(names(again), [])
  // New cells are added; those that the file no longer has stay where they are.
  const events: string[] = []
  await sweep(planOf('order', { seeds: [1, 2] }), again, { onEvent: (text) => events.push(text) })
  assert.deepEqual(names(again), ['strategy=uniform_seed=2', 'strategy=coupled_seed=2'])
  assert.match(events.join('\n'), /2 cells of an earlier sweep file stay in the folder/)
  assert.ok(existsSync(join(folder, 'order', 'cells', order[0]!, 'state.json')))
})

test('a warm-up is made once, before the cells that begin at it', async () => {
  const plan = planOf('warm', { base: tinyConfig(), warmup: { seeds: 2, pairing: 'alternate' } })
  const launcher = new ScriptedLauncher(8, (run) => [running, run.includes('warmups') ? warm : done], STEPS)
  assert.equal((await sweep(plan, launcher)).state, 'finished')
  assert.deepEqual(
    names(launcher).slice(0, 2),
    plan.warmups.map(({ name }) => name),
  )
  assert.equal(new Set(names(launcher)).size, 6)
})

test('without its warm-up a cell is not begun; the others are', async () => {
  const plan = planOf('cold', { base: tinyConfig(), warmup: { seeds: 2, pairing: 'alternate' } })
  const broken = plan.warmups[0]!.folder
  const launcher = new ScriptedLauncher(
    8,
    (run) => (run === broken ? [{ state: 'failed', exitCode: 1 }] : [run.includes('warmups') ? warm : done]),
    STEPS,
  )
  const { state, view } = await sweep(plan, launcher)
  assert.deepEqual([state, view.counts], ['failed', { waiting: 2, running: 0, done: 3, failed: 1, stopped: 0 }])
  assert.match(view.runs.find((run) => run.state === 'waiting')!.message!, /its warm-up seed-0-\w+ failed/)
})

test('a failed cell says why and does not stop the rest; it is begun again only when asked', async () => {
  const failing = (run: string) => run.endsWith('strategy=coupled_seed=0')
  const own: ScriptedLook = { state: 'failed', exitCode: 1, run: { state: 'failed', step: 2, error: 'no such item' } }
  const broken = new ScriptedLauncher(1, (run) => [failing(run) ? own : done], STEPS)
  const { state, view } = await sweep(planOf('failing'), broken)
  assert.deepEqual([state, view.counts.done, view.counts.failed], ['failed', 3, 1])
  assert.equal(view.runs.find((run) => run.state === 'failed')!.message, 'no such item')

  const idle = always(done)
  assert.equal((await sweep(planOf('failing'), idle)).state, 'failed')
  assert.deepEqual(names(idle), [])
  // One that printed its reason and wrote none: the newest lines of its log.
  const silent = always({ state: 'failed', exitCode: 1 })
  const second = await sweep(planOf('failing'), silent, { retry: true })
  assert.deepEqual(names(silent), ['strategy=coupled_seed=0'])
  assert.match(second.view.runs[1]!.message!, /last line$/)
  assert.equal((await sweep(planOf('failing'), always(done), { retry: true })).state, 'finished')
})

test('what cannot be started has failed, and says why', async () => {
  const launcher = always(done)
  launcher.submit = async () => {
    throw new Error('no node has 9 GPUs')
  }
  const { state, view } = await sweep(planOf('impossible'), launcher)
  assert.deepEqual([state, view.counts.failed, view.runs[0]!.message], ['failed', 4, 'no node has 9 GPUs'])
})

test('a killed or forgotten run goes on; one that is killed again and again at the same step has failed', async () => {
  const killed: ScriptedLook = {
    state: 'failed',
    exitCode: null,
    message: 'ended by SIGKILL',
    run: { state: 'running', step: 2 },
  }
  const patient = new ScriptedLauncher(
    2,
    (run, attempt) => {
      if (run.endsWith('uniform_seed=0')) return attempt < 3 ? [running, { state: 'lost' }] : [done]
      return run.endsWith('coupled_seed=0') ? [killed] : [done]
    },
    STEPS,
  )
  const { state, view } = await sweep(planOf('killed'), patient)
  assert.deepEqual([state, view.counts.done, view.counts.failed], ['failed', 3, 1])
  assert.match(
    view.runs[1]!.message!,
    /^ended by SIGKILL, 3 times at step 2: is there memory enough, and are checkpoints close enough \(checkpoints\.every\)\?$/,
  )
  assert.equal(new Set(patient.submitted.map(({ id }) => id)).size, patient.submitted.length, 'each attempt has its id')
})

test('a launcher that does not answer is asked again', { timeout: 30_000 }, async () => {
  const launcher = always(running, done)
  const { status } = ScriptedLauncher.prototype
  let silent = 3
  launcher.status = async function (id) {
    if (silent-- > 0) throw new LauncherUnavailable('the connection was refused')
    return status.call(this, id)
  }
  const notes = new Set<string | null>()
  const { state } = await sweep(planOf('silent'), launcher, { onUpdate: ({ note }) => notes.add(note) })
  assert.equal(state, 'finished')
  assert.ok(notes.has('scripted does not answer: the connection was refused'))
})

test('a run that the cluster loses before it begins is submitted again, however often', async () => {
  const launcher = always(done)
  const { submit } = ScriptedLauncher.prototype
  launcher.submit = async function (job) {
    // The job never becomes known.
    if (this.submitted.length < 5) return String(this.submitted.push(job))
    return submit.call(this, job)
  }
  const { state } = await sweep(planOf('unlucky', { axes: {}, seeds: 1 }), launcher)
  assert.deepEqual([state, launcher.submitted.length], ['finished', 6])
})

test('a wish to stop that the launcher did not hear is told again', { timeout: 30_000 }, async () => {
  const launcher = always(running)
  const { stop } = ScriptedLauncher.prototype
  let deaf = 2
  launcher.stop = async function (id) {
    if (deaf-- > 0) throw new LauncherUnavailable('the connection was refused')
    return stop.call(this, id)
  }
  const wish = new AbortController()
  const { state } = await sweep(planOf('deaf'), launcher, {
    signal: wish.signal,
    onUpdate: () => launcher.submitted.length === 2 && wish.abort(),
  })
  assert.equal(state, 'stopped')
  assert.deepEqual(
    launcher.stopped,
    launcher.submitted.map(({ id }) => id),
  )
})

test('checkpoints of a run that finished while no sweep watched are dropped too', async () => {
  const plan = planOf('unwatched', { axes: {}, seeds: 1, checkpoints: 'none' })
  const [cell] = plan.cells
  mkdirSync(join(cell!.folder, 'checkpoints', 'step-6'), { recursive: true })
  cpSync(join(folder, 'unlucky', 'cells', 'seed=0'), cell!.folder, { recursive: true })
  assert.equal((await sweep(plan, always(done))).state, 'finished')
  assert.equal(existsSync(join(cell!.folder, 'checkpoints')), false)
})

test('asked twice to stop, a sweep asks its runs twice: the second time they end at once', async () => {
  const stubborn = always(running)
  const asked: string[] = []
  stubborn.stop = async (id) => {
    asked.push(id)
    if (asked.length > 2) stubborn.stopped.push(id)
  }
  let stop = (_reason: string) => {}
  const words: string[] = []
  const { reason } = await sweep(planOf('insisted'), stubborn, {
    onStart: (given) => {
      stop = given
    },
    onUpdate: ({ counts, note }) => {
      if (counts.running === 2 && words.length === 0) words.push('first')
      else if (note === 'stopping' && words.length === 1) words.push('second')
      else return
      stop(words.at(-1)!)
    },
  })
  const ids = stubborn.submitted.map(({ id }) => id)
  assert.deepEqual(asked, [...ids, ...ids])
  assert.equal(reason, 'first')
})

test('stopped by an abort or a stop file; the next command goes on', async () => {
  const stop = new AbortController()
  const forever = always(running)
  const ended = sweep(planOf('stopped'), forever, {
    signal: stop.signal,
    onUpdate: () => forever.submitted.length === 2 && stop.abort(),
  })
  const { state, reason, view } = await ended
  assert.deepEqual([state, reason], ['stopped', 'the given AbortSignal was aborted'])
  assert.deepEqual(view.counts, { waiting: 2, running: 0, done: 0, failed: 0, stopped: 2 })
  assert.deepEqual(
    forever.stopped,
    forever.submitted.map(({ id }) => id),
  )

  const byFile = always(running)
  const { reason: file } = await sweep(planOf('stopped'), byFile, {
    onUpdate: () => writeFileSync(join(folder, 'stopped', 'stop'), ''),
  })
  assert.match(file!, /the file .*stop asked for it/)
  assert.equal((await sweep(planOf('stopped'), always(done))).state, 'finished')
})

test('jobs that outlived a killed sweep are followed, not started twice', async () => {
  const plan = planOf('adopted')
  const jobs = plan.cells.slice(0, 2).map(({ name, folder: at }) => {
    const job = { id: `sweep-${name}-1`.replace(/[^\w-]/g, '-'), command: ['node', at], environment: {} }
    mkdirSync(at, { recursive: true })
    writeFileSync(join(at, 'asked.json'), '{}')
    return {
      name,
      job: { ...job, resources: { cpus: 1, gpus: 0, threads: 1 }, workingDirectory: '/', logFile: '', stopFile: '' },
    }
  })
  // What a killed sweep leaves behind: its jobs with the launcher, and their ids in the folder.
  const launcher = always(running, done)
  mkdirSync(join(plan.folder, 'jobs'), { recursive: true })
  for (const { name, job } of jobs) {
    await launcher.submit(job)
    rmSync(join(job.command[1]!, 'config.json'))
    const record = { launcher: 'scripted', id: job.id, attempt: 1, changedBefore: null, failed: null }
    writeFileSync(join(plan.folder, 'jobs', `${name}.json`), JSON.stringify(record))
  }
  const events: string[] = []
  const { state } = await sweep(plan, launcher, { onEvent: (text) => events.push(text) })
  assert.equal(state, 'finished')
  assert.deepEqual(
    names(launcher).slice(2),
    plan.cells.slice(2).map(({ name }) => name),
    'only those that were not begun',
  )
  assert.match(events.join('\n'), /strategy=uniform_seed=0: its process still runs and is followed/)
  // Those of another launcher cannot be asked for: the run's folder and its lock decide.
  const record = { launcher: 'ray', id: 'there', attempt: 4, changedBefore: null, failed: null }
  const later = planOf('adopted', { seeds: [9] })
  writeFileSync(join(plan.folder, 'jobs', `${later.cells[0]!.name}.json`), JSON.stringify(record))
  const here = always(done)
  assert.equal((await sweep(later, here)).state, 'finished')
  assert.match(here.submitted[0]!.id, /-5$/)
})

test('a folder in which another process trains is left to it, until it is finished', async () => {
  const plan = planOf('held')
  const cell = plan.cells[0]!.folder
  mkdirSync(cell, { recursive: true })
  writeFileSync(join(cell, 'run.lock'), JSON.stringify({ pid: process.pid, host: hostname(), since: 'now' }))
  const launcher = always(done)
  const messages = new Set<string | null>()
  const { state } = await sweep(plan, launcher, {
    onUpdate: ({ runs }) => {
      messages.add(runs[0]!.message)
      if (messages.has('another process is at it')) launcher.say(cell, { state: 'finished', step: STEPS })
    },
  })
  assert.equal(state, 'finished')
  assert.equal(names(launcher).length, 3)
})

test('two sweeps on one folder are refused, and so are other threads and other configurations of begun runs', async () => {
  const plan = planOf('twice')
  mkdirSync(plan.folder, { recursive: true })
  const release = await lockRun(plan.folder)
  await assert.rejects(sweep(plan, always(done)), new RegExp(`twice is in use by process ${process.pid} on`))
  await release()

  await sweep(plan, always(done))
  await assert.rejects(sweep(planOf('twice', {}, 2), always(done)), /begun with 1 threads .* Give --threads 1/)
  const changed = always(done)
  await assert.rejects(
    sweep(planOf('twice', { set: { 'grpo.prompts': 5 } }), changed),
    /holds runs of another configuration, and nothing was started:\ncell strategy=uniform_seed=0 .*grpo\.prompts \(3, now 5\)/,
  )
  assert.deepEqual(names(changed), [])
  // More steps at a constant rate: the finished cells go on.
  const longer = new ScriptedLauncher(2, () => [{ ...done, run: { state: 'finished', step: 9 } }], 9)
  assert.equal((await sweep(planOf('twice', { set: { 'grpo.steps': 9 } }), longer)).state, 'finished')
  assert.equal(names(longer).length, 4)
})

test('finished runs of another sweep count where they are the same run', async () => {
  await sweep(planOf('first'), always(done))
  const axes = {
    arm: [
      { label: 'plain', set: { 'grpo.credit.strategy': 'uniform' } },
      { label: 'small', set: { 'grpo.credit.options.topShare': 0.2 } },
    ],
  }
  const launcher = always(done)
  const { state } = await sweep(planOf('second', { axes }), launcher, { reuse: [join(folder, 'first')] })
  assert.equal(state, 'finished')
  assert.deepEqual(names(launcher), ['arm=small_seed=0', 'arm=small_seed=1'])
  const written = JSON.parse(readFileSync(join(folder, 'second', 'sweep.json'), 'utf8'))
  assert.equal(written.cells[0].folder, '../first/cells/strategy=uniform_seed=0')
  // A default that is written out makes no other run of it.
  const writtenOut = { arm: [axes.arm[0]!, { label: '0.4', set: { 'grpo.credit.options.topShare': 0.4 } }] }
  const none = always(done)
  await sweep(planOf('written-out', { axes: writtenOut }), none, { reuse: [join(folder, 'first')] })
  assert.deepEqual(names(none), [])
  // It stays so without being asked again.
  const later = always(done)
  assert.equal((await sweep(planOf('second', { axes }), later)).state, 'finished')
  assert.deepEqual(names(later), [])
  await assert.rejects(
    sweep(planOf('third'), always(done), { reuse: [join(folder, 'none')] }),
    /none holds no sweep whose runs could be used/,
  )
})

test('a warm-up is not made where every cell that begins at it is there already', async () => {
  const changes: Partial<SweepInput> = { base: tinyConfig(), warmup: { seeds: 2, pairing: 'alternate' } }
  const first = new ScriptedLauncher(8, (run) => [run.includes('warmups') ? warm : done], STEPS)
  await sweep(planOf('made', { ...changes, seeds: [0] }), first)
  const second = new ScriptedLauncher(8, (run) => [run.includes('warmups') ? warm : done], STEPS)
  const plan = planOf('more', changes)
  const { state, view } = await sweep(plan, second, { reuse: [join(folder, 'made')] })
  assert.equal(state, 'finished')
  assert.deepEqual(names(second), [
    plan.warmups[1]!.name,
    'strategy=uniform_warmup=1_seed=1',
    'strategy=coupled_warmup=1_seed=1',
  ])
  assert.deepEqual(
    view.runs.map(({ message }) => message),
    ['no cell needs it', null, 'of another sweep', 'of another sweep', null, null],
  )
})
