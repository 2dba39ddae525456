import { constants } from 'node:os'
import type { JobStatus, LaunchedJob } from './launcher'
import type { NodeResources } from './rayNodes'

/** What the Jobs API tells about a job, as far as it is used here. */
export interface RayJob {
  status: 'PENDING' | 'RUNNING' | 'SUCCEEDED' | 'STOPPED' | 'FAILED'
  entrypoint: string
  message?: string | null
  error_type?: string | null
  driver_exit_code?: number | null
  metadata?: Record<string, string> | null
}

/** Whether its process runs or is still to run. */
export const isActive = ({ status }: RayJob) => status === 'PENDING' || status === 'RUNNING'

/** What it was submitted with. */
export const wantedBy = ({ metadata }: RayJob): NodeResources => ({
  cpus: Number(metadata?.cpus ?? 1),
  gpus: Number(metadata?.gpus ?? 0),
})

/** How a job of status FAILED is told: whether the job failed, or what Ray put around it. */
export function failure({ error_type, driver_exit_code: code, message }: RayJob): JobStatus {
  if (typeof code === 'number' && code >= 0) return { state: 'failed', exitCode: code, message: `exit status ${code}` }
  if (typeof code === 'number') return { state: 'failed', exitCode: null, message: `ended by ${signalName(-code)}` }
  const why = message?.trim().split('\n')[0]?.slice(0, 300) || 'Ray does not say why'
  // Ray's own process beside the job ended (its node did, or memory ran out there): the job did nothing wrong.
  if (error_type?.startsWith('JOB_SUPERVISOR_ACTOR_')) return { state: 'lost', message: why }
  return { state: 'failed', exitCode: null, message: why }
}

const signalName = (number: number) =>
  Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`

/**
 * The job as a line for the shell of the node that runs it. Its environment is in this line, since Ray would expand `$` in
 * `env_vars` and give them to its own process too. The cluster's token stays with Ray. A job that asks for no GPU sees none: Ray,
 * which hands them out, would leave them all in its sight.
 */
export function entrypoint({ command, workingDirectory, environment, resources }: LaunchedJob): string {
  const given = { ...(resources.gpus === 0 && { CUDA_VISIBLE_DEVICES: '' }), ...environment }
  const variables = Object.entries(given).map(([name, value]) => `${name}=${value}`)
  const words = ['env', '-u', 'RAY_AUTH_TOKEN', ...variables, ...command]
  return `cd ${quoted(workingDirectory)} && exec ${words.map(quoted).join(' ')}`
}

const quoted = (word: string) => (/^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)
