import { createHash } from 'node:crypto'
import path from 'node:path'
import { baselineOf } from '../analysis/sweepTables'
import { InvalidArgument } from '../rhythm/invalidArgument'
import { checkpointFolder } from '../training/checkpoint'
import { ConfigError, parseConfig } from '../training/readConfig'
import type { TrainingConfig } from '../training/trainingConfig'
import { moduleHash } from '../training/userModule'
import { expandGrid, type GridCell } from './expandGrid'
import { runKey } from './runKey'
import { changed, type Sweep } from './sweepFile'

/** A run that the sweep makes: a warm-up or a cell. */
export interface PlannedRun {
  kind: 'warmup' | 'cell'
  /** Readable and unique among its kind; the name of its folder. */
  name: string
  folder: string
  config: TrainingConfig
  steps: number
  /** Tells what is computed, wherever it lies: runs with the same key have the same metrics, bit by bit with one version of this library. */
  key: string
}

export interface PlannedCell extends PlannedRun, Pick<GridCell, 'labels' | 'arm' | 'seed'> {
  kind: 'cell'
  /** The warm-up that it begins at. */
  warmup: { name: string; seed: number } | null
}

export interface PlannedWarmup extends PlannedRun {
  kind: 'warmup'
  seed: number
}

export interface SweepPlan {
  sweep: Sweep
  /** The folder of the sweep. */
  folder: string
  warmupsFolder: string
  warmups: PlannedWarmup[]
  cells: PlannedCell[]
  threads: number
}

export interface PlanOptions {
  /** The sweep's folder. */
  run: string
  /** Where warm-ups lie; sweeps that share them name the same folder. Default: `warmups` in the sweep's folder. */
  warmups?: string
  /** Threads of each run: part of what decides the last bits of its numbers. */
  threads: number
}

/**
 * Every run of a sweep with its complete configuration, checked. Throws ConfigError naming the cell and the key; also where two
 * cells are the same run, and where cells start from a warm-up that the base does not describe.
 */
export function planSweep(sweep: Sweep, options: PlanOptions): SweepPlan {
  const folder = path.resolve(options.run)
  const warmupsFolder = options.warmups ? path.resolve(options.warmups) : path.join(folder, 'warmups')
  const warmups = new Map<string, PlannedWarmup>()
  const cells = expandGrid(sweep).map((cell): PlannedCell => {
    const name = cellName(cell)
    const at = path.join(folder, 'cells', name)
    const own = cellConfig(sweep, cell, name)
    const common = { kind: 'cell' as const, name, folder: at, labels: cell.labels, arm: cell.arm, seed: cell.seed }
    if (cell.warmup === null)
      return { ...common, warmup: null, config: own, steps: stepsOf(own), key: runKey(own, options.threads) }
    const warmup = plannedWarmup(own, cell.warmup, warmupsFolder, options.threads, name)
    warmups.set(warmup.name, warmup)
    const config: TrainingConfig = {
      ...own,
      supervised: null,
      model: { from: checkpointFolder(path.join(warmup.folder, 'checkpoints'), warmup.steps) },
    }
    const key = runKey({ ...config, model: { from: `warm-up ${warmup.key}` } }, options.threads)
    return { ...common, warmup: { name: warmup.name, seed: cell.warmup }, config, steps: stepsOf(config), key }
  })
  checkDifferent(cells)
  checkBaseline(sweep, cells)
  return { sweep, folder, warmupsFolder, warmups: [...warmups.values()], cells, threads: options.threads }
}

/** A baseline that is no arm would be found out when all runs are made. */
function checkBaseline({ name, baseline }: Sweep, rows: readonly PlannedCell[]): void {
  if (baseline === null) return
  try {
    baselineOf({ name, baseline, rows })
  } catch (error) {
    throw error instanceof InvalidArgument ? new ConfigError(`baseline: ${error.message}`) : error
  }
}

function cellConfig(sweep: Sweep, cell: GridCell, name: string): TrainingConfig {
  try {
    const config = parseConfig({ ...(changed(sweep.base, cell.set) as object), seed: cell.seed }, sweep.folder)
    return { ...config, hashes: { ...config.hashes, ...codeHashes(config) } }
  } catch (error) {
    throw new ConfigError(`cell ${name}: ${(error as Error).message}`)
  }
}

/** What tells the user's modules apart: an edited one makes other runs. */
function codeHashes({ task, grpo }: TrainingConfig): Record<string, string> {
  const strategy = grpo?.credit.strategy
  return {
    ...('module' in task ? { task: moduleHash(task.module) } : {}),
    ...(typeof strategy === 'object' ? { credit: moduleHash(strategy.module) } : {}),
  }
}

function plannedWarmup(
  config: TrainingConfig,
  seed: number,
  warmupsFolder: string,
  threads: number,
  cell: string,
): PlannedWarmup {
  const { supervised, grpo } = config
  if (!supervised || !grpo)
    throw new ConfigError(
      `cell ${cell}: the sweep shares a warm-up, so its base needs "supervised", which is the warm-up, and "grpo"`,
    )
  // Each cell's first evaluation measures its checkpoint; and what is evaluated does not change the weights.
  const { credit: _, ...hashes } = config.hashes
  const own: TrainingConfig = { ...config, seed, grpo: null, evaluation: null, hashes }
  const key = runKey(own, threads)
  const name = `seed-${seed}-${key.slice(0, 8)}`
  return {
    kind: 'warmup',
    name,
    folder: path.join(warmupsFolder, name),
    config: own,
    steps: supervised.steps,
    key,
    seed,
  }
}

const stepsOf = ({ supervised, grpo }: TrainingConfig) => (supervised?.steps ?? 0) + (grpo?.steps ?? 0)

/** `strategy=coupled_topShare=0.4_warmup=0_seed=3`. */
function cellName({ labels, warmup, seed }: GridCell): string {
  const parts = [
    ...Object.entries(labels),
    ...(warmup === null ? [] : [['warmup', String(warmup)] as const]),
    ['seed', String(seed)] as const,
  ]
  const name = parts.map(([axis, label]) => `${plain(axis)}=${plain(label)}`).join('_')
  if (name.length <= 150) return name
  return `${name.slice(0, 120)}-${createHash('sha256').update(name).digest('hex').slice(0, 8)}_seed=${seed}`
}

const plain = (text: string) => text.replace(/[^A-Za-z0-9.+-]+/g, '-').replace(/^[.-]+(?=.)|-$/g, '') || '-'

function checkDifferent(cells: readonly PlannedCell[]): void {
  const byKey = new Map<string, string>()
  const names = new Set<string>()
  for (const { key, name } of cells) {
    const same = byKey.get(key)
    if (same) throw new ConfigError(`cells ${same} and ${name} are the same run: leave one out with "exclude"`)
    if (names.has(name)) throw new ConfigError(`two cells are called ${name}: give their values other labels`)
    byKey.set(key, name)
    names.add(name)
  }
}
