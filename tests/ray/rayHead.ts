import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { RayRequests } from '../../lib/sweeps/rayRequests'

const RAY = join(__dirname, '..', '..', '.cache', 'ray', 'bin', 'ray')

/** A cluster of one machine that only this machine can reach, with a token, without telemetry. Its ports stay when it is started again. */
export class RayHead {
  readonly token = 'a-token-of-a-test-0123456789abcdef'
  private readonly folder = mkdtempSync(join(tmpdir(), 'ray-'))
  private ports: number[] = []
  private head: ChildProcess | null = null

  constructor(private readonly cpus: number) {}

  get address(): string {
    return `http://127.0.0.1:${this.ports[0]}`
  }

  /** Starts the head; resolves when its dashboard answers. */
  async start(): Promise<void> {
    if (this.ports.length === 0) this.ports = await freePorts(4)
    const [dashboard, store, client, agent] = this.ports
    const log = openSync(this.log, 'a')
    this.head = spawn(
      RAY,
      [
        ...['start', '--head', '--block', '--disable-usage-stats', '--node-ip-address', '127.0.0.1'],
        ...['--port', `${store}`, '--dashboard-host', '127.0.0.1', '--dashboard-port', `${dashboard}`],
        ...['--ray-client-server-port', `${client}`, '--dashboard-agent-listen-port', `${agent}`],
        ...['--min-worker-port', '0', '--max-worker-port', '0', '--object-store-memory', '80000000'],
        ...['--num-cpus', `${this.cpus}`, '--num-gpus', '0', '--temp-dir', this.folder],
      ],
      {
        detached: true, // a process group of its own, which ends as a whole
        stdio: ['ignore', log, log],
        env: {
          ...process.env,
          RAY_USAGE_STATS_ENABLED: '0',
          RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER: '0',
          RAY_AUTH_MODE: 'token',
          RAY_AUTH_TOKEN: this.token,
        },
      },
    )
    closeSync(log)
    const requests = new RayRequests({ address: this.address, token: this.token, tries: 1, pauseSeconds: 0.01 })
    for (let i = 0; i < 300; i++) {
      if (this.head.exitCode !== null) break
      const answer = await requests.send('GET', '/api/version').catch(() => null)
      if (answer?.status === 200) return
      await sleep(200)
    }
    throw new Error(`Ray did not start:\n${readFileSync(this.log, 'utf8').slice(-3000)}`)
  }

  /**
   * As a power cut of its machine would: nothing gets to tidy up, and the jobs end too. (Where only the head dies, Ray ends its jobs
   * after some seconds, unless nobody reaps the process that it watches for that.)
   */
  async kill(): Promise<void> {
    if (!this.head?.pid) return
    signal(-this.head.pid)
    for (let i = 0; i < 100 && this.processes().length > 0; i++) {
      for (const { pid } of this.processes()) signal(pid)
      await sleep(100)
    }
    this.head = null
  }

  /** Kills it, and leaves nothing behind. */
  async remove(): Promise<void> {
    await this.kill()
    const left = this.processes()
    rmSync(this.folder, { recursive: true, force: true })
    if (left.length > 0) throw new Error(`did not end: ${left.map(({ pid, line }) => `${pid} ${line}`).join('; ')}`)
  }

  private get log(): string {
    return join(this.folder, 'ray-start.log')
  }

  /** What runs with this cluster's folder or address in its command line or environment: Ray's processes, and the jobs. */
  private processes(): { pid: number; line: string }[] {
    const signs = [this.folder, `RAY_ADDRESS=127.0.0.1:${this.ports[1]} `]
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    return pids.flatMap((pid) => {
      const of = (file: string) => {
        try {
          return readFileSync(join('/proc', pid, file), 'utf8').replaceAll('\0', ' ')
        } catch {
          return '' // it has ended, or belongs to somebody else
        }
      }
      const line = of('cmdline')
      const text = `${line} ${of('environ')}`
      return signs.some((sign) => text.includes(sign)) ? [{ pid: Number(pid), line: line.slice(0, 100) }] : []
    })
  }
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer()
      return new Promise<typeof server>((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
