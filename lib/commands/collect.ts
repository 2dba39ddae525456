import { mkdirSync } from 'node:fs'
import { cpus, hostname, platform, release } from 'node:os'
import path from 'node:path'
import type { Command } from 'commander'
import { type RecordedRuns, RUNS_FORMAT } from '../analysis/recordedRuns'
import { type RunFiles, recordRun, withoutPlaces } from '../analysis/recordRun'
import { samplesOf } from '../analysis/runMetrics'
import { deviceReport } from '../engine/tensorflow'
import { writeFileAtomically } from '../model/writeFileAtomically'
import { RunFolder, type RunState } from '../training/runFolder'
import { print, wholeNumber } from './shared'

export function register(program: Command): void {
  program
    .command('collect')
    .description('Keep what matters of finished runs in one small file: evaluations with intervals, thinned metrics.')
    .argument(
      '<runs...>',
      "run folders, each with a label if the configuration's own does not say enough: 'twice the rate=data/runs/a'",
    )
    .requiredOption('--output <file>', 'the file, e.g. data/results/countdown-laptop/runs.json')
    .option('--points <n>', "most points of a phase's metrics", wholeNumber(2), 100)
    .action(async (given: string[], { output, points }) => {
      const runs = await Promise.all(given.map(readRun))
      const recorded = recordRuns(runs, points)
      mkdirSync(path.dirname(path.resolve(output)), { recursive: true })
      await writeFileAtomically(output, (write) => write(Buffer.from(`${textOf(recorded)}\n`)))
      for (const run of recorded.runs) {
        const last = run.evaluations.at(-1)!
        print(
          `${run.label}, seed ${run.seed}: ${run.state} at step ${run.steps}, ${run.evaluations.length} evaluations, ` +
            `last greedy ${percent(last.greedy)}, avg@${recorded.samples} ${percent(last.sampled)}`,
        )
      }
      print(`${output}: ${recorded.runs.length} runs`)
    })
}

interface NamedRun {
  folder: string
  label?: string
  files: RunFiles
  host: string
}

async function readRun(given: string): Promise<NamedRun> {
  const [, label, where] = /^(?:([^=]+)=)?(.+)$/.exec(given)!
  const folder = new RunFolder(where!)
  // As it is written there, paths relative: what is collected must not name this machine's folders.
  const config = await folder.readJson<Record<string, unknown>>('config.json')
  const state = await folder.readJson<RunState>('state.json')
  if (!config || !state) throw new Error(`${folder.folder} holds no run: give the folder of a run, or LABEL=FOLDER`)
  const files = { name: path.basename(folder.folder), config, state, metrics: folder.readMetrics() }
  return { folder: where!, label, files, host: state.host }
}

function recordRuns(runs: readonly NamedRun[], points: number): RecordedRuns {
  const base = runs[0]!.files.config
  const recorded = runs.map(({ folder, label, files }) => {
    try {
      return recordRun(files, base, { label, points })
    } catch (error) {
      throw new Error(`${folder}: ${(error as Error).message}`, { cause: error })
    }
  })
  const samples = runs.map(({ files }) => samplesOf(files.metrics)!)
  const items = runs.map(({ files }) => (files.config.evaluation as { items: number }).items)
  for (const [i, { folder }] of runs.entries())
    if (samples[i] !== samples[0] || items[i] !== items[0])
      throw new Error(
        `${folder} was evaluated on ${items[i]} items × ${samples[i]}, ${runs[0]!.folder} on ${items[0]} × ${samples[0]}: ` +
          'expected the same, or they cannot be compared',
      )
  for (const [i, { name, from, label }] of recorded.entries()) {
    if (recorded.findIndex((run) => run.name === name) < i)
      throw new Error(`two runs are named ${name}: each needs a folder name of its own`)
    const twin = recorded.findIndex((run) => run.label === label && from !== null && run.from === from)
    if (twin >= 0 && twin < i)
      throw new Error(
        `${runs[i]!.folder} and ${runs[twin]!.folder} are both '${label}' from ${from}: give one a label of its own, LABEL=FOLDER`,
      )
  }
  return {
    format: RUNS_FORMAT,
    written: new Date().toISOString(),
    machine: runs.every(({ host }) => host === hostname()) ? thisMachine() : 'several machines, or another one',
    samples: samples[0]!,
    items: items[0]!,
    base: withoutPlaces(base),
    runs: recorded,
  }
}

export function thisMachine(): string {
  const { tensorflow } = deviceReport()
  const cores = cpus()
  return `${cores.length} cores of ${cores[0]?.model.trim()}, ${platform()} ${release()}, Node ${process.versions.node}, TensorFlow ${tensorflow}`
}

/** JSON in which a list of numbers, and an object of plain values, is one line. */
function textOf(value: unknown, indent = ''): string {
  const isPlain = (v: unknown) => typeof v !== 'object' || v === null
  if (isPlain(value) || Object.values(value as object).every(isPlain)) return JSON.stringify(value)
  const inner = `${indent} `
  const parts = Array.isArray(value)
    ? value.map((item) => textOf(item, inner))
    : Object.entries(value as object).map(([key, item]) => `${JSON.stringify(key)}: ${textOf(item, inner)}`)
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  return `${open}\n${parts.map((part) => `${inner}${part}`).join(',\n')}\n${indent}${close}`
}

const percent = ({ value, low, high }: { value: number; low: number; high: number }) =>
  `${(100 * value).toFixed(1)} % [${(100 * low).toFixed(1)}, ${(100 * high).toFixed(1)}]`
