import { open, readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { LanguageModel } from '../model/languageModel'
import { lockForProcess } from '../model/processLock'
import { checkModel } from './controlSet'
import type { TraceSet } from './openTraceSet'
import { type PositionOptions, perturbedPositions } from './perturbationPositions'
import { type PerturbedRollouts, perturbationRollouts, type RolloutOptions } from './perturbationRollouts'

export interface PerturbSetOptions extends PositionOptions, Omit<RolloutOptions, 'rowsAtOnce'> {
  /** Only the first so many responses of the set. */
  limit?: number
  /** Roll-outs written together. Default 64. */
  rowsAtOnce?: number
}

/** What a file of roll-outs was made with, in each of its lines. */
export interface PerturbationSettings {
  block: 'analysis' | 'rl'
  positions: number
  following: number
  match: 'entropy' | null
  candidates: number
  tokens: number
  rowsAtOnce: number
  /** Fingerprint of the model that continued. */
  model: string
  /** Hash of the set's responses. */
  responses: string
}

/** The roll-outs of one response: a line of the file. */
export interface PerturbedResponse {
  id: string
  problem: string
  settings: PerturbationSettings
  /** Top positions, then bottom ones; empty where fewer than two are eligible. */
  positions: PerturbedRollouts[]
}

/**
 * Roll-outs for the responses of a trace set (Table 1), appended to a JSONL file, one line per response. A file from a stopped run
 * is continued; a broken last line is dropped. Throws if the file was made with other settings or for another set, if another
 * process writes it, if the model is not the set's, and `Interrupted`.
 */
export async function perturbSet(
  model: LanguageModel,
  set: TraceSet,
  path: string,
  options: PerturbSetOptions = {},
): Promise<{ made: number; alreadyThere: number }> {
  const { block = 'analysis', positions = 5, match = null, candidates = 5, tokens = 48, rowsAtOnce = 64 } = options
  const { following = tokens, limit, signal, onProgress } = options
  for (const [name, value, least] of [
    ['positions', positions, 1],
    ['following', following, 0],
    ['limit', limit ?? 1, 1],
  ] as const) {
    if (!(Number.isInteger(value) && value >= least))
      throw new RangeError(`${name} ${value}; expected a whole number of at least ${least}`)
  }
  await checkModel(set, model, signal)
  const settings: PerturbationSettings = {
    ...{ block, positions, following, match, candidates, tokens, rowsAtOnce },
    model: set.manifest.model.fingerprint,
    responses: set.manifest.responses!.sha256,
  }
  const wanted = set.responses.slice(0, limit).map(({ id }) => id)
  const file = await open(path, 'a+')
  let release = async () => {}
  try {
    release = await lockForProcess(path, {
      purpose: 'rollouts',
      holderFile: `${path}.lock`,
      advice: 'wait for it, or write to another file',
    })
    const { lines, wholeBytes } = await completeLines(path)
    for (const [i, { id, settings: own }] of lines.entries()) {
      if (JSON.stringify(own) !== JSON.stringify(settings))
        throw new Error(
          `${path} cannot be continued: roll-outs of '${id}' were made with ${JSON.stringify(own)}, not ${JSON.stringify(settings)}. ` +
            'Ask for the same again, or write to another file',
        )
      if (id !== set.responses[i]?.id)
        throw new Error(`${path} cannot be continued: line ${i + 1} is of '${id}', not '${set.responses[i]?.id}'`)
    }
    await file.truncate(wholeBytes)
    let done = lines.length
    const alreadyThere = Math.min(done, wanted.length)
    const total = wanted.length
    let at = 0
    for await (const { id, record, problem } of set.traces()) {
      if (at === total) break
      if (at++ < alreadyThere) continue
      const places = perturbedPositions(record, { block, positions, following, match }).filter(
        ({ position }) => record.promptLength + position + 1 + tokens <= model.config.maxPositionEmbeddings,
      )
      const rollouts = await perturbationRollouts(model, record, places, {
        ...{ candidates, tokens, rowsAtOnce, signal },
        onProgress: (part, parts) => onProgress?.(done + part / parts, total, id),
      })
      const line: PerturbedResponse = { id, problem, settings, positions: rollouts }
      await file.appendFile(`${JSON.stringify(line)}\n`)
      await file.sync()
      onProgress?.(++done, total, id)
    }
    return { made: total - alreadyThere, alreadyThere }
  } finally {
    await file.close()
    await release()
  }
}

const continuation = z.looseObject({
  token: z.number().int(),
  tokenText: z.string(),
  ids: z.array(z.number().int()),
  text: z.string(),
})
const line = z.looseObject({
  id: z.string(),
  problem: z.string(),
  settings: z.looseObject({ candidates: z.number(), tokens: z.number(), responses: z.string() }),
  positions: z.array(
    z.looseObject({
      position: z.number().int().nonnegative(),
      kind: z.enum(['top', 'bottom']),
      fai: z.number(),
      entropy: z.number(),
      reference: continuation,
      alternatives: z.array(continuation),
    }),
  ),
})

/** Reads a file of roll-outs. Throws, naming file, line and key, on a line that is none, and on an unfinished last line. */
export async function readRollouts(path: string): Promise<PerturbedResponse[]> {
  const { lines, wholeBytes, bytes } = await completeLines(path)
  if (wholeBytes < bytes)
    throw new Error(`${path} ends in the middle of a line: continue it with the command that made it`)
  return lines
}

async function completeLines(path: string): Promise<{ lines: PerturbedResponse[]; wholeBytes: number; bytes: number }> {
  const bytes = await readFile(path)
  const wholeBytes = bytes.lastIndexOf(0x0a) + 1
  const texts = bytes.subarray(0, wholeBytes).toString('utf8').split('\n').slice(0, -1)
  const lines = texts.map((text, i) => {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (error) {
      throw new Error(`${path}:${i + 1}: not JSON (${(error as Error).message})`, { cause: error })
    }
    const result = line.safeParse(value)
    if (!result.success) {
      const issue = result.error.issues[0]!
      throw new Error(`${path}:${i + 1}: no roll-outs of a response: key '${issue.path.join('.')}': ${issue.message}`)
    }
    return value as PerturbedResponse
  })
  return { lines, wholeBytes, bytes: bytes.length }
}
