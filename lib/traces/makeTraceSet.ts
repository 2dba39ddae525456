import { type RhythmOptionsInput, type RhythmPreset, requiredSeries, rhythmOptions } from '../credit/rhythmOptions'
import type { LanguageModel } from '../model/languageModel'
import { loadModel } from '../model/loadModel'
import { modelFingerprint } from '../model/modelFingerprint'
import type { Horizon } from '../rhythm/headSeries'
import { analysisPrompt } from '../tasks/analysisPrompt'
import { type Problem, readProblems } from '../tasks/problems'
import { fillTraceSet } from './fillTraceSet'
import { generateResponses, type ResponseLine, type ResponseRequest } from './generateResponses'
import { type AnswerVerifier, requestIds, type TraceSet } from './openTraceSet'
import { type TaskSource, taskItems, taskRequests } from './taskItems'
import { ABLATION_WINDOWS } from './traceAll'
import {
  type AnswerRule,
  ownPackage,
  sha256,
  TRACE_SET_FORMAT,
  type TraceSetManifest,
  type TraceSetMethod,
} from './traceSetManifest'

/** Horizons kept for each trace of a set: those of the analyses and a few around them. */
export const SET_HORIZONS: readonly Horizon[] = [
  [0, null],
  [10, null],
  [0, 100],
  [10, 50],
  [10, 100],
  [10, 200],
]

/** Share of the work that writing the responses is, of a set with the default batch on a CPU; for the estimate of the time left. */
const WRITING = 0.6

export interface TraceSetOptions {
  /** Problems, or where `readProblems` finds them. Default: the project's own. */
  problems?: readonly Problem[] | string
  /** Items of a task instead, in the task's own prompts; see `tracedRun`. */
  task?: TaskSource
  /** Only so many problems or items. */
  limit?: number
  /** Plain text prompts. Default: for a model without a chat template. */
  plain?: boolean
  /** Responses for each problem. Default 1. */
  samples?: number
  /** Default 0.7, the paper's. */
  temperature?: number
  topK?: number
  topP?: number
  /** Default 512. */
  maxNewTokens?: number
  seed?: number
  /** Responses written together; more is faster and takes more memory. Default 36. */
  batch?: number
  /** Parameters of the method. */
  rhythm?: RhythmOptionsInput
  preset?: RhythmPreset
  /** WAAD windows to keep series for. Default: the paper's ablation. */
  windows?: readonly number[]
  /** FAI horizons to keep series for. Default `SET_HORIZONS`. */
  horizons?: readonly Horizon[]
  /** Side of the attention maps of local and global heads; they cost a second pass. Default 0: none. */
  mapCells?: number
  /** Keep the series without the attention sink too. Default true. */
  withSinkExcluded?: boolean
  /** Keep attention between sentences. Default true. */
  withSentences?: boolean
  /** What counts as a response's answer. Default: as the set says, `marked` in a new one. A finished set can be given another. */
  answers?: AnswerRule
  /** Judges the responses of the opened set instead; see `openTraceSet`. */
  verify?: AnswerVerifier
  signal?: AbortSignal
  onProgress?: (done: number, total: number, note?: string) => void
  /** Called for each response as it is stored. */
  onResponse?: (line: ResponseLine) => void
  /** Called before a response is traced, with the reason: `missing`, or why what is there does not do. */
  onTrace?: (id: string, why: string) => void
}

/**
 * Makes a trace set: responses to problems in the analysis prompt, or to a task's items in its own, and their traces, in a folder with a manifest. Started again after
 * a kill at any moment it continues, and gives the files that an uninterrupted run does; a finished set is opened.
 * Throws if the folder holds another set or anything else, if another process makes it, if a response cannot be traced, and
 * `Interrupted`.
 */
