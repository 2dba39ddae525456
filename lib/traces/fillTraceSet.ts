import { existsSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import type { LanguageModel } from '../model/languageModel'
import { lockForProcess } from '../model/processLock'
import type { TraceSetOptions } from './makeTraceSet'
import { openTraceSet, readResponsesOfSet, type TraceSet } from './openTraceSet'
import { traceAll } from './traceAll'
import { traceFiles } from './traceFiles'
import {
  firstDifference,
  readManifest,
  sha256OfFile,
  type TraceSetManifest,
  traceSetFiles,
  writeManifest,
  writeText,
} from './traceSetManifest'

interface Filling extends Pick<TraceSetOptions, 'answers' | 'verify' | 'signal' | 'onProgress' | 'onTrace'> {
  problemLines: string
  /** Share of the work that `respond` is. */
  writing: number
  /** Writes responses.jsonl, or continues it. */
  respond: (file: string, onProgress: TraceSetOptions['onProgress']) => Promise<void>
}

/** Brings a set to its end from wherever it stands, and opens it. */
export async function fillTraceSet(
  model: LanguageModel,
  folder: string,
  plan: TraceSetManifest,
  filling: Filling,
): Promise<TraceSet> {
  const files = traceSetFiles(folder)
  let manifest = await manifestOf(folder, plan)
  if (!manifest?.traces) {
    await mkdir(files.traces, { recursive: true })
    const advice = 'wait for it, or name another folder'
    const release = await lockForProcess(folder, { purpose: 'traces', holderFile: files.lock, advice })
    try {
      manifest = await finishSet(model, folder, plan, filling)
    } finally {
      await release()
    }
  } else {
    const total = manifest.traces.length
    filling.onProgress?.(total, total, 'already there')
  }
  const { answers = manifest.answers } = filling
  if (answers !== manifest.answers) await writeManifest(folder, { ...manifest, answers })
  return openTraceSet(folder, { verify: filling.verify })
}

async function finishSet(
  model: LanguageModel,
  folder: string,
  plan: TraceSetManifest,
  { problemLines, writing, respond, signal, onProgress, onTrace }: Filling,
): Promise<TraceSetManifest> {
  const files = traceSetFiles(folder)
  const there = await manifestOf(folder, plan)
  if (there?.traces) return there
  let manifest = there ?? plan
  if (!there) await writeManifest(folder, plan)
  await writeText(files.problems, problemLines)
  const total = plan.problems.ids.length * plan.sampling.samples
  if (!manifest.responses) {
    await respond(files.responses, (done, all, note) => onProgress?.(total * writing * (done / all), total, note))
    manifest = { ...manifest, responses: { count: total, sha256: await sha256OfFile(files.responses) } }
    await writeManifest(folder, manifest)
  }
  const responses = await readResponsesOfSet(folder, manifest)
  const { options: rhythm, ...kept } = manifest.method
  const { failed } = await traceAll(model, responses, files.traces, {
    ...kept,
    ...{ rhythm, signal, onTrace },
    onProgress: (done, all, note) => onProgress?.(total * (writing + (1 - writing) * (done / all)), total, note),
  })
  if (failed.length > 0)
    throw new Error(
      `${folder}: ${failed.length} of ${total} traces failed, the first '${failed[0]!.id}': ${failed[0]!.error.message}`,
      { cause: failed[0]!.error },
    )
  await removeLeftovers(folder)
  await removeLeftovers(files.traces)
  const traces = []
  for (const { id } of responses) {
    const { record, series } = traceFiles(files.traces, id)
    traces.push({ id, record: await sha256OfFile(record), series: await sha256OfFile(series) })
  }
  manifest = { ...manifest, traces }
  await writeManifest(folder, manifest)
  return manifest
}

/**
 * The manifest as far as the set has come; null where a set can begin. Refuses a folder that holds anything but the start of this very
 * set. How answers are judged may differ: no file depends on it.
 */
async function manifestOf(folder: string, plan: TraceSetManifest): Promise<TraceSetManifest | null> {
  const there = await readManifest(folder)
  if (!there) {
    const names = existsSync(folder) ? await readdir(folder, { recursive: true }) : []
    const lock = path.basename(traceSetFiles(folder).lock)
    const other = names.find((name) => name !== 'traces' && name !== lock && !isLeftover(path.basename(name)))
    if (other)
      throw new Error(
        `${folder} has ${other} but no manifest.json: it is no trace set; name a new or empty folder for one`,
      )
    return null
  }
  const { answers, responses, traces } = there
  const asked = { ...plan, answers, responses, traces, ...(traces ? { package: there.package } : {}) }
  const difference = firstDifference(there, JSON.parse(JSON.stringify(asked)))
  if (difference)
    throw new Error(`${folder} holds another trace set: ${difference}. Ask for the same again, or name another folder`)
  return there
}

/** What a kill leaves of a file that was being written; see `temporaryName`. */
const isLeftover = (name: string): boolean => /^\..*\.[0-9a-f]{8}\.tmp$/.test(name)

async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (isLeftover(name)) await rm(path.join(folder, name), { force: true })
}
