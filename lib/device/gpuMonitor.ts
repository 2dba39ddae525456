import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

/** What a GPU was doing over some time. */
export interface GpuUse {
  /** Share of the time in which it computed anything, 0 to 1. */
  utilization: number
  /** The most memory in use, of all processes. */
  peakBytes: number
}

interface Sample {
  utilization: number
  bytes: number
}

export interface GpuMonitorOptions {
  /** The GPU's number, by nvidia-smi. */
  gpu: number
  /** Between two looks. Default 500. */
  milliseconds?: number
  /** A program in the place of nvidia-smi, with its arguments: it prints lines of percent and mebibytes, `37, 10240`. */
  command?: readonly [string, ...string[]]
}

/**
 * Watches a GPU through nvidia-smi, which runs beside this process: what it saw is read whenever the event loop turns. Where the program cannot
 * be run there are no samples, and nothing fails.
 */
export class GpuMonitor {
  private readonly child: ChildProcess
  private samples: Sample[] = []
  private rest = ''

  constructor({ gpu, milliseconds = 500, command }: GpuMonitorOptions) {
    const query = ['--query-gpu=utilization.gpu,memory.used', '--format=csv,noheader,nounits']
    const [program, ...args] = command ?? ['nvidia-smi', '-i', String(gpu), ...query, '-lms', String(milliseconds)]
    this.child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    // A program that is not there is as good as one that sees nothing.
    this.child.on('error', () => {})
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => this.read(text))
    // Neither the program nor its pipe keeps this process alive.
    this.child.unref()
    ;(this.child.stdout as unknown as { unref?: () => void }).unref?.()
  }

  private read(text: string): void {
    const lines = (this.rest + text).split('\n')
    this.rest = lines.pop()!
    for (const line of lines) {
      const [percent, mebibytes] = line.split(',').map((cell) => Number.parseFloat(cell))
      // Some GPUs do not tell their utilisation.
      if (Number.isFinite(mebibytes))
        this.samples.push({ utilization: (Number.isFinite(percent) ? percent! : 0) / 100, bytes: mebibytes! * 2 ** 20 })
    }
  }

  /** What was seen since the last call; null if nothing was. */
  take(): GpuUse | null {
    const { samples } = this
    this.samples = []
    if (samples.length === 0) return null
    return {
      utilization: samples.reduce((sum, s) => sum + s.utilization, 0) / samples.length,
      peakBytes: Math.max(...samples.map(({ bytes }) => bytes)),
    }
  }

  /** As `take`, after waiting for a sample at most so long, where there is none yet. */
  async next(milliseconds = 5000): Promise<GpuUse | null> {
    // What was printed meanwhile is read first.
    await sleep(20)
    for (let waited = 20; waited < milliseconds && this.samples.length === 0; waited += 20) {
      if (this.child.exitCode !== null || this.child.pid === undefined) break
      await sleep(20)
    }
    return this.take()
  }

  /** Ends the program, and forgets what was not taken. */
  stop(): void {
    this.child.kill()
    this.child.stdout!.destroy()
    this.samples = []
  }
}
