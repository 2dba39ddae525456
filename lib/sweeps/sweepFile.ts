import { readFileSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { PAPER_ABLATIONS } from '../analysis/paperAccuracies'
import { ConfigError, parseConfig, parseJsonWithComments, readConfig, withChanges } from '../training/readConfig'
import type { TrainingConfig, TrainingConfigInput } from '../training/trainingConfig'

/** One value of an axis as it is written: a value of the axis's key, the same with a name, or several keys changed together. */
export type AxisValue = unknown | { label: string; value: unknown } | { label: string; set: Record<string, unknown> }

/** Cells that are left out: all conditions must hold. Keys are axes (or `seed`, `warmup`), values one label or several. */
export type Exclusion = Record<string, unknown>

/** A sweep as it is written (JSON with comments): a grid of runs over axes and seeds. */
export interface SweepInput {
  /** What the sweep is called in tables and figures. */
  name?: string
  /** A configuration: an object, or the path of a file, relative to the sweep file. */
  base: TrainingConfigInput | string
  /** Changes to the base, by key: `"grpo.steps": 60`. */
  set?: Record<string, unknown>
  /** By configuration key (`grpo.credit.strategy`) or, where every value is `{label, set}`, by any name. */
  axes: Record<string, AxisValue[]>
  /** Seeds of the runs, or how many: 5 is 0 to 4. */
  seeds: number | number[]
  /**
   * Shared warm-up: the supervised part of the base is trained once for each seed here, and every cell begins at one of those checkpoints. `cross`: each
   * of a cell's seeds from each checkpoint; `alternate`: seed i from checkpoint i modulo their number.
   */
  warmup?: { seeds: number | number[]; pairing?: 'cross' | 'alternate' } | null
  exclude?: Exclusion[]
  /** Which checkpoints of finished cells stay: the last one, all that the run kept, or none. */
  checkpoints?: 'last' | 'all' | 'none'
  /** The arm that others are compared with, or `axis=label`: each with the arm that differs by this label alone. Default: `uniform` if there is one, otherwise the first. */
  baseline?: string
  /** Which ablation of the paper stands beside the results (`PAPER_ABLATIONS`). */
  paper?: string
}

/** An axis ready to use: `name` is what people see, `key` what the file calls it. */
export interface Axis {
  key: string
  name: string
  values: { label: string; set: Record<string, unknown> }[]
}

/** A sweep as it is used: everything filled in, the base with its changes, paths absolute. */
export interface Sweep {
  name: string
  base: TrainingConfig
  /** What paths among the axes' values are relative to. */
  folder: string
  axes: Axis[]
  seeds: number[]
  warmup: { seeds: number[]; pairing: 'cross' | 'alternate' } | null
  exclude: Exclusion[]
  checkpoints: 'last' | 'all' | 'none'
  baseline: string | null
  paper: string | null
}

const whole = z.int().min(0)
const seeds = z.union([whole.min(1), z.array(whole.max(2 ** 32 - 1)).min(1, 'expected at least one seed')], {
  error: 'expected how many seeds, or a list of them',
})
const schema = z.strictObject({
  name: z.string().min(1).optional(),
  base: z.union([z.string().min(1), z.record(z.string(), z.unknown())], {
    error: 'expected a configuration, or the path of one',
  }),
  set: z.record(z.string(), z.unknown()).default({}),
  axes: z.record(z.string().min(1), z.array(z.unknown()).min(1, 'expected at least one value')),
  seeds: seeds,
  warmup: z
    .strictObject({ seeds, pairing: z.enum(['cross', 'alternate']).default('cross') })
    .nullable()
    .default(null),
  exclude: z.array(z.record(z.string(), z.unknown())).default([]),
  checkpoints: z.enum(['last', 'all', 'none']).default('last'),
  baseline: z.string().optional(),
  paper: z.enum(PAPER_ABLATIONS, { error: `expected one of ${PAPER_ABLATIONS.join(', ')}` }).optional(),
})

/** What the command line may change in a sweep file. */
export interface SweepChanges {
  /** `key=value` changes to the base. */
  set?: readonly string[]
  seeds?: readonly number[]
  /** Seeds of the warm-up, where the file shares one. */
  warmupSeeds?: readonly number[]
}

/** Reads a sweep file: JSON with comments. Throws ConfigError naming the key that is wrong and what it takes. */
export function readSweepFile(file: string, changes: SweepChanges = {}): Sweep {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(`cannot read the sweep file ${file}: ${(error as Error).message}`)
  }
  const name = path.basename(file).replace(/\.jsonc?$/, '')
  return parseSweep(parseJsonWithComments(text, file), { name, folder: path.dirname(path.resolve(file)), changes })
}

export interface ParseSweepOptions {
  /** Where the sweep has no name of its own. Default `sweep`. */
  name?: string
  /** What paths are relative to. Default: the working directory. */
  folder?: string
  changes?: SweepChanges
}

