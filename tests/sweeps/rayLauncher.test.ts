import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type LaunchedJob, LauncherUnavailable } from '../../lib/sweeps/launcher'
import { connectRay, type RayLauncherOptions } from '../../lib/sweeps/rayLauncher'
import { temporaryFolder } from '../support/temporaryFolder'
import { RayStandIn, type StandInJob } from './rayStandIn'

const folder = temporaryFolder()
const stopFile = join(folder, 'stop')
let ray = new RayStandIn()
const fresh = async (changes: Partial<RayStandIn> = {}) => {
  await ray.close()
  ray = Object.assign(new RayStandIn(), changes)
  return ray.listen()
}
after(() => ray.close())
afterEach(() => rmSync(stopFile, { force: true }))

const job = (changes: Partial<LaunchedJob> = {}): LaunchedJob => ({
  id: 'cell-3-1',
  command: [process.execPath, '-e', 'true'],
  workingDirectory: folder,
  environment: {},
  resources: { cpus: 1, gpus: 0, threads: 1 },
  logFile: join(folder, 'log'),
  stopFile,
  ...changes,
})

/** How long the launcher below makes no request after one that failed. */
const QUIET = 50

/** Quick, so that every try of a test that fails in them is over in a blink. */
const connect = async (changes: Partial<RayLauncherOptions> = {}) =>
  connectRay({
    resources: { cpus: 1, gpus: 0 },
    address: ray.address,
    token: null,
    timeoutSeconds: 0.3,
    tries: 3,
    pauseSeconds: 0.01,
    ...changes,
  })

const submitted = async (changes: Partial<StandInJob> = {}) => {
  await fresh()
  const launcher = await connect()
  const id = await launcher.submit(job())
  Object.assign(ray.jobs.get(id)!, changes)
  return { launcher, id }
}

test('a job asks for its resources, and its line for the shell runs it where and as it was meant', async () => {
  await fresh()
  const launcher = await connect()
  const out = join(folder, 'out.json')
  const script = `require('fs').writeFileSync('out.json', JSON.stringify([process.cwd(), process.env, process.argv.slice(1)]))`
  const awkward = `it's "$HOME" \`pwd\` \n *`
  const id = await launcher.submit(
    job({
      command: [process.execPath, '-e', script, awkward, 'plain'],
      environment: { AWKWARD: awkward, TF_NUM_INTRAOP_THREADS: '2' },
      resources: { cpus: 1.5, gpus: 0.5, threads: 2 },
    }),
  )
  assert.equal(id, 'rhythm-cell-3-1')
  const { entrypoint, entrypoint_num_cpus, entrypoint_num_gpus, metadata } = ray.jobs.get(id)!
  assert.deepEqual([entrypoint_num_cpus, entrypoint_num_gpus], [1.5, 0.5])
  assert.ok(Object.values(metadata).every((value) => typeof value === 'string'))

  execFileSync('sh', ['-c', entrypoint], { env: { PATH: process.env.PATH, RAY_AUTH_TOKEN: 'secret', KEPT: 'yes' } })
  const [cwd, environment, args] = JSON.parse(readFileSync(out, 'utf8'))
  assert.equal(cwd, folder)
  assert.deepEqual(args, [awkward, 'plain'])
  assert.equal(environment.AWKWARD, awkward)
  assert.equal(environment.TF_NUM_INTRAOP_THREADS, '2')
  assert.equal(environment.KEPT, 'yes')
  assert.equal(environment.RAY_AUTH_TOKEN, undefined)
  // Ray names its GPUs in CUDA_VISIBLE_DEVICES, and says nothing to a job that has none: that would take the first.
  assert.equal(environment.CUDA_VISIBLE_DEVICES, undefined)
  const without = ray.jobs.get(await launcher.submit(job({ id: 'no-gpu' })))!.entrypoint
  assert.match(without, / CUDA_VISIBLE_DEVICES= /)
})