export async function makeTraceSet(
  model: LanguageModel | string,
  folder: string,
  options: TraceSetOptions = {},
): Promise<TraceSet> {
  const method = methodOf(options)
  const { samples = 1, temperature = 0.7, topK, topP = 1, maxNewTokens = 512, seed = 0, batch = 36 } = options
  if (!(Number.isInteger(samples) && samples > 0)) throw new RangeError(`samples ${samples}; expected at least 1`)
  const asked = options.task ? askedItems(options.task, options) : await askedProblems(options)
  const used = typeof model === 'string' ? await loadModel(model, { signal: options.signal }) : model
  const problemLines = asked.lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  const ids = asked.lines.map(({ id }) => id)
  if (new Set(ids).size < ids.length) throw new Error('two problems have the same id; each needs its own')
  const plan: TraceSetManifest = {
    format: TRACE_SET_FORMAT,
    package: ownPackage(),
    model: await describeModel(used, options.signal),
    control: null,
    problems: { source: asked.source, sha256: sha256(problemLines), ids },
    ...asked.named(used),
    sampling: { samples, temperature, topK: topK ?? null, topP, maxNewTokens, seed, batch },
    method,
    answers: options.answers ?? 'marked',
    responses: null,
    traces: null,
  }
  const requests = asked.requests(used, samples)
  return fillTraceSet(used, folder, plan, {
    ...options,
    problemLines,
    writing: WRITING,
    respond: async (file, onProgress) => {
      const { signal, onResponse } = options
      const sampling = { temperature, topK, topP, maxNewTokens, seed, batch }
      await generateResponses(used, requests, file, { ...sampling, signal, onProgress, onResponse })
    },
  })
}

/** What the responses of a set answer. */
interface Asked {
  lines: readonly { id: string }[]
  source: string
  named: (model: LanguageModel) => Pick<TraceSetManifest, 'prompt' | 'task' | 'run'>
  requests: (model: LanguageModel, samples: number) => ResponseRequest[]
}

async function askedProblems(options: TraceSetOptions): Promise<Asked> {
  const { limit, signal } = options
  const source = typeof options.problems === 'string' ? options.problems : undefined
  const problems =
    typeof options.problems === 'object'
      ? options.problems.slice(0, limit)
      : await readProblems(source, { limit, signal })
  if (problems.length === 0) throw new Error('a trace set needs at least one problem')
  const isPlain = (model: LanguageModel) => options.plain ?? model.chatTemplate === null
  return {
    lines: problems,
    source: source ?? (options.problems ? 'given by the caller' : "the project's own"),
    named: (model) => ({ prompt: isPlain(model) ? 'plain' : 'chat' }),
    requests: (model, samples) => problemRequests(model, problems, samples, { plain: isPlain(model) }),
  }
}

function askedItems(source: TaskSource, options: TraceSetOptions): Asked {
  const { problems, plain, answers, verify, limit } = options
  for (const [name, value] of Object.entries({ problems, plain, answers, verify }))
    if (value !== undefined)
      throw new Error(
        `a set of the items of ${source.task.name} has the task's own prompts and verdicts: leave ${name} out`,
      )
  const items = taskItems(source, limit)
  const { task, run, choice, hash, split, dataSeed } = source
  return {
    lines: items,
    source: `${task.name}, split ${split}`,
    named: () => ({ prompt: 'task', task: { name: task.name, choice, hash, split, dataSeed }, ...(run && { run }) }),
    requests: (model, samples) => taskRequests(model, source, items, samples),
  }
}

/** Problems in the analysis prompt, `samples` times each. */
export function problemRequests(
  model: LanguageModel,
  problems: readonly Problem[],
  samples: number,
  form: { plain?: boolean } = {},
): ResponseRequest[] {
  const byId = new Map(problems.map((problem) => [problem.id, problem]))
  return requestIds([...byId.keys()], samples).map(({ id, problem }) => ({
    id,
    prompt: analysisPrompt(model, byId.get(problem)!, form),
    extra: { problem },
  }))
}

/** What is kept of each trace, from the options. Throws on parameters out of range. */
export function methodOf(options: TraceSetOptions): TraceSetMethod {
  const { windows = ABLATION_WINDOWS, horizons = SET_HORIZONS, mapCells = 0 } = options
  const { withSinkExcluded = true, withSentences = true } = options
  const chosen = rhythmOptions(options.rhythm, options.preset)
  const needed = requiredSeries(chosen)
  const allHorizons = new Map([...needed.horizons, ...horizons].map((horizon) => [horizon.join(), horizon]))
  return {
    options: chosen,
    windows: [...new Set([...needed.windows, ...windows])].sort((a, b) => a - b),
    horizons: [...allHorizons.values()],
    mapCells,
    withSinkExcluded,
    withSentences,
  }
}

export async function describeModel(model: LanguageModel, signal?: AbortSignal): Promise<TraceSetManifest['model']> {
  const fingerprint = await modelFingerprint(model, signal)
  return { name: model.name, parameters: model.parameterCount, fingerprint, config: model.config }
}
