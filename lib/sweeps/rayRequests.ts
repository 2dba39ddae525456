import http from 'node:http'
import https from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'

export interface RayRequestOptions {
  /** The dashboard of the cluster's head, e.g. `http://127.0.0.1:8265`; a path in front of `/api` is kept. */
  address: string
  /** Sent as `Authorization: Bearer`; null: none. */
  token: string | null
  /** What one request may take until its answer is whole. Default 15. */
  timeoutSeconds?: number
  /** How often a request is made before it is given up. Default 4. */
  tries?: number
  /** The pause after the first try, doubled after each further one. Default 0.5. */
  pauseSeconds?: number
}

export interface RayAnswer {
  status: number
  text: string
}

/** Ray did not do what it was asked; `status` is that of its answer, null where there was none. */
export class RayError extends Error {
  constructor(
    message: string,
    readonly status: number | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'RayError'
  }
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

  constructor({ address, token, timeoutSeconds = 15, tries = 4, pauseSeconds = 0.5 }: RayRequestOptions) {
    this.base = dashboardUrl(address)
    this.address = this.base.href.replace(/\/$/, '')
    this.timeout = 1000 * timeoutSeconds
    this.tries = tries
    this.pause = 1000 * pauseSeconds
    this.headers = token === null ? {} : { authorization: `Bearer ${token}` }
  }

  /** The answer, whatever its status below 500, except 401 and 403. Throws RayError for these, and when all tries failed. */
  async send(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<RayAnswer> {
    for (let tried = 1; ; tried++) {
      const result = await this.once(method, path, body).catch((error: NodeJS.ErrnoException) => error)
      if (!(result instanceof Error)) {
        if (result.status === 401 || result.status === 403) throw this.notAllowed(result.status)
        if (result.status < 500) return result
        const nested = /Request failed with status code (4\d\d):/.exec(result.text)
        // The head hands requests on to its agent and answers the agent's refusal with 500: the same again would change nothing.
        if (nested) return { status: Number(nested[1]), text: result.text }
      }
      if (tried >= this.tries)
        throw result instanceof Error ? this.unreachable(result) : this.refused(method, path, result)
      await sleep(this.pause * 2 ** (tried - 1))
    }
  }

  /** The answer as JSON. Throws RayError if its status is not 200 or it is no JSON object. */
  async json<T extends object>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<T> {
    const answer = await this.send(method, path, body)
    if (answer.status !== 200) throw this.refused(method, path, answer)
    return this.parse<T>(answer)
  }

  /** An answer's text as a JSON object. Throws RayError. */
  parse<T extends object>({ text }: RayAnswer): T {
    try {
      const value: unknown = JSON.parse(text)
      if (typeof value === 'object' && value !== null) return value as T
    } catch {
      // told below, with what came instead
    }
    throw new RayError(
      `${this.address} answers, but not as Ray's dashboard does (${text.slice(0, 80).trim() || 'nothing'} …): give its address`,
    )
  }

  /** Ray refused the request: the last line of what it says is the cause. */
  refused(method: string, path: string, { status, text }: RayAnswer): RayError {
    const lines = text.trim().split('\n')
    const cause = lines.filter((line) => /[a-z]{3}/i.test(line)).at(-1) ?? ''
    return new RayError(
      `Ray at ${this.address} answered ${status} to ${method} ${path}: ${cause.slice(0, 500)}`,
      status,
    )
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
    const how = `set RAY_AUTH_TOKEN to what "ray get-auth-token" prints on the cluster's head`
    const what = status === 401 ? 'asks for a token' : 'refuses the token that it was sent'
    return new RayError(`Ray at ${this.address} ${what} (${status}): ${how}`, status)
  }

  private unreachable(error: NodeJS.ErrnoException): RayError {
    const why = NETWORK[error.code ?? ''] ?? error.message
    return new RayError(
      `Ray's head at ${this.address} is not reachable: ${why}, tried ${this.tries} times. Is the head running, is this the address of its ` +
        'dashboard (port 8265), and may this machine reach it (else: ssh -L 8265:localhost:8265 HEAD)?',
      null,
      { cause: error },
    )
  }
}

function dashboardUrl(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : null
  if (url && (url.protocol === 'http:' || url.protocol === 'https:') && !url.search && !url.hash && !url.username)
    return url
  throw new RayError(`the Ray address is ${address}: expected the dashboard's, e.g. http://127.0.0.1:8265`)
}