test('states of Ray become states of a job', async () => {
  const cases: [Partial<StandInJob>, object][] = [
    [{ status: 'RUNNING' }, { state: 'running' }],
    [
      { status: 'SUCCEEDED', driver_exit_code: 0 },
      { state: 'succeeded', exitCode: 0 },
    ],
    [{ status: 'STOPPED' }, { state: 'stopped' }],
    [
      { status: 'FAILED', driver_exit_code: 3, error_type: 'JOB_ENTRYPOINT_COMMAND_ERROR', message: 'failed …' },
      { state: 'failed', exitCode: 3, message: 'exit status 3' },
    ],
    [
      { status: 'FAILED', driver_exit_code: -9, error_type: 'JOB_ENTRYPOINT_COMMAND_ERROR' },
      { state: 'failed', exitCode: null, message: 'ended by SIGKILL' },
    ],
    [
      { status: 'FAILED', error_type: 'JOB_SUPERVISOR_ACTOR_DIED', message: 'Job supervisor actor died: node\nmore' },
      { state: 'lost', message: 'Job supervisor actor died: node' },
    ],
    [
      { status: 'FAILED', error_type: 'RUNTIME_ENV_SETUP_FAILURE', message: 'runtime_env setup failed: x' },
      { state: 'failed', exitCode: null, message: 'runtime_env setup failed: x' },
    ],
  ]
  const { launcher, id } = await submitted()
  const pristine = ray.jobs.get(id)!
  for (const [seen, expected] of cases) {
    ray.jobs.set(id, { ...pristine, ...seen })
    assert.deepEqual(await launcher.status(id), expected)
  }
})

test('a job that waits says for what; one that no node can hold says that, and fails when Ray gives up', async () => {
  const { launcher, id } = await submitted()
  assert.deepEqual(await launcher.status(id), { state: 'waiting', message: 'waits until a node has 1 CPU free' })
  const big = await launcher.submit(job({ id: 'big', resources: { cpus: 8, gpus: 1, threads: 8 } }))
  const reason = 'asks for 8 CPU and 1 GPU, and no node has that (nodes: 2 CPU): give fewer, or add a node'
  assert.deepEqual(await launcher.status(big), { state: 'waiting', message: reason })
  for (const name of [id, big])
    Object.assign(ray.jobs.get(name)!, { status: 'FAILED', error_type: 'JOB_SUPERVISOR_ACTOR_START_TIMEOUT' })
  assert.equal((await launcher.status(id)).state, 'lost')
  assert.deepEqual(await launcher.status(big), { state: 'failed', message: `Ray gave up starting it: ${reason}` })
})

test('what the cluster holds decides how many jobs are submitted at once', async () => {
  await fresh({
    nodes: [
      { state: 'ALIVE', resources_total: { CPU: 7, GPU: 1 } },
      { state: 'ALIVE', resources_total: { CPU: 4 } },
      { state: 'DEAD', resources_total: { CPU: 64, GPU: 8 } },
    ],
  })
  assert.equal((await connect({ resources: { cpus: 2, gpus: 0 } })).slots, 5)
  assert.equal((await connect({ resources: { cpus: 2, gpus: 1 } })).slots, 1)
  assert.equal((await connect({ resources: { cpus: 1, gpus: 0.25 } })).slots, 4)
  assert.equal((await connect({ resources: { cpus: 8, gpus: 0 }, slots: 3 })).slots, 3)
  await assert.rejects(connect({ resources: { cpus: 8, gpus: 0 } }), /a job asks for 8 CPU, and no node has that/)
  await assert.rejects(connect({ resources: { cpus: 0, gpus: 0 } }), /expected CPUs above 0/)

  // A head that has just been started counts itself among the nodes some seconds after it answers.
  const { nodes } = ray
  ray.nodes = []
  const connected = connect()
  setTimeout(() => Object.assign(ray, { nodes }), 100)
  assert.equal((await connected).slots, 11)
})

test('a head that was started anew has lost the job; submitted once more, it runs', async () => {
  const { launcher, id } = await submitted({ status: 'RUNNING' })
  const port = Number(new URL(ray.address).port)
  await ray.close()
  await assert.rejects(launcher.status(id), (error: Error) => {
    assert.ok(error instanceof LauncherUnavailable)
    assert.match(error.message, /is not reachable: the connection was refused, tried 3 times\. Is it running/)
    return true
  })
  ray = new RayStandIn()
  await ray.listen(port)
  await sleep(QUIET)
  assert.equal((await launcher.status(id)).state, 'lost')
  assert.equal(await launcher.logs(id), '')
  await launcher.stop(id)
  const again = await launcher.submit(job({ id: 'cell-3-2' }))
  assert.equal(again, 'rhythm-cell-3-2')
  assert.equal((await launcher.status(again)).state, 'waiting')
})

