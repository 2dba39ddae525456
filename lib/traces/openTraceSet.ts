import { readFile } from 'node:fs/promises'
import type { TraceRhythm } from '../credit/traceRhythm'
import type { HeadSeries } from '../rhythm/headSeries'
import { verifyMath } from '../tasks/math'
import type { Problem } from '../tasks/problems'
import { isTruncated, type ResponseLine } from './generateResponses'
import type { TaskItem } from './taskItems'
import { readTrace, type StoredTrace, traceFiles } from './traceFiles'
import { parseTraceInput } from './traceInput'
import {
  type AnswerRule,
  readManifest,
  sha256,
  sha256OfFile,
  type TraceSetManifest,
  traceSetFiles,
} from './traceSetManifest'

/** Whether a response gives the answer; null where it gives none, which is not the same as a wrong one. */
export type AnswerVerifier = (response: string, answer: string) => boolean | null

export interface OpenTraceSetOptions {
  /** Judges the responses. Default: `verifyMath` by the manifest's rule. Of a task's items none: their verdicts are stored. */
  verify?: AnswerVerifier
}

/** One trace of a set. */
export interface SetTrace {
  id: string
  record: TraceRhythm
  series: HeadSeries
  /** Without the attention sink, if the set keeps these. */
  withoutSink?: HeadSeries
  maps: StoredTrace['maps']
  /** Id of the problem. */
  problem: string
  /** Null where the problem has no known answer or the response gives none; of a task's item what the task's verifier said. */
  correct: boolean | null
  /** Whether the response was cut off at `maxNewTokens` or at the end of the model's context. */
  truncated: boolean
}

/** A response of a set with what is known of it before its trace is read. */
export interface SetResponse extends ResponseLine {
  problem: string
  correct: boolean | null
  truncated: boolean
}

/** A finished trace set. */
export interface TraceSet {
  folder: string
  manifest: TraceSetManifest
  /** Problems of the analysis prompt, or items of the manifest's task. */
  problems: (Problem | TaskItem)[]
  responses: SetResponse[]
  /** What judged the responses. */
  judgedBy: AnswerRule | 'verify' | 'task'
  /** From the beginning each time, one trace in memory at a time. Throws if a file is not the one that the manifest names. */
  traces: () => AsyncIterable<SetTrace>
}

/**
 * Opens a trace set and checks it against its manifest: problems, responses and every record by hash, each record's tokens against
 * its response; each series by hash when it is read. Throws, naming the file, on any difference, and on a set that is not finished.
 */
export async function openTraceSet(folder: string, options: OpenTraceSetOptions = {}): Promise<TraceSet> {
  const manifest = await readManifest(folder)
  if (!manifest) throw new Error(`${folder} is no trace set: it has no manifest.json; make one with \`rhythm traces\``)
  if (!manifest.responses || !manifest.traces)
    throw new Error(
      `${folder}: the trace set is not finished; continue it with the command or the call that started it`,
    )
  const { verify } = options
  if (verify && manifest.task)
    throw new Error(
      `${folder} has items of the task ${manifest.task.name}, which judged the responses: leave verify out`,
    )
  const problems = await readProblemsOfSet(folder, manifest)
  const byId = new Map(problems.map((problem) => [problem.id, problem]))
  const responses = (await readResponsesOfSet(folder, manifest)).map((line): SetResponse => {
    const problem = byId.get((line as unknown as { problem: string }).problem)!
    if ('item' in problem)
      return { ...line, problem: problem.id, correct: line.verdict!.correct, truncated: isTruncated(line) }
    const known = typeof problem.answer === 'string' && problem.answer.trim() !== ''
    const truncated = isTruncated(line)
    // The last number of a response that was cut off is no answer.
    const lenient = manifest.answers === 'lenient' && !truncated
    const judge = verify ?? ((response: string, answer: string) => verifyMath(response, answer, { lenient }))
    return {
      ...line,
      problem: problem.id,
      correct: known ? judge(line.response, problem.answer) : null,
      truncated,
    }
  })
  const { traces } = manifest
  if (traces.map(({ id }) => id).join() !== responses.map(({ id }) => id).join())
    throw new Error(`${traceSetFiles(folder).manifest} does not list the traces of its own responses`)
  for (const { id, record } of traces) await checkHash(traceFiles(traceSetFiles(folder).traces, id).record, record)
  const judgedBy = manifest.task ? 'task' : verify ? 'verify' : manifest.answers
  return { folder, manifest, problems, responses, judgedBy, traces: () => readTraces(folder, manifest, responses) }
}

