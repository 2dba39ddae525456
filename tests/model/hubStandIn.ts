import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface StandInFile {
  content: Buffer
  /** Kept by the large-file storage: listed with its SHA-256 and delivered by a redirect to another address. */
  large?: boolean
}

/** What the stand-in does wrong. Keys are paths in the repository. */
export interface Faults {
  /** Close the connection after this many bytes of a response, as often as the list has entries. */
  breakAfter: Record<string, number[]>
  /** Send this many bytes of a response, then nothing more. */
  stallAfter: Record<string, number>
  /** Deliver these bytes instead. */
  replace: Record<string, Buffer>
  /** Answer a request for a range with the whole file. */
  ignoreRange: boolean
  /** Answer every request for the repository with this status. */
  status: number | null
}

/** A model hub on the loopback interface with one repository, as far as `@huggingface/hub` and plain downloads use one. */
export class HubStandIn {
  readonly requests: { path: string; range?: string; authorization?: string }[] = []
  readonly faults: Faults = { breakAfter: {}, stallAfter: {}, replace: {}, ignoreRange: false, status: null }
  commit = 'c0ffee0000000000000000000000000000000001'
  private readonly server = createServer((request, response) => this.answer(request, response))

  constructor(
    readonly repo: string,
    readonly files: Record<string, StandInFile>,
  ) {}

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }

  /** Requests for the content of a file. */
  downloadsOf(file: string) {
    return this.requests.filter(
      ({ path }) => path === `/storage/${file}` || path.endsWith(`/resolve/${this.commit}/${file}`),
    )
  }

  private answer(request: IncomingMessage, response: ServerResponse): unknown {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://stand-in')
    const { range, authorization } = request.headers
    this.requests.push({ path: pathname, range, authorization })
    const json = (status: number, value: unknown, headers: Record<string, string> = {}) =>
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
    const stored = /^\/storage\/(.+)$/.exec(pathname)
    if (stored) return this.deliver(stored[1], range, response)
    if (this.faults.status !== null) return json(this.faults.status, { error: 'the stand-in refuses' })
    if (!pathname.includes(`/${this.repo}/`)) return json(404, { error: 'Repository not found' })

    const info = new RegExp(`^/api/models/${this.repo}/revision/(.+)$`).exec(pathname)
    if (info) {
      if (!['HEAD', 'main', 'v1', this.commit].includes(info[1])) return json(404, { error: 'Invalid rev id' })
      return json(200, { _id: '1', id: this.repo, sha: this.commit, private: false, lastModified: '2025-01-01' })
    }
    const tree = new RegExp(`^/api/models/${this.repo}/tree/${this.commit}(?:/(.+))?$`).exec(pathname)
    if (tree) return this.list(tree[1] ?? '', Number(searchParams.get('cursor') ?? 0), request, json)
    const resolve = new RegExp(`^/${this.repo}/resolve/${this.commit}/(.+)$`).exec(pathname)
    const file = resolve && this.files[resolve[1]]
    if (!file) return json(404, { error: 'Entry not found' }, { 'x-error-code': 'EntryNotFound' })
    if (file.large) return response.writeHead(302, { location: `/storage/${resolve[1]}` }).end()
    return this.deliver(resolve[1], range, response)
  }

  /** Two entries a page, as a long listing is cut up. */
  private list(
    folder: string,
    cursor: number,
    request: IncomingMessage,
    json: (status: number, value: unknown, headers?: Record<string, string>) => void,
  ): void {
    const prefix = folder === '' ? '' : `${folder}/`
    const inFolder = Object.keys(this.files).filter((file) => file.startsWith(prefix))
    const children = [...new Set(inFolder.map((file) => prefix + file.slice(prefix.length).split('/')[0]))]
    const entries = children.slice(cursor, cursor + 2).map((path) => {
      const file = this.files[path]
      if (!file) return { type: 'directory', oid: '0'.repeat(40), size: 0, path }
      const { content, large } = file
      const pointer = Buffer.from('a pointer to the large file')
      return {
        type: 'file',
        path,
        size: content.length,
        oid: gitSha1(large ? pointer : content),
        ...(large && {
          lfs: {
            oid: createHash('sha256').update(content).digest('hex'),
            size: content.length,
            pointerSize: pointer.length,
          },
        }),
      }
    })
    const next = `<http://${request.headers.host}${request.url?.split('?')[0]}?cursor=${cursor + 2}>; rel="next"`
    json(200, entries, cursor + 2 < children.length ? { link: next } : {})
  }

  private deliver(path: string, range: string | undefined, response: ServerResponse): void {
    const whole = this.faults.replace[path] ?? this.files[path].content
    const start = this.faults.ignoreRange ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
    const body = whole.subarray(start)
    const headers = { 'content-length': body.length, etag: '"x"' }
    if (start > 0)
      response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${whole.length - 1}/${whole.length}` })
    else response.writeHead(200, headers)
    const breakAfter = this.faults.breakAfter[path]?.shift()
    const stallAfter = this.faults.stallAfter[path]
    if (breakAfter !== undefined)
      response.write(body.subarray(0, breakAfter), () => setTimeout(() => response.destroy(), 20))
    else if (stallAfter !== undefined) response.write(body.subarray(0, stallAfter))
    else response.end(body)
  }
}

/** The name that git gives a file's content. */
function gitSha1(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
}
