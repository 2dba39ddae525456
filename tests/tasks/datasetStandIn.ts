import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the stand-in does wrong. */
export interface Faults {
  /** Answer every request with this status. */
  status?: number
  /** Deliver these bytes instead of the file. */
  replace?: Buffer
  /** Send half of the file and close the connection. */
  breakOff?: boolean
  /** Send the headers and then nothing. */
  stall?: boolean
}

/** Answers on loopback as the hub does for one large file of a dataset: its size and SHA-256 first, then its bytes. */
export class DatasetStandIn {
  readonly requests: string[] = []
  faults: Faults = {}
  private readonly server: Server

  constructor(address: string, content: Buffer) {
    const sha256 = createHash('sha256').update(content).digest('hex')
    this.server = createServer((request, response) => {
      const { status, replace, breakOff, stall } = this.faults
      this.requests.push(request.url ?? '')
      if (status !== undefined) return response.writeHead(status).end('refused')
      if (request.url !== address) return response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end()
      const headers = { etag: `"${sha256}"`, 'x-linked-etag': `"${sha256}"` }
      if (request.headers.range === 'bytes=0-0') {
        response.writeHead(206, { ...headers, 'content-range': `bytes 0-0/${content.length}`, 'content-length': 1 })
        return response.end(content.subarray(0, 1))
      }
      response.writeHead(200, { ...headers, 'content-length': content.length })
      if (stall) return response.flushHeaders()
      if (breakOff) return response.write(content.subarray(0, content.length >> 1), () => response.destroy())
      return response.end(replace ?? content)
    })
  }

  /** Starts it; returns its base URL. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }
}