async function* readTraces(
  folder: string,
  manifest: TraceSetManifest,
  responses: readonly SetResponse[],
): AsyncGenerator<SetTrace> {
  const inFolder = traceSetFiles(folder).traces
  for (const [i, { id, ids, promptLength, problem, correct, truncated }] of responses.entries()) {
    const files = traceFiles(inFolder, id)
    await checkHash(files.record, manifest.traces![i]!.record)
    await checkHash(files.series, manifest.traces![i]!.series)
    const { rhythm, ...stored } = await readTrace(inFolder, id)
    if (rhythm.promptLength !== promptLength || rhythm.ids.join() !== ids.join())
      throw changed(files.record, 'it is of other tokens than the response')
    yield { id, record: rhythm, ...stored, problem, correct, truncated }
  }
}

export async function readProblemsOfSet(folder: string, manifest: TraceSetManifest): Promise<TraceSet['problems']> {
  const file = traceSetFiles(folder).problems
  await checkHash(file, manifest.problems.sha256)
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as Problem | TaskItem)
}

/** The responses, checked against the manifest: by hash, and each line's id, problem, model and sampling. */
export async function readResponsesOfSet(folder: string, manifest: TraceSetManifest): Promise<ResponseLine[]> {
  const file = traceSetFiles(folder).responses
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw changed(file, `it cannot be read (${error.code})`)
  })
  if (sha256(bytes) !== manifest.responses!.sha256) throw changed(file, 'its content has another hash')
  const lines = bytes
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line, i) => parseTraceInput(line, `${file}:${i + 1}`) as ResponseLine & { problem?: string })
  const { samples, batch: _, ...sampling } = manifest.sampling
  const expected = requestIds(manifest.problems.ids, samples)
  if (lines.length !== expected.length || lines.length !== manifest.responses!.count)
    throw changed(file, `it has ${lines.length} responses, the manifest ${expected.length}`)
  for (const [i, line] of lines.entries()) {
    const { id, problem } = expected[i]!
    const { stream, ...own } = line.sampling
    if (line.id !== id || line.problem !== problem || stream !== i)
      throw changed(file, `line ${i + 1} is response '${line.id}' to '${line.problem}', not '${id}' to '${problem}'`)
    if (manifest.task && typeof line.verdict?.correct !== 'boolean')
      throw changed(file, `response '${id}' has no verdict of the task ${manifest.task.name}`)
    const differs = Object.entries(sampling).find(([key, value]) => own[key as keyof typeof own] !== value)
    if (differs) throw changed(file, `response '${id}' was sampled with another ${differs[0]}`)
    if (!manifest.control && line.model !== manifest.model.name)
      throw changed(file, `response '${id}' is by ${line.model}, not ${manifest.model.name}`)
  }
  return lines
}

/** Ids of the responses in their order; a problem's own id if it has one response. */
export function requestIds(problems: readonly string[], samples: number): { id: string; problem: string }[] {
  return problems.flatMap((problem) =>
    Array.from({ length: samples }, (_, sample) => ({
      id: samples === 1 ? problem : `${problem}-s${sample}`,
      problem,
    })),
  )
}

async function checkHash(file: string, expected: string): Promise<void> {
  const actual = await sha256OfFile(file).catch((error: NodeJS.ErrnoException) => {
    throw changed(file, `it cannot be read (${error.code})`)
  })
  if (actual !== expected) throw changed(file, 'its content has another hash')
}

function changed(file: string, what: string): Error {
  return new Error(
    `${file} is not what the trace set's manifest says: ${what}. Restore it, or make the set again in another folder`,
  )
}
