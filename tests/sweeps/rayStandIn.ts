import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

interface Submission {
  submission_id: string
  entrypoint: string
  entrypoint_num_cpus: number
  entrypoint_num_gpus: number
  runtime_env: { env_vars: Record<string, string> }
  metadata: Record<string, string>
}

/** A job as Ray keeps it. */
export interface StandInJob extends Submission {
  status: string
  error_type?: string
  driver_exit_code?: number
  message?: string
  logs?: string
}

/**
 * What happens to a request instead of its answer: another answer, none ever, a broken connection, or a broken connection after
 * the work was done.
 */
export type Fault = { status: number; text?: string } | 'hang' | 'half' | 'break' | 'break after'

/** Answers on loopback as the dashboard of Ray 2.60 was seen to do. */
export class RayStandIn {
  readonly jobs = new Map<string, StandInJob>()
  readonly requests: string[] = []
  readonly headers: IncomingMessage['headers'][] = []
  /** For the next requests, in their order; null: none. */
  faults: (Fault | null)[] = []
  token: string | null = null
  version: unknown = { version: '4', ray_version: '2.60.0' }
  nodes: { state: string; resources_total: Record<string, number> }[] = [
    { state: 'ALIVE', resources_total: { CPU: 2, memory: 1e9 } },
    { state: 'DEAD', resources_total: { CPU: 64, GPU: 8 } },
  ]
  private readonly server: Server = createServer((request, response) => void this.answer(request, response))

  /** Starts it, again on the port that it had; returns its address. */
  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(port, '127.0.0.1', resolve))
    return this.address
  }

  get address(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    this.requests.push(`${request.method} ${request.url}`)
    this.headers.push(request.headers)
    const fault = this.faults.shift()
    if (fault === 'hang') return
    if (fault === 'half') return void response.writeHead(200, { 'content-length': 100 }).write('{')
    if (fault === 'break') return void request.socket.destroy()
    if (fault && typeof fault === 'object') return void response.writeHead(fault.status).end(fault.text ?? 'refused')
    const [status, body] = this.handle(request, Buffer.concat(chunks).toString())
    if (fault === 'break after') return void request.socket.destroy()
    response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body))
  }

  private handle({ method, url = '', headers }: IncomingMessage, body: string): [number, unknown] {
    if ('sec-fetch-mode' in headers && method !== 'GET') return [405, 'method not allowed for browser traffic.']
    if (this.token !== null && !headers.authorization) return [401, 'Unauthorized: Missing authentication token']
    if (this.token !== null && headers.authorization !== `Bearer ${this.token}`) return [403, 'Forbidden']
    if (url === '/api/version') return [200, this.version]
    if (url.startsWith('/api/v0/nodes')) return [200, { data: { result: { result: this.nodes } } }]
    if (method === 'POST' && url === '/api/jobs/') return this.submit(JSON.parse(body) as Submission)
    const [, id, what] = /^\/api\/jobs\/([\w-]+)(?:\/(logs|stop))?$/.exec(url) ?? []
    const job = this.jobs.get(id ?? '')
    if (!job) return [404, `Job ${id} does not exist`]
    if (method === 'GET' && what === 'logs') return [200, { logs: job.logs ?? '' }]
    if (method === 'GET' && !what) return [200, { error_type: null, driver_exit_code: null, message: null, ...job }]
    if (method === 'POST' && what === 'stop') return [200, { stopped: true }]
    return [500, 'Traceback\nRuntimeError: not possible']
  }

  private submit(job: Submission): [number, unknown] {
    if (this.jobs.has(job.submission_id)) {
      const cause = `ValueError: Job with submission_id ${job.submission_id} already exists.`
      return [500, `Traceback\nRuntimeError: Request failed with status code 400: Traceback\n${cause}\n.\n`]
    }
    this.jobs.set(job.submission_id, { ...job, status: 'PENDING' })
    return [200, { job_id: job.submission_id, submission_id: job.submission_id }]
  }
}
