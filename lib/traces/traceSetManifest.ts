import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import type { RhythmOptions } from '../credit/rhythmOptions'
import type { ModelConfig } from '../model/config'
import { workspaceRoot } from '../model/workspace'
import { writeFileAtomically } from '../model/writeFileAtomically'
import type { Horizon } from '../rhythm/headSeries'
import { type TaskSplit, taskSplits } from '../tasks/task'

export const TRACE_SET_FORMAT = 'reasoning-rhythm/trace-set/1'

/**
 * What counts as a response's answer: what it marks (`\boxed{…}`, else `#### …`), or, where it marks nothing and was not cut off,
 * its last number too. A response without an answer is neither right nor wrong.
 */
export type AnswerRule = 'marked' | 'lenient'
export const ANSWER_RULES: readonly AnswerRule[] = ['marked', 'lenient']

/** How the responses of a set were sampled. */
export interface TraceSetSampling {
  /** Responses for each problem. */
  samples: number
  temperature: number
  topK: number | null
  topP: number
  maxNewTokens: number
  seed: number
  /** Responses written together: rounding depends on it. */
  batch: number
}

/** What was kept of each trace. */
export interface TraceSetMethod {
  options: RhythmOptions
  windows: number[]
  horizons: Horizon[]
  mapCells: number
  withSinkExcluded: boolean
  withSentences: boolean
}

/** For a set that traces the responses of another set with another model: the same one untrained, or any that reads the same tokens. */
export interface TraceSetControl {
  kind: 'permuted' | 'model'
  /** Of the permutation; 0 for another model. */
  seed: number
  /** The base set's folder, relative to this one, and the hash of its responses. */
  base: { folder: string; responses: string }
}

/** For a set of a task's items, whose verifier judged the responses when they were written. */
export interface TraceSetTask {
  name: string
  /** What made it: a name or a module (its path relative to the run's folder), with options. */
  choice: Record<string, unknown>
  /** Hash of the module; null for a task of this library. */
  hash: string | null
  split: TaskSplit
  /** Of the items. */
  dataSeed: number
}

/** The training run whose checkpoint wrote the responses. */
export interface TraceSetRun {
  /** Its folder, relative to where the command ran. */
  folder: string
  /** Name in its `checkpoints`, e.g. `step-2400`. */
  checkpoint: string
  /** Hash of its `config.json`. */
  config: string
}

/** `manifest.json` of a trace set: everything that is needed to make it again. Hashes are SHA-256 of files, in hexadecimal. */
export interface TraceSetManifest {
  format: string
  package: { name: string; version: string }
  /** The model that was traced; it also wrote the responses, unless the set is a control. */
  model: { name: string; parameters: number; fingerprint: string; config: ModelConfig }
  control: TraceSetControl | null
  problems: { source: string; sha256: string; ids: string[] }
  prompt: 'chat' | 'plain' | 'task'
  /** Absent for problems in the analysis prompt. */
  task?: TraceSetTask
  /** Absent where the model is no run's. */
  run?: TraceSetRun
  sampling: TraceSetSampling
  method: TraceSetMethod
  /** The rule by which the set's responses are judged when it is opened; no file depends on it. */
  answers: AnswerRule
  /** Null until all responses are there. */
  responses: { count: number; sha256: string } | null
  /** The hashes of each trace's two files, in the order of the responses; null until all traces are there. */
  traces: { id: string; record: string; series: string }[] | null
}

