import { randomUUID } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JobStatus, LaunchedJob, Launcher } from './launcher'
import { entrypoint, failure, isActive, type RayJob, wantedBy } from './rayJob'
import { type NodeResources, rayNodes, slotsOn, whyWaiting } from './rayNodes'
import { RayError, type RayRequestOptions, RayRequests } from './rayRequests'
import { rayAddress, rayToken } from './raySettings'

const JOBS = '/api/jobs/'
const LOG_LINES = 200
/** The first version of the Jobs API with all that is used here, and that of Ray 2.60, with which it was tried. */
const OLDEST_API = 4

export interface RayLauncherOptions extends Partial<RayRequestOptions> {
  /** What a job will ask for: decides how many are submitted at once, where `slots` does not say it. */
  resources: NodeResources
  /** Jobs submitted at once. Default: as many as the cluster's nodes hold now. Ray itself starts those that fit. */
  slots?: number
  /** Seconds between the SIGTERM and the SIGKILL of a job that is stopped for the second time. Default 10. */
  stopSeconds?: number
}

/**
 * A launcher on the cluster whose dashboard answers at `address` (default: `RAY_API_SERVER_ADDRESS`, else this machine; token:
 * as Ray finds it). Throws LauncherUnavailable if it does not answer, RayError if it refuses the token, is too old, or if no node
 * could ever hold a job.
 */
export async function connectRay(options: RayLauncherOptions): Promise<RayLauncher> {
  const { resources, address = rayAddress(), token = rayToken() } = options
  if (!(resources.cpus > 0 && resources.gpus >= 0))
    throw new RayError(
      `a job asks for ${resources.cpus} CPUs and ${resources.gpus} GPUs: expected CPUs above 0, GPUs at least 0`,
    )
  const requests = new RayRequests({ ...options, address, token })
  const answer = await requests.send('GET', '/api/version')
  const { version, ray_version } = requests.parse<{ version?: string; ray_version?: string }>(answer)
  if (answer.status !== 200 || !(Number(version) >= OLDEST_API))
    throw new RayError(
      `${requests.address} speaks version ${version ?? '?'} of Ray's Jobs API (Ray ${ray_version ?? '?'}); expected ${OLDEST_API} or ` +
        'later, from a Ray with its dashboard (pip install "ray[default]")',
    )
  const nodes = await firstNodes(requests)
  const slots = options.slots ?? slotsOn(nodes, resources)
  if (slots < 1)
    throw new RayError(`a job ${whyWaiting(nodes, resources)}, or give --slots where the cluster grows when asked`)
  return new RayLauncher(requests, { ...options, slots })
}

/** The nodes; a head that has just been started answers some seconds before it counts itself among them. */
async function firstNodes(requests: RayRequests): Promise<NodeResources[]> {
  for (let seconds = 0; ; seconds++) {
    const nodes = await rayNodes(requests)
    if (nodes.length > 0 || seconds >= 20) return nodes
    await sleep(1000)
  }
}

/**
 * Processes of a Ray cluster, through the Jobs API of its dashboard. The folders of a job lie on storage that all nodes see under
 * the same paths, Node and this checkout included. Jobs outlive the sweep command. A head that died has forgotten its jobs
 * (`lost`); Ray ends their processes within a minute, and the lock of the run folder keeps a later attempt out until then.
 */
export class RayLauncher implements Launcher {
  readonly name = 'ray'
  readonly slots: number
  private readonly stopSeconds: number
  /** Jobs that were asked to end: by this file, or by Ray (null). */
  private readonly stopping = new Map<string, string | null>()
  private nodes: { at: number; known: NodeResources[] } = { at: 0, known: [] }

  constructor(
    private readonly requests: RayRequests,
    { slots, stopSeconds = 10 }: { slots: number; stopSeconds?: number },
  ) {
    this.slots = slots
    this.stopSeconds = stopSeconds
  }

