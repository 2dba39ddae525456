import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { RhythmOptionsInput } from '../credit/rhythmOptions'
import type { Precision } from '../engine/precision'
import { loadModel } from '../model/loadModel'
import { progress } from '../notebook/progress'
import type { Horizon } from '../rhythm/headSeries'

export const MODEL_HELP = 'a Hugging Face folder, a .gguf file, smollm2-135m-instruct, or owner/name on the hub'

/** Number type of the model's products. */
export const precisionOption = (): Option =>
  new Option(
    '--precision <type>',
    'bf16: output projections and MLPs in bfloat16, faster where the processor or GPU multiplies it; elsewhere float32 is used, and a line says so',
  )
    .choices(['float32', 'bf16'])
    .default('float32')

/** Parsers of option values; commander shows what they throw. */
export const wholeNumber = (least: number) => (text: string) => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < least)
    throw new InvalidArgumentError(`expected a whole number of at least ${least}.`)
  return value
}
export const realNumber = (text: string) => {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number.')
  return value
}
export const wholeNumbers = (text: string) => text.split(',').map(wholeNumber(1))
export const horizons = (text: string): Horizon[] =>
  text.split(',').map((part) => {
    const match = /^(\d+)-(\d+|end)$/.exec(part.trim())
    if (!match) throw new InvalidArgumentError('expected a list such as 10-100,0-end.')
    return [Number(match[1]), match[2] === 'end' ? null : Number(match[2])]
  })

/** The options that choose problems and say how a response is sampled. */
export const problemOptions = (command: Command): Command =>
  command
    .option(
      '--problems <source>',
      "JSONL of our form or GSM8K's, or openai/gsm8k on the hub; our own problems by default",
    )
    .option('--limit <n>', 'only so many problems', wholeNumber(1))
    .option('--samples <n>', 'responses for each problem', wholeNumber(1), 1)
    .option('--max-new-tokens <n>', 'most tokens of a response', wholeNumber(1), 512)
    .option('--temperature <t>', '0 is greedy', realNumber, 0.7)
    .option('--top-k <k>', 'sample among the k likeliest tokens', wholeNumber(1))
    .option('--top-p <p>', 'sample among the likeliest tokens that reach this probability', realNumber, 1)

/** The model of `--model`, with a bar while it is read. */
export async function load(name: string, precision: Precision = 'float32') {
  const bar = progress(`loading ${name}`, 1)
  return during(bar, () => loadModel(name, { precision, onProgress: bar.callback }))
}

/** Ends the bar whichever way the work ends. */
export async function during<T>(bar: ReturnType<typeof progress>, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work()
    bar.finish()
    return result
  } catch (error) {
    bar.finish('stopped')
    throw error
  }
}

/** `--options FILE` and `--set a.b=value` as one nested object, checked when it is used. */
export function methodOptions({ options, set }: { options?: string; set?: string[] }): RhythmOptionsInput {
  const result: Record<string, unknown> = options ? parseFile(options) : {}
  for (const assignment of set ?? []) {
    const [key, ...rest] = assignment.split('=')
    if (!key || rest.length === 0) throw new Error(`--set ${assignment}: expected key=value, e.g. rl.window=8`)
    const text = rest.join('=')
    const path = key.split('.')
    let target = result
    for (const name of path.slice(0, -1)) {
      target[name] = { ...(target[name] as object | undefined) }
      target = target[name] as Record<string, unknown>
    }
    target[path.at(-1)!] = parseValue(text)
  }
  return result as RhythmOptionsInput
}

function parseFile(path: string): Record<string, unknown> {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new Error(`--options ${path}: ${(error as Error).message}`, { cause: error })
  }
}

/** Numbers, true, null and lists as JSON; anything else is text. */
function parseValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** A line on standard output: what a command found. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** A line on standard error, above the bar that may stand there. */
export function notice(text: string): void {
  process.stderr.write(`${process.stderr.isTTY ? '\r\u001b[K' : ''}${text}\n`)
}

/** Says why a trace is made that was there before. */
export function noticeRetrace(id: string, why: string): void {
  if (why !== 'missing') notice(`trace '${id}' is made again: ${why}`)
}
