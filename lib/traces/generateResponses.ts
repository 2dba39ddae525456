import { open, readFile } from 'node:fs/promises'
import { type GenerateOptions, generate } from '../model/generate'
import type { LanguageModel } from '../model/languageModel'
import { lockForProcess } from '../model/processLock'
import type { Verdict } from '../tasks/task'
import { parseTraceInput, type TraceInput } from './traceInput'
import { WritingEstimate } from './writingEstimate'

/** A prompt that wants a response. */
export interface ResponseRequest {
  id: string
  /** Taken verbatim. */
  prompt: string
  /** Kept in the output line beside the response, e.g. the problem and its answer. */
  extra?: Record<string, unknown>
  /** Its verdict is kept in the output line. */
  judge?: (response: string) => Verdict
}

export interface ResponseOptions
  extends Pick<GenerateOptions, 'maxNewTokens' | 'temperature' | 'topK' | 'topP' | 'seed' | 'signal'> {
  /** Prompts that are written together. Default 8. */
  batch?: number
  /** `done` is in responses' worth of work, as the lengths so far let it be foreseen. */
  onProgress?: (done: number, total: number, note?: string) => void
  /** Called for each response as it is stored. */
  onResponse?: (line: ResponseLine) => void
}

/** A line of the output: trace input with all that is needed to make it again. */
export interface ResponseLine extends TraceInput {
  ids: number[]
  promptLength: number
  prompt: string
  response: string
  stopReason: string
  /** The task's, where the request is an item of one. */
  verdict?: Verdict
  model: string
  sampling: {
    temperature: number
    topK: number | null
    topP: number
    maxNewTokens: number
    seed: number
    stream: number
  }
}

/**
 * Writes a response to each request and appends them to a JSONL file, batch by batch, each line as soon as its batch is done. A file
 * from a stopped run is continued: complete lines are kept, a broken last line is dropped. Request i has random stream i, so a
 * continued run gives what an uninterrupted one does.
 * Throws if the file holds responses of another model, other settings or other prompts, if another process writes it, and
 * `Interrupted`.
 */
export async function generateResponses(
  model: LanguageModel,
  requests: readonly ResponseRequest[],
  path: string,
  options: ResponseOptions = {},
): Promise<{ made: number; alreadyThere: number }> {
  const { batch = 8, maxNewTokens = 512, temperature = 0.7, topK, topP = 1, seed = 0, onProgress } = options
  if (!(Number.isInteger(batch) && batch > 0)) throw new RangeError(`batch ${batch}; expected a whole number above 0`)
  const settings = (stream: number) => ({ temperature, topK: topK ?? null, topP, maxNewTokens, seed, stream })
  const order = new Map(requests.map(({ id }, i) => [id, i]))
  if (order.size < requests.length) throw new Error('two requests have the same id; each needs its own')

  const done = new Set<string>()
  const file = await open(path, 'a+')
  let release = async () => {}
  try {
    release = await lockForProcess(path, {
      purpose: 'responses',
      holderFile: `${path}.lock`,
      advice: 'wait for it, or write to another file',
    })
    const { lines, wholeBytes } = await completeLines(path)
    for (const line of lines) {
      const i = order.get(line.id)
      if (i === undefined) throw mismatch(path, line.id, 'is not among the requested problems')
      if (line.prompt !== requests[i]!.prompt) throw mismatch(path, line.id, 'has another prompt')
      if (line.model !== model.name) throw mismatch(path, line.id, `was written by ${line.model}, not ${model.name}`)
      if (JSON.stringify(line.sampling) !== JSON.stringify(settings(i))) {
        throw mismatch(
          path,
          line.id,
          `was sampled with ${JSON.stringify(line.sampling)}, not ${JSON.stringify(settings(i))}`,
        )
      }
      done.add(line.id)
    }
    await file.truncate(wholeBytes)
    const alreadyThere = done.size
    const estimate = new WritingEstimate(requests.length, batch, maxNewTokens)
    const known = new Map(lines.map((line) => [line.id, lengthOf(line)]))
    for (let start = 0; start < requests.length; start += batch) {
      const part = requests.slice(start, start + batch)
      if (part.every(({ id }) => done.has(id))) {
        estimate.addBatch(part.map(({ id }) => known.get(id)!))
        continue
      }
      const streams = part.map((_, i) => start + i)
      const lengths = part.map(() => 0)
      // All of a batch is written again even if a part of it is there: rounding depends on a batch's composition.
      const generations = await generate(
        model,
        part.map(({ prompt }) => prompt),
        {
          maxNewTokens,
          temperature,
          topK,
          topP,
          seed,
          streams,
          signal: options.signal,
          onToken: ({ sequence }) => {
            lengths[sequence]!++
          },
          onProgress: (step, _, note) =>
            onProgress?.(requests.length * estimate.share(step, lengths), requests.length, note),
        },
      )
      estimate.addBatch(generations.map((one) => ({ tokens: one.ids.length, ended: !isTruncated(one) })))
      const written = part.flatMap(({ id, prompt, extra, judge }, i): ResponseLine[] => {
        if (done.has(id)) return []
        const { promptIds, ids, text, stopReason } = generations[i]!
        const response = {
          ids: [...promptIds, ...ids],
          promptLength: promptIds.length,
          prompt,
          response: text,
          stopReason,
          ...(judge && { verdict: judge(text) }),
        }
        return [{ id, ...response, model: model.name, sampling: settings(streams[i]!), ...extra }]
      })
      await file.appendFile(written.map((line) => `${JSON.stringify(line)}\n`).join(''))
      await file.sync()
      for (const line of written) {
        done.add(line.id)
        options.onResponse?.(line)
      }
    }
    onProgress?.(requests.length, requests.length, 'written')
    return { made: done.size - alreadyThere, alreadyThere }
  } finally {
    await file.close()
    await release()
  }
}

/** Whether a response was cut off at `maxNewTokens` or at the end of the model's context instead of ended. */
export const isTruncated = ({ stopReason }: Pick<ResponseLine, 'stopReason'>): boolean =>
  stopReason === 'length' || stopReason === 'context'

const lengthOf = (line: ResponseLine) => ({ tokens: line.ids.length - line.promptLength, ended: !isTruncated(line) })

async function completeLines(path: string): Promise<{ lines: ResponseLine[]; wholeBytes: number }> {
  const bytes = await readFile(path)
  const wholeBytes = bytes.lastIndexOf(0x0a) + 1
  const content = bytes.subarray(0, wholeBytes).toString('utf8')
  const lines = content
    .split('\n')
    .filter((line) => line !== '')
    .map((line, i) => parseTraceInput(line, `${path}:${i + 1}`) as ResponseLine)
  return { lines, wholeBytes }
}

function mismatch(path: string, id: string, what: string): Error {
  return new Error(
    `${path} cannot be continued: response '${id}' ${what}. Ask for the same again, or write to another file`,
  )
}