  /**
   * Doing it again changes nothing while the job waits or runs. A job that has ended keeps its name (Ray goes on watching that name for
   * some seconds, and would take a new job under it for the old one's death): the next one is called `…-again2`.
   */
  async submit(job: LaunchedJob): Promise<string> {
    if (!/^[A-Za-z0-9_-]+$/.test(job.id))
      throw new RayError(`a job is called ${job.id}: expected letters, digits, "_" and "-"`)
    const nonce = randomUUID()
    for (let again = 1; ; again++) {
      const id = `rhythm-${job.id}${again > 1 ? `-again${again}` : ''}`
      const answer = await this.requests.send('POST', JOBS, this.submission(id, job, nonce))
      if (answer.status === 200) return id
      if (!/already exists/.test(answer.text)) throw this.requests.refused('POST', JOBS, answer)
      const known = await this.job(id)
      // The answer to an earlier try of this very submission may have been lost on its way.
      if (known?.metadata?.nonce === nonce) return id
      if (!known || !isActive(known)) continue
      if (known.entrypoint === entrypoint(job)) return id
      throw new RayError(
        `Ray at ${this.requests.address} runs another job called ${id} (${known.entrypoint}): end it first`,
      )
    }
  }

  private submission(id: string, job: LaunchedJob, nonce: string) {
    const { cpus, gpus } = job.resources
    return {
      submission_id: id,
      entrypoint: entrypoint(job),
      entrypoint_num_cpus: cpus,
      entrypoint_num_gpus: gpus,
      // Ray's own process beside the job reads it.
      runtime_env: { env_vars: { RAY_JOB_STOP_WAIT_TIME_S: String(this.stopSeconds) } },
      metadata: { nonce, stop_file: job.stopFile, cpus: String(cpus), gpus: String(gpus) },
    }
  }

  async status(id: string): Promise<JobStatus> {
    const job = await this.job(id)
    if (!job) return { state: 'lost', message: 'Ray does not know the job: its head was started anew' }
    if (job.status === 'PENDING') {
      if (this.stopping.has(id)) return { state: 'stopped', message: 'stopped before it began' }
      return { state: 'waiting', message: whyWaiting(await this.nodesNow(), wantedBy(job)) }
    }
    if (job.status === 'RUNNING') {
      const file = this.stopping.get(id)
      // A run that has just begun clears its stop file away.
      if (file && !existsSync(file)) writeFileSync(file, '')
      return { state: 'running' }
    }
    if (job.status === 'SUCCEEDED') return { state: 'succeeded', exitCode: 0 }
    if (job.status === 'STOPPED') return { state: 'stopped' }
    if (job.error_type === 'JOB_SUPERVISOR_ACTOR_START_TIMEOUT') {
      const nodes = await this.nodesNow()
      const never = nodes.length > 0 && slotsOn(nodes, wantedBy(job)) === 0
      return {
        state: never ? 'failed' : 'lost',
        message: `Ray gave up starting it: ${whyWaiting(nodes, wantedBy(job))}`,
      }
    }
    return failure(job)
  }

  async logs(id: string): Promise<string> {
    const answer = await this.requests.send('GET', `${JOBS}${id}/logs`)
    if (answer.status === 404) return ''
    const { logs = '' } = this.requests.parse<{ logs?: string }>(answer)
    return logs.trimEnd().split('\n').slice(-LOG_LINES).join('\n')
  }

  /**
   * The first time by the stop file, so that a step may take as long as it takes; Ray's SIGTERM, which a SIGKILL follows after
   * `stopSeconds`, is for the second time and for jobs that still wait.
   */
  async stop(id: string): Promise<void> {
    const job = await this.job(id)
    if (!job || !isActive(job)) return
    const file = job.metadata?.stop_file
    if (job.status === 'RUNNING' && file && !this.stopping.has(id)) {
      writeFileSync(file, '')
      this.stopping.set(id, file)
      return
    }
    const answer = await this.requests.send('POST', `${JOBS}${id}/stop`)
    if (answer.status !== 200 && answer.status !== 404) throw this.requests.refused('POST', `${JOBS}${id}/stop`, answer)
    this.stopping.set(id, null)
  }

  async close(): Promise<void> {
    this.stopping.clear()
  }

  private async job(id: string): Promise<RayJob | null> {
    const answer = await this.requests.send('GET', JOBS + id)
    // A proxy that misses its head says 404 too, in other words.
    if (answer.status === 404 && /does not exist/.test(answer.text)) return null
    return this.requests.parse<RayJob>(answer)
  }

  /** Asked for once in half a minute: every waiting job is explained by them. */
  private async nodesNow(): Promise<NodeResources[]> {
    if (Date.now() - this.nodes.at > 30_000) this.nodes = { at: Date.now(), known: await rayNodes(this.requests) }
    return this.nodes.known
  }
}
