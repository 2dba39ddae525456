import { appendFileSync, closeSync, existsSync, fsyncSync, openSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { writeFileAtomically } from '../model/writeFileAtomically'

/** One line of `metrics.jsonl`. Names are those of TRL and verl; `null` where a number was not finite. */
export interface MetricsLine {
  /** Steps made, warm-up included. 0: before the first. */
  step: number
  phase: 'supervised' | 'grpo'
  /** Steps made in this phase. */
  phaseStep: number
  [name: string]: number | string | null
}

/** How a run stands, in `state.json`. */
export interface RunState {
  state: 'running' | 'finished' | 'stopped' | 'failed'
  step: number
  /** Steps that the run will have made when it is finished. */
  steps: number
  /** CPU or GPU. */
  device: string
  pid: number
  host: string
  startedAt: string
  changedAt: string
  error?: string
}

/** A response as `rollouts/step-N.jsonl` keeps it. Per-token arrays are over the response; `rhythm` is null where there was no pass. */
export interface RolloutRecord {
  step: number
  item: unknown
  group: number
  prompt: string
  response: string
  /** Text of each response token. */
  tokens: string[]
  ids: number[]
  promptLength: number
  stopReason: string
  reward: number
  correct: boolean
  advantage: number
  gamma: number[] | null
  entropy: number[] | null
  logprob: number[] | null
  rhythm: { waad: number[]; fai: number[]; faiValid: boolean[]; delta: (number | null)[] } | null
}

/** Metrics that say how long something took: no part of what a resumed run must equal. */
export const isTiming = (name: string) => /^(timing_s\/|perf\/|memory\/)/.test(name)

/** The files of a run, all written whole or not at all (`metrics.jsonl` line by line). */
export class RunFolder {
  readonly folder: string

  constructor(folder: string) {
    this.folder = path.resolve(folder)
  }

  private at(...names: string[]): string {
    return path.join(this.folder, ...names)
  }

  get metricsFile(): string {
    return this.at('metrics.jsonl')
  }

  get checkpoints(): string {
    return this.at('checkpoints')
  }

  /** A file of this name ends the run after the step in progress. */
  get stopFile(): string {
    return this.at('stop')
  }

  async prepare(): Promise<void> {
    await mkdir(this.checkpoints, { recursive: true })
    await mkdir(this.at('rollouts'), { recursive: true })
    await rm(this.stopFile, { force: true })
  }

  async readJson<T>(name: string): Promise<T | null> {
    try {
      return JSON.parse(await readFile(this.at(name), 'utf8')) as T
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw new Error(`${this.at(name)} is not readable: ${(error as Error).message}`, { cause: error })
    }
  }

  async writeJson(name: string, value: unknown): Promise<void> {
    await this.writeText(name, `${JSON.stringify(value, null, 2)}\n`)
  }

  async writeText(name: string, text: string): Promise<void> {
    await writeFileAtomically(this.at(name), (write) => write(Buffer.from(text)))
  }

  /** Appends a line; it is on the disk when this returns. */
  appendMetrics(line: MetricsLine): void {
    const file = openSync(this.metricsFile, 'a')
    try {
      appendFileSync(file, `${JSON.stringify(line, finiteOrNull)}\n`)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  }

  readMetrics(): MetricsLine[] {
    return readMetrics(this.folder)
  }

  async writeRollouts(step: number, records: readonly RolloutRecord[]): Promise<void> {
    await this.writeText(
      path.join('rollouts', rolloutsName(step)),
      records.map((r) => `${JSON.stringify(r)}\n`).join(''),
    )
  }

  /** Forgets what was recorded after `step`: a resumed run writes it again. A line that a kill cut short goes too. */
  async rewind(step: number): Promise<void> {
    if (existsSync(this.metricsFile)) {
      const kept = this.readMetrics().filter((line) => line.step <= step)
      await this.writeText('metrics.jsonl', kept.map((line) => `${JSON.stringify(line)}\n`).join(''))
    }
    for (const name of await readdir(this.at('rollouts')))
      if (name.startsWith('.') || (rolloutsStep(name) ?? 0) > step) await rm(this.at('rollouts', name))
    for (const name of await readdir(this.folder)) if (/^\..*\.tmp$/.test(name)) await rm(this.at(name))
  }
}

/** The metrics of a run, oldest first; of a run in progress too (a line that is being written is left out). */
export function readMetrics(folder: string): MetricsLine[] {
  const file = path.join(folder, 'metrics.jsonl')
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  lines.pop() // empty, or cut short
  return lines.map((line, i) => {
    try {
      return JSON.parse(line) as MetricsLine
    } catch (error) {
      throw new Error(`${file}, line ${i + 1} is damaged: ${(error as Error).message}`, { cause: error })
    }
  })
}

/** The steps whose rollouts were kept, ascending. */
export async function rolloutSteps(folder: string): Promise<number[]> {
  const names = await readdir(path.join(folder, 'rollouts')).catch(() => [] as string[])
  return names.flatMap((name) => rolloutsStep(name) ?? []).sort((a, b) => a - b)
}

/** The rollouts kept of a step. */
export async function readRollouts(folder: string, step: number): Promise<RolloutRecord[]> {
  const text = await readFile(path.join(folder, 'rollouts', rolloutsName(step)), 'utf8')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as RolloutRecord)
}

const rolloutsName = (step: number) => `step-${String(step).padStart(6, '0')}.jsonl`
function rolloutsStep(name: string): number | null {
  const match = /^step-(\d+)\.jsonl$/.exec(name)
  return match ? Number(match[1]) : null
}

const finiteOrNull = (_name: string, value: unknown) =>
  typeof value === 'number' && !Number.isFinite(value) ? null : value