/** A sweep ready to use from what is written. Throws ConfigError. */
export function parseSweep(input: SweepInput | unknown, options: ParseSweepOptions = {}): Sweep {
  const { name = 'sweep', folder = process.cwd(), changes = {} } = options
  const result = schema.safeParse(input)
  if (!result.success) throw new ConfigError(result.error.issues.flatMap((issue) => describe(issue, input)).join('\n'))
  const given = result.data
  const names = axisNames(Object.keys(given.axes))
  const axes = Object.entries(given.axes).map(([key, values]) => axisOf(key, names.get(key)!, values))
  const seedList = listOf(changes.seeds ?? given.seeds, 'seeds')
  if (changes.warmupSeeds && !given.warmup)
    throw new ConfigError('seeds of the warm-up were given, but the sweep shares none: add "warmup" to it')
  return {
    name: given.name ?? name,
    base: baseOf(given.base, given.set, changes.set ?? [], folder),
    folder,
    axes,
    seeds: seedList,
    warmup: given.warmup && {
      seeds: listOf(changes.warmupSeeds ?? given.warmup.seeds, 'warmup.seeds'),
      pairing: given.warmup.pairing,
    },
    exclude: given.exclude,
    checkpoints: given.checkpoints,
    baseline: given.baseline ?? null,
    paper: given.paper ?? null,
  }
}

function baseOf(
  base: string | Record<string, unknown>,
  set: Record<string, unknown>,
  changes: readonly string[],
  folder: string,
): TrainingConfig {
  let complete: TrainingConfig
  try {
    complete = typeof base === 'string' ? readConfig(path.resolve(folder, base)) : parseConfig(base, folder)
  } catch (error) {
    throw error instanceof ConfigError ? new ConfigError(`base: ${error.message}`) : error
  }
  try {
    return parseConfig(withChanges(changed(complete, set), changes), folder)
  } catch (error) {
    throw error instanceof ConfigError ? new ConfigError(`set: ${error.message}`) : error
  }
}

/** A configuration with values at keys (`grpo.credit.strategy`), not yet checked. */
export function changed(config: TrainingConfig, set: Record<string, unknown>): unknown {
  return withChanges(
    config,
    Object.entries(set).map(([key, value]) => `${key}=${JSON.stringify(value)}`),
  )
}

/** The last part of each key where that tells the axes apart, otherwise the whole key. */
function axisNames(keys: readonly string[]): Map<string, string> {
  const short = (key: string) => key.split('.').at(-1)!
  return new Map(
    keys.map((key) => {
      const unique = keys.filter((other) => short(other) === short(key)).length === 1
      return [key, unique && !RESERVED.includes(short(key)) ? short(key) : key]
    }),
  )
}

/** Names that conditions and tables use themselves. */
const RESERVED = ['seed', 'warmup']

function axisOf(key: string, name: string, written: readonly unknown[]): Axis {
  if (RESERVED.includes(key))
    throw new ConfigError(`axes.${key}: seeds are no axis: give them as "${key === 'seed' ? 'seeds' : 'warmup.seeds'}"`)
  const values = written.map((value, i) => axisValue(value, key, `axes.${key}.${i}`))
  const twice = values.find(({ label }, i) => values.findIndex((other) => other.label === label) !== i)
  if (twice) throw new ConfigError(`axes.${key}: two values are called ${JSON.stringify(twice.label)}`)
  return { key, name, values }
}

function axisValue(value: unknown, key: string, at: string): Axis['values'][number] {
  const fields = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : []
  if (!fields.includes('label')) return { label: labelOf(value), set: { [key]: value } }
  const { label, set, value: single } = value as { label: unknown; set?: unknown; value?: unknown }
  const odd = fields.find((field) => !['label', 'set', 'value'].includes(field))
  if (odd) throw new ConfigError(`${at}: unknown key ${odd}; a named value takes label, and set or value`)
  if (typeof label !== 'string' || label === '')
    throw new ConfigError(`${at}.label: expected a text (got ${JSON.stringify(label)})`)
  if (fields.includes('set') === fields.includes('value'))
    throw new ConfigError(`${at}: expected "value" (of ${key}) or "set" (an object of keys), one of the two`)
  if (!fields.includes('set')) return { label, set: { [key]: single } }
  if (typeof set !== 'object' || set === null || Array.isArray(set))
    throw new ConfigError(`${at}.set: expected an object of configuration keys (got ${JSON.stringify(set)})`)
  return { label, set: set as Record<string, unknown> }
}

/** What a plain value is called: texts as they are, all else as JSON. */
export const labelOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

function listOf(given: number | readonly number[], key: string): number[] {
  const list = typeof given === 'number' ? Array.from({ length: given }, (_, i) => i) : [...given]
  const twice = list.find((seed, i) => list.indexOf(seed) !== i)
  if (twice !== undefined) throw new ConfigError(`${key}: ${twice} is there twice`)
  return list
}

function describe(issue: z.core.$ZodIssue, input: unknown): string[] {
  const at = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const takes = at === 'warmup' ? ['seeds', 'pairing'] : Object.keys(schema.shape)
    return issue.keys.map(
      (key) => `unknown key ${[...issue.path, key].join('.')}; ${at || 'a sweep'} takes ${takes.join(', ')}`,
    )
  }
  const value = issue.path.reduce<unknown>((v, key) => (v as Record<PropertyKey, unknown> | undefined)?.[key], input)
  return [
    `${at || 'the sweep'}: ${issue.message} (${value === undefined ? 'missing' : `got ${JSON.stringify(value)}`})`,
  ]
}
