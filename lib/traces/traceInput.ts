import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { LanguageModel } from '../model/languageModel'
import type { TokenSequence } from './traceResponse'

/** One line of a trace input file, whichever of its three forms. More keys may be there. */
export interface TraceInput {
  id: string
  ids?: number[]
  promptLength?: number
  prompt?: string
  messages?: { role: string; content: string }[]
  response?: string
}

const FORMS = 'one of {"id", "ids", "promptLength"}, {"id", "prompt", "response"}, {"id", "messages", "response"}'

const line = z
  .looseObject({
    // It becomes a file's name.
    id: z
      .string()
      .regex(
        /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/,
        'may have letters, digits, ".", "_" and "-" only, not begin with ".", up to 200',
      ),
    ids: z.array(z.number().int().nonnegative()).min(2).optional(),
    promptLength: z.number().int().positive().optional(),
    prompt: z.string().optional(),
    messages: z
      .array(z.looseObject({ role: z.string(), content: z.string() }))
      .min(1)
      .optional(),
    response: z.string().optional(),
  })
  .refine(
    ({ ids, promptLength, prompt, messages, response }) =>
      (ids !== undefined && promptLength !== undefined) ||
      (response !== undefined && (prompt !== undefined || messages !== undefined)),
    `expected ${FORMS}`,
  )
  .refine(({ ids, promptLength }) => ids === undefined || promptLength === undefined || promptLength < ids.length, {
    path: ['promptLength'],
    message: 'must be less than the number of ids: the response needs at least one token',
  })

/**
 * Reads a JSONL file of traces. Blank lines are skipped. Throws, naming file, line and key, on a line that is not JSON or of none
 * of the three forms, and on an id that comes twice.
 */
export async function readTraceInput(path: string): Promise<TraceInput[]> {
  const text = (await readInput(path)).replace(/^\uFEFF/, '')
  const seen = new Map<string, number>()
  return text.split('\n').flatMap((content, index) => {
    if (content.trim() === '') return []
    const input = parseTraceInput(content, `${path}:${index + 1}`)
    const earlier = seen.get(input.id)
    if (earlier !== undefined) {
      throw new Error(
        `${path}:${index + 1}: id '${input.id}' is also that of line ${earlier}; each trace needs its own`,
      )
    }
    seen.set(input.id, index + 1)
    return [input]
  })
}

async function readInput(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new Error(`cannot read ${path} (${(error as NodeJS.ErrnoException).code}); expected a JSONL file of traces`, {
      cause: error,
    })
  }
}

/** Parses one line; `source` is named in errors. */
export function parseTraceInput(content: string, source: string): TraceInput {
  let value: unknown
  try {
    value = JSON.parse(content)
  } catch (error) {
    throw new Error(`${source}: not JSON (${(error as Error).message}); expected ${FORMS}`, { cause: error })
  }
  const result = line.safeParse(value)
  if (!result.success) {
    const issue = result.error.issues[0]!
    const at = issue.path.length > 0 ? `key '${issue.path.join('.')}': ` : ''
    throw new Error(`${source}: ${at}${issue.message}`)
  }
  return result.data as TraceInput
}

/**
 * Ids of one input: as given; or prompt and response tokenised separately, both verbatim; or the messages through the chat template.
 * Throws if a text has no tokens or the model has no tokenizer or template.
 */
export function tokenSequence(model: LanguageModel, input: TraceInput): TokenSequence {
  if (input.ids !== undefined && input.promptLength !== undefined) {
    return { ids: input.ids, promptLength: input.promptLength }
  }
  const prompt = model.encode(input.messages ? model.chat(input.messages) : input.prompt!)
  const response = model.encode(input.response!)
  for (const [what, ids] of Object.entries({ prompt, response })) {
    if (ids.length === 0)
      throw new Error(`trace '${input.id}': its ${what} has no tokens; both prompt and response need at least one`)
  }
  return { ids: [...prompt, ...response], promptLength: prompt.length }
}
