import http from 'node:http'
import https from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { LauncherUnavailable } from './launcher'

export interface RayRequestOptions {
  /** The dashboard of the cluster's head, e.g. `http://127.0.0.1:8265`; a path in front of `/api` is kept. */
  address: string
  /** Sent as `Authorization: Bearer`; null: none. */
  token: string | null
  /** What one request may take until its answer is whole. Default 10. */
  timeoutSeconds?: number
  /** How often a request is made before it is given up. Default 3. */
  tries?: number
  /** The pause after the first try, doubled after each further one. Default 0.5. */
  pauseSeconds?: number
}

export interface RayAnswer {
  status: number
  text: string
}

/** Ray will not do what it was asked, however often. */
export class RayError extends Error {
  override name = 'RayError'
}

/** How to tell people that no answer came, by the code of the error. */
const NETWORK: Record<string, string> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was broken',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host could not be looked up',
  EHOSTUNREACH: 'there is no way to the host',
  ENETUNREACH: 'there is no way to the network',
}

/**
 * Requests to the dashboard of a Ray head. By `node:http`, since Ray takes what comes from `fetch`, with its `Sec-Fetch-Mode`, for a
 * browser and refuses it. What failed in the network, took too long or was answered with a server's error is tried again; so every
 * request has to be such that doing it twice does no harm.
 */
export class RayRequests {
  readonly address: string
  private readonly base: URL
  private readonly timeout: number
  private readonly tries: number
  private readonly pause: number
  private readonly headers: Record<string, string>
  /** After all tries of a request have failed, others are not even made for a moment: many jobs would each wait as long. */
  private failed: { until: number; error: LauncherUnavailable } | null = null

  constructor({ address, token, timeoutSeconds = 10, tries = 3, pauseSeconds = 0.5 }: RayRequestOptions) {
    this.base = dashboardUrl(address)
    this.address = this.base.href.replace(/\/$/, '')
    this.timeout = 1000 * timeoutSeconds
    this.tries = tries
    this.pause = 1000 * pauseSeconds
    this.headers = token === null ? {} : { authorization: `Bearer ${token}` }
  }

  /**
   * The answer, whatever its status below 500. Throws LauncherUnavailable when all tries failed, RayError where Ray asks for another
   * token.
   */
  async send(method: 'GET' | 'POST', path: string, body?: unknown): Promise<RayAnswer> {
    if (this.failed && performance.now() < this.failed.until) throw this.failed.error
    for (let tried = 1; ; tried++) {
      const result = await this.once(method, path, body).catch((error: NodeJS.ErrnoException) => error)
      if (!(result instanceof Error)) {
        if (result.status === 401 || result.status === 403) throw this.notAllowed(result.status)
        if (result.status < 500) return result
        // The head hands requests on to its agent and answers the agent's refusal with 500: the same again would change nothing.
        const nested = /Request failed with status code (4\d\d):/.exec(result.text)
        if (nested) return { status: Number(nested[1]), text: result.text }
      }
      if (tried >= this.tries) {
        const text = result instanceof Error ? this.unreachable(result) : this.answered(method, path, result)
        const error = new LauncherUnavailable(text, result instanceof Error ? { cause: result } : undefined)
        this.failed = { until: performance.now() + 4 * this.pause, error }
        throw error
      }
      await sleep(this.pause * 2 ** (tried - 1))
    }
  }

  /** The answer as a JSON object. Throws as `send` does, RayError if its status is not 200. */
  async json<T extends object>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
    const answer = await this.send(method, path, body)
    if (answer.status !== 200) throw this.refused(method, path, answer)
    return this.parse<T>(answer)
  }

  /** An answer's text as a JSON object. Throws LauncherUnavailable: what answers is not Ray, or not now. */
  parse<T extends object>({ text }: RayAnswer): T {
    try {
      const value: unknown = JSON.parse(text)
      if (typeof value === 'object' && value !== null) return value as T
    } catch {
      // told below, with what came instead
    }
    throw new LauncherUnavailable(
      `${this.address} answers, but not as Ray's dashboard does (${text.slice(0, 80).trim() || 'nothing'}): give its address`,
    )
  }

  refused(method: string, path: string, answer: RayAnswer): RayError {
    return new RayError(this.answered(method, path, answer))
  }

  /** What Ray says is a Python traceback, or a line: its last line with words is the cause. */
  private answered(method: string, path: string, { status, text }: RayAnswer): string {
    const cause =
      text
        .split('\n')
        .filter((line) => /[a-z]{3}/i.test(line))
        .at(-1) ?? 'nothing'
    return `Ray at ${this.address} answered ${status} to ${method} ${path}: ${cause.trim().slice(0, 500)}`
  }

  private once(method: string, path: string, body: unknown): Promise<RayAnswer> {
    const url = new URL(this.base.pathname.replace(/\/$/, '') + path, this.base)
    const payload = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      ...this.headers,
      accept: 'application/json',
      ...(payload && { 'content-type': 'application/json' }),
    }
    const signal = AbortSignal.timeout(this.timeout)
    return new Promise((resolve, reject) => {
      const fail = (error: Error) =>
        reject(signal.aborted ? new Error(`no answer within ${this.timeout / 1000} s`, { cause: error }) : error)
      const request = (url.protocol === 'https:' ? https : http).request(url, { method, headers, agent: false, signal })
      request.on('error', fail)
      request.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', fail)
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
        )
      })
      request.end(payload)
    })
  }

  private notAllowed(status: 401 | 403): RayError {
    const what = status === 401 ? 'asks for a token' : 'refuses the token that it was sent'
    const how = 'set RAY_AUTH_TOKEN to what "ray get-auth-token" prints on its head'
    return new RayError(`Ray at ${this.address} ${what} (${status}): ${how}`)
  }

  private unreachable(error: NodeJS.ErrnoException): string {
    return (
      `Ray's head at ${this.address} is not reachable: ${NETWORK[error.code ?? ''] ?? error.message}, tried ${this.tries} times. Is it ` +
      'running, is this the address of its dashboard (port 8265), and may this machine reach it (else: ssh -L 8265:localhost:8265 HEAD)?'
    )
  }
}

function dashboardUrl(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : null
  const plain = url && !url.search && !url.hash && !url.username
  if (plain && (url.protocol === 'http:' || url.protocol === 'https:')) return url
  throw new RayError(`the Ray address is ${address}: expected the dashboard's, e.g. http://127.0.0.1:8265`)
}