const hash = z.string().regex(/^[0-9a-f]{64}$/)
const whole = z.number().int().nonnegative()
const schema = z.object({
  format: z.literal(TRACE_SET_FORMAT),
  package: z.object({ name: z.string(), version: z.string() }),
  model: z.object({ name: z.string(), parameters: whole, fingerprint: hash, config: z.looseObject({}) }),
  control: z
    .object({
      kind: z.enum(['permuted', 'model']),
      seed: whole,
      base: z.object({ folder: z.string(), responses: hash }),
    })
    .nullable(),
  problems: z.object({ source: z.string(), sha256: hash, ids: z.array(z.string()).min(1) }),
  prompt: z.enum(['chat', 'plain', 'task']),
  task: z
    .object({
      name: z.string(),
      choice: z.looseObject({}),
      hash: hash.nullable(),
      split: z.enum(taskSplits),
      dataSeed: whole,
    })
    .optional(),
  run: z.object({ folder: z.string(), checkpoint: z.string(), config: hash }).optional(),
  sampling: z.object({
    samples: z.number().int().positive(),
    temperature: z.number().nonnegative(),
    topK: whole.nullable(),
    topP: z.number(),
    maxNewTokens: z.number().int().positive(),
    seed: whole,
    batch: z.number().int().positive(),
  }),
  method: z.object({
    options: z.looseObject({}),
    windows: z.array(whole),
    horizons: z.array(z.tuple([whole, whole.nullable()])),
    mapCells: whole,
    withSinkExcluded: z.boolean(),
    withSentences: z.boolean(),
  }),
  // Sets made before there was a choice had this one.
  answers: z.enum(ANSWER_RULES).default('marked'),
  responses: z.object({ count: whole, sha256: hash }).nullable(),
  traces: z.array(z.object({ id: z.string(), record: hash, series: hash })).nullable(),
})

/** Where the parts of a set lie. */
export const traceSetFiles = (folder: string) => ({
  manifest: path.join(folder, 'manifest.json'),
  problems: path.join(folder, 'problems.jsonl'),
  responses: path.join(folder, 'responses.jsonl'),
  traces: path.join(folder, 'traces'),
  /** There while a process makes the set. */
  lock: path.join(folder, 'set.lock'),
})

/** The manifest of a set, finished or not; null if there is none. Throws, naming file and key, if it is damaged. */
export async function readManifest(folder: string): Promise<TraceSetManifest | null> {
  const file = traceSetFiles(folder).manifest
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new Error(`${file} is not JSON (${(error as Error).message}); make the set again in another folder`, {
      cause: error,
    })
  }
  const result = schema.safeParse(value)
  if (!result.success) {
    const issue = result.error.issues[0]!
    throw new Error(`${file} is no manifest of a trace set: ${issue.path.join('.')}: ${issue.message}`)
  }
  return { ...(value as TraceSetManifest), answers: result.data.answers }
}

export async function writeManifest(folder: string, manifest: TraceSetManifest): Promise<void> {
  await writeText(traceSetFiles(folder).manifest, `${JSON.stringify(manifest, null, 2)}\n`)
}

/** Writes a text file whole or not at all. */
export async function writeText(file: string, text: string): Promise<void> {
  await writeFileAtomically(file, (write) => write(new TextEncoder().encode(text)))
}

export const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex')

export async function sha256OfFile(file: string): Promise<string> {
  return sha256(await readFile(file))
}

/** This library's name and version. */
export function ownPackage(): { name: string; version: string } {
  const { name, version } = JSON.parse(readFileSync(path.join(workspaceRoot(), 'lib', 'package.json'), 'utf8'))
  return { name, version }
}

/** The first place where two plain values differ, `sampling.seed is 0 here, 1 was asked for`; null if they are equal. */
export function firstDifference(here: unknown, asked: unknown, at = ''): string | null {
  if (typeof here === 'object' && here !== null && typeof asked === 'object' && asked !== null) {
    for (const key of new Set([...Object.keys(here), ...Object.keys(asked)])) {
      const inner = firstDifference(
        (here as Record<string, unknown>)[key],
        (asked as Record<string, unknown>)[key],
        at ? `${at}.${key}` : key,
      )
      if (inner) return inner
    }
    return null
  }
  if (Object.is(here, asked)) return null
  return `${at} is ${JSON.stringify(here)} here, ${JSON.stringify(asked)} was asked for`
}
