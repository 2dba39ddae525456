import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { type Browser, chromium } from 'playwright-core'

export const root = resolve(__dirname, '../..')

/** A JupyterLab that serves the workspace on loopback. */
export interface JupyterLab {
  url: string
  token: string
  stop(): Promise<void>
}

/** Starts JupyterLab on a free port of 127.0.0.1, with a token; `env` reaches its kernels. Throws if it does not answer in 60 s. */
export async function startJupyterLab(env: Record<string, string>): Promise<JupyterLab> {
  const python = join(root, '.venv', 'bin', 'python')
  if (!existsSync(python)) throw new Error(`${python} is not there; run npm run setup`)
  const port = await freePort()
  const token = randomBytes(16).toString('hex')
  const flags = [
    '--no-browser',
    '--allow-root',
    '--ServerApp.ip=127.0.0.1',
    `--ServerApp.port=${port}`,
    '--ServerApp.port_retries=0',
    `--ServerApp.root_dir=${root}`,
    '--LabApp.news_url=None',
    '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate',
  ]
  const server = spawn(python, ['-m', 'jupyterlab', ...flags], {
    cwd: root,
    env: { ...process.env, ...env, JUPYTER_TOKEN: token },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let log = ''
  for (const stream of [server.stdout, server.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-5000)
    })
  }
  const url = `http://127.0.0.1:${port}`
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${url}/api/status`, { headers: { Authorization: `token ${token}` } }).catch(() => null)
    if (answer?.ok) break
    if (tries === 120 || server.exitCode !== null) {
      await stopGroup(server)
      throw new Error(`JupyterLab did not answer at ${url}. What it wrote:\n${log}`)
    }
    await new Promise((wait) => setTimeout(wait, 500))
  }
  return { url, token, stop: () => stopGroup(server) }
}

/** Chromium, headless. Throws, and says how to get it, where there is none: a browser test that was asked for is never skipped. */
export async function launchChromium(): Promise<Browser> {
  const given = process.env.CHROMIUM_PATH
  const places = given ? [given] : ['chromium', 'chromium-browser', 'google-chrome'].map((name) => `/usr/bin/${name}`)
  const executablePath = places.find((place) => existsSync(place))
  if (!executablePath) {
    throw new Error(
      `no Chromium at ${places.join(', ')}; install it (Debian: apt-get install chromium) or name it in CHROMIUM_PATH`,
    )
  }
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run']
  return chromium.launch({
    executablePath,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', ...quiet],
  })
}

/** The server and its kernels are one process group. */
async function stopGroup(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.pid === undefined) return
  const ended = new Promise((resolve_) => server.once('exit', resolve_))
  process.kill(-server.pid, 'SIGTERM')
  const late = setTimeout(() => process.kill(-server.pid!, 'SIGKILL'), 10_000)
  await ended
  clearTimeout(late)
}

function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const probe = createServer()
    probe.once('error', failed)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => found(port))
    })
  })
}