test('a server that errs, breaks off, falls silent or stops halfway is asked again', async () => {
  const { launcher, id } = await submitted({ status: 'RUNNING' })
  for (const faults of [['hang', 'half'], ['break', { status: 500 }], [{ status: 503 }], [null]] as const) {
    ray.requests.length = 0
    ray.faults = [...faults]
    assert.deepEqual(await launcher.status(id), { state: 'running' })
    assert.equal(ray.requests.length, faults[0] === null ? 1 : faults.length + 1)
  }
  ray.faults = ['hang', 'hang', 'hang']
  await assert.rejects(launcher.status(id), /is not reachable: no answer within 0\.3 s, tried 3 times/)
  await sleep(QUIET)
  ray.faults = Array(3).fill({ status: 500, text: 'Traceback\n  File "x"\nKeyError: agent\n.\n' })
  await assert.rejects(launcher.status(id), /answered 500 to GET \/api\/jobs\/rhythm-cell-3-1: KeyError: agent$/)
})

test('each further try waits twice as long', async () => {
  await fresh()
  const launcher = await connect({ pauseSeconds: 0.1 })
  ray.faults = [{ status: 502 }, { status: 502 }]
  const began = performance.now()
  await launcher.status('x')
  const took = performance.now() - began
  assert.ok(took >= 295 && took < 1500, `${took} ms`)
})

test('after a request that failed for good, others fail at once for a moment, and then are made again', async () => {
  const { launcher, id } = await submitted({ status: 'RUNNING' })
  ray.faults = Array(3).fill({ status: 500 })
  await assert.rejects(launcher.status(id), LauncherUnavailable)
  const made = ray.requests.length
  await assert.rejects(launcher.status('another'), LauncherUnavailable)
  assert.equal(ray.requests.length, made)
  await sleep(QUIET)
  assert.deepEqual(await launcher.status(id), { state: 'running' })
})

test('a 404 that is not of Ray itself loses no job', async () => {
  const { launcher, id } = await submitted({ status: 'RUNNING' })
  ray.faults = [{ status: 404, text: '<h1>404 Not Found</h1>nginx' }]
  await assert.rejects(launcher.status(id), LauncherUnavailable)
})

test('a submission whose answer was lost is not made twice', async () => {
  await fresh()
  const launcher = await connect()
  ray.faults = ['break after']
  const id = await launcher.submit(job())
  assert.equal(ray.jobs.size, 1)
  assert.deepEqual(ray.requests.slice(-3), ['POST /api/jobs/', 'POST /api/jobs/', `GET /api/jobs/${id}`])
})

test('the same job submitted anew: taken over while it runs, another name when it has ended; a stranger is left alone', async () => {
  const { launcher, id } = await submitted({ status: 'RUNNING' })
  assert.equal(await launcher.submit(job()), id)
  assert.equal(ray.jobs.size, 1)

  for (const [ended, next] of [
    [id, `${id}-again2`],
    [`${id}-again2`, `${id}-again3`],
  ] as const) {
    Object.assign(ray.jobs.get(ended)!, { status: 'SUCCEEDED' })
    assert.equal(await launcher.submit(job()), next)
    assert.equal(ray.jobs.get(next)!.status, 'PENDING')
    assert.equal(await launcher.submit(job()), next)
  }
  Object.assign(ray.jobs.get(id)!, { status: 'RUNNING' })

  await assert.rejects(
    launcher.submit(job({ workingDirectory: '/elsewhere' })),
    /runs another job called rhythm-cell-3-1/,
  )
})

