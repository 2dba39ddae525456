import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'

export const root = path.resolve(__dirname, '../..')
export const python = path.join(root, '.venv', 'bin', 'python')

/** One message that the kernel published for a cell. */
export interface Output {
  type: string
  text?: string
  name?: string
  ename?: string
  evalue?: string
  traceback?: string[]
  data?: Record<string, string>
  transient?: { display_id?: string }
}

export interface Executed {
  seconds: number
  seconds_after_interrupt?: number
  reply: { status: string; evalue?: string }
  outputs: Output[]
  completion?: { matches: string[] }
  completion_seconds?: number
}

/** What a cell printed. */
export const printed = (cell: Executed) => cell.outputs.map((output) => output.text ?? '').join('')

/** A cell's error as the notebook shows it, without colours. */
export function shownError(cell: Executed): string {
  const error = cell.outputs.find((output) => output.type === 'error')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours begin with one
  return (error?.traceback ?? []).join('\n').replace(/\u001b\[\d+m/g, '')
}

/** A notebook's folder inside the workspace, so that packages resolve as they do for the user's notebooks. */
export function notebookFolder(): string {
  const cache = path.join(root, '.cache')
  mkdirSync(cache, { recursive: true })
  return mkdtempSync(path.join(cache, 'kernel-test-'))
}

/** A running kernel, driven by Jupyter's own client (jupyter_session.py). */
export class KernelSession {
  private received = ''
  private ended = false
  private wake = () => {}

  private constructor(
    readonly folder: string,
    private readonly child: ChildProcess,
  ) {
    child.stdout!.setEncoding('utf8').on('data', (data: string) => {
      this.received += data
      this.wake()
    })
    child.on('close', () => {
      this.ended = true
      this.wake()
    })
  }

  static async start(env: Record<string, string> = {}): Promise<KernelSession> {
    const folder = notebookFolder()
    const child = spawn(python, [path.join(__dirname, 'jupyter_session.py')], { stdio: ['pipe', 'pipe', 'inherit'] })
    const session = new KernelSession(folder, child)
    await session.ask('start', { cwd: folder, env })
    return session
  }

  private async ask(op: string, request: object = {}): Promise<unknown> {
    this.child.stdin!.write(`${JSON.stringify({ op, ...request })}\n`)
    while (!this.received.includes('\n')) {
      if (this.ended) throw new Error(`the Jupyter client ended during ${op}`)
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
    const end = this.received.indexOf('\n')
    const line = this.received.slice(0, end)
    this.received = this.received.slice(end + 1)
    const answer = JSON.parse(line)
    if (answer.failed) throw new Error(answer.failed)
    return answer
  }

  /** Runs a cell to its end. `interrupt_on` and `complete_on` act once the cell has printed their text. */
  async execute(
    code: string,
    actions: { interrupt_on?: string; complete_on?: [text: string, code: string, position: number] } = {},
  ): Promise<Executed> {
    return (await this.ask('execute', { code, ...actions })) as Executed
  }

  async complete(code: string): Promise<string[]> {
    return ((await this.ask('complete', { code, position: code.length })) as { matches: string[] }).matches
  }

  /** What hovering over the end of `code` shows. */
  async hover(code: string): Promise<string> {
    const answer = (await this.ask('inspect', { code, position: code.length })) as { data: Record<string, string> }
    return answer.data['text/plain'] ?? ''
  }

  /** Messages that arrive although no cell runs. */
  async listen(seconds: number): Promise<Output[]> {
    return ((await this.ask('listen', { seconds })) as { outputs: Output[] }).outputs
  }

  /** Seconds that the kernel took to end. */
  async stop(): Promise<number> {
    const { seconds } = (await this.ask('stop')) as { seconds: number }
    this.child.stdin!.end()
    rmSync(this.folder, { recursive: true, force: true })
    return seconds
  }
}