test('what Ray finds wrong with a job is told without asking again', async () => {
  await fresh()
  const launcher = await connect()
  ray.faults = [{ status: 400, text: 'Traceback\nTypeError: entrypoint_num_cpus must be a number\n' }]
  await assert.rejects(launcher.submit(job()), /answered 400 to POST \/api\/jobs\/: TypeError: entrypoint_num_cpus/)
  assert.equal(ray.requests.filter((line) => line.startsWith('POST')).length, 1)
  await assert.rejects(launcher.submit(job({ id: 'a b' })), /a job is called a b/)
})

test('stop asks a running job by its stop file, again if the run cleared it away, and by Ray the second time', async () => {
  const { launcher, id } = await submitted({ status: 'RUNNING' })
  await launcher.stop(id)
  assert.ok(existsSync(stopFile))
  assert.ok(!ray.requests.some((line) => line.endsWith('/stop')))
  rmSync(stopFile)
  assert.equal((await launcher.status(id)).state, 'running')
  assert.ok(existsSync(stopFile))

  await launcher.stop(id)
  assert.equal(ray.requests.at(-1), `POST /api/jobs/${id}/stop`)
  assert.equal(ray.jobs.get(id)!.runtime_env.env_vars.RAY_JOB_STOP_WAIT_TIME_S, '10')

  // Another command on the same sweep knows the id alone.
  rmSync(stopFile)
  const other = await connect()
  await other.stop(id)
  assert.ok(existsSync(stopFile))
  rmSync(stopFile)
  Object.assign(ray.jobs.get(id)!, { status: 'SUCCEEDED' })
  await other.stop(id)
  assert.equal((await other.status(id)).state, 'succeeded')
  assert.ok(!existsSync(stopFile))
})

test('a waiting job is stopped by Ray, which does so only when its turn comes', async () => {
  const { launcher, id } = await submitted()
  await launcher.stop(id)
  assert.equal(ray.requests.at(-1), `POST /api/jobs/${id}/stop`)
  assert.ok(!existsSync(stopFile))
  assert.equal((await launcher.status(id)).state, 'stopped')
})

test('logs are the newest lines', async () => {
  const { launcher, id } = await submitted()
  Object.assign(ray.jobs.get(id)!, { logs: `${Array.from({ length: 400 }, (_, i) => `line ${i}`).join('\n')}\n` })
  const lines = (await launcher.logs(id)).split('\n')
  assert.equal(lines.length, 200)
  assert.equal(lines.at(-1), 'line 399')
})

test('the token is sent, is asked for where it lacks, and is named wrong where it is', async () => {
  await fresh({ token: 'right' })
  await assert.rejects(connect(), /asks for a token \(401\): set RAY_AUTH_TOKEN to what "ray get-auth-token" prints/)
  await assert.rejects(connect({ token: 'wrong' }), (error: Error) => {
    assert.match(error.message, /refuses the token that it was sent \(403\)/)
    assert.doesNotMatch(error.message, /wrong/)
    return true
  })
  const id = await (await connect({ token: 'right' })).submit(job())
  assert.equal(ray.headers.at(-1)!.authorization, 'Bearer right')
  assert.doesNotMatch(JSON.stringify(ray.jobs.get(id)), /right/)
})

test('an address that is none, is nobody, or is not a Ray that can do this', async () => {
  await assert.rejects(connect({ address: 'ray://127.0.0.1:10001' }), /expected the dashboard's, e\.g\. http:/)
  await assert.rejects(connect({ address: '127.0.0.1:8265' }), /expected the dashboard's/)
  await assert.rejects(
    connect({ address: 'http://no-such-host.invalid:8265' }),
    /there is no such host|not be looked up/,
  )
  await fresh({ version: '<html>A router</html>' })
  await assert.rejects(connect(), /answers, but not as Ray's dashboard does \(<html>A router/)
  await fresh({ version: { version: '3', ray_version: '2.2.0' } })
  await assert.rejects(connect(), /speaks version 3 of Ray's Jobs API \(Ray 2\.2\.0\); expected 4 or later/)
  await fresh({ version: { detail: 'Not found' } })
  await assert.rejects(connect(), /speaks version \? of Ray's Jobs API/)
})

test('a dashboard behind a path keeps it', async () => {
  await fresh()
  await assert.rejects(connect({ address: `${ray.address}/cluster/` }))
  assert.equal(ray.requests.at(-1), 'GET /cluster/api/version')
})
