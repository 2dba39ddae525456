#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { type RhythmOptionsInput, rhythmOptions } from './credit/rhythmOptions'
import { Interrupted, interrupt } from './engine/cooperate'
import { deviceReport, memory } from './engine/tensorflow'
import { loadModel, saveModel } from './model/loadModel'
import { progress } from './notebook/progress'
import type { Horizon } from './rhythm/headSeries'
import { analysisPrompt } from './tasks/analysisPrompt'
import { type Problem, readProblems } from './tasks/problems'
import { generateResponses } from './traces/generateResponses'
import { ABLATION_HORIZONS, ABLATION_WINDOWS, traceAll } from './traces/traceAll'
import { readTraceInput } from './traces/traceInput'

const MODEL_HELP = 'a Hugging Face folder, a .gguf file, smollm2-135m-instruct, or owner/name on the hub'

const wholeNumber = (least: number) => (text: string) => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < least)
    throw new InvalidArgumentError(`expected a whole number of at least ${least}.`)
  return value
}
const realNumber = (text: string) => {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number.')
  return value
}
const wholeNumbers = (text: string) => text.split(',').map(wholeNumber(1))
const horizons = (text: string): Horizon[] =>
  text.split(',').map((part) => {
    const match = /^(\d+)-(\d+|end)$/.exec(part.trim())
    if (!match) throw new InvalidArgumentError('expected a list such as 10-100,0-end.')
    return [Number(match[1]), match[2] === 'end' ? null : Number(match[2])]
  })

const program = new Command('rhythm')
  .description('The preplan-and-anchor rhythm of a language model: write responses, trace their attention.')
  .showHelpAfterError('(add --help for what the command takes)')

program
  .command('generate')
  .description('Write responses to problems: JSONL that `trace` reads. A stopped run is continued by the same command.')
  .option('--model <model>', MODEL_HELP, 'smollm2-135m-instruct')
  .option(
    '--problems <source>',
    "JSONL of our form or GSM8K's, or openai/gsm8k on the hub; our own problems by default",
  )
  .requiredOption('--output <file>', 'JSONL file to write or continue')
  .option('--limit <n>', 'only so many problems', wholeNumber(1))
  .option('--samples <n>', 'responses for each problem', wholeNumber(1), 1)
  .option('--plain', 'plain text prompts, for models without a chat template', false)
  .option('--max-new-tokens <n>', 'most tokens of a response', wholeNumber(1), 512)
  .option('--temperature <t>', '0 is greedy', realNumber, 0.7)
  .option('--top-k <k>', 'sample among the k likeliest tokens', wholeNumber(1))
  .option('--top-p <p>', 'sample among the likeliest tokens that reach this probability', realNumber, 1)
  .option('--seed <n>', 'same seed, same responses', wholeNumber(0), 0)
  .option('--batch <n>', 'responses written together', wholeNumber(1), 8)
  .action(async (options) => {
    const problems = await readProblems(options.problems, { limit: options.limit })
    const model = await load(options.model)
    const requests = problems.flatMap((problem: Problem) =>
      Array.from({ length: options.samples }, (_, sample) => ({
        id: options.samples === 1 ? problem.id : `${problem.id}-s${sample}`,
        prompt: analysisPrompt(model, problem, options.plain ? { plain: true } : {}),
        extra: { problem: problem.id, answer: problem.answer },
      })),
    )
    const bar = progress('responses', requests.length)
    const { made, alreadyThere } = await during(bar, () =>
      generateResponses(model, requests, options.output, { ...options, onProgress: bar.callback }),
    )
    print(
      `${options.output}: ${made} responses written${alreadyThere > 0 ? `, ${alreadyThere} were already there` : ''}`,
    )
  })

program
  .command('trace')
  .description(
    'Trace the attention of responses: FOLDER/<id>.json and FOLDER/<id>.series.safetensors for each. A stopped run is continued.',
  )
  .option('--model <model>', MODEL_HELP, 'smollm2-135m-instruct')
  .requiredOption(
    '--input <file>',
    'JSONL; lines {"id", "ids", "promptLength"}, {"id", "prompt", "response"} or {"id", "messages", "response"}',
  )
  .requiredOption('--output <folder>', 'where the trace files go')
  .option('--preset <name>', "the paper's version: v2 or v1", 'v2')
  .option(
    '--options <file>',
    "JSON of parameters of the method, as `rhythm options` prints them; what it leaves out is the preset's",
  )
  .option('--set <key=value...>', 'single parameters, e.g. rl.window=8 credit.topShare=0.2 analysis.layers=middle')
  .option('--windows <list>', 'WAAD windows to keep series for', wholeNumbers, [...ABLATION_WINDOWS])
  .option('--horizons <list>', 'FAI horizons to keep series for, e.g. 10-100,0-end', horizons, [...ABLATION_HORIZONS])
  .option('--map-cells <n>', 'side of the attention maps of local and global heads; 0: none', wholeNumber(0), 256)
  .action(async (options) => {
    const rhythm = methodOptions(options)
    rhythmOptions(rhythm, options.preset)
    const inputs = await readTraceInput(options.input)
    const model = await load(options.model)
    const bar = progress('traces', inputs.length)
    const result = await during(bar, () =>
      traceAll(model, inputs, options.output, {
        rhythm,
        preset: options.preset,
        windows: options.windows,
        horizons: options.horizons,
        mapCells: options.mapCells,
        onProgress: bar.callback,
      }),
    )
    for (const { id, error } of result.failed) process.stderr.write(`trace '${id}' failed: ${error.message}\n`)
    const there = result.alreadyThere.length > 0 ? `, ${result.alreadyThere.length} were already there` : ''
    print(
      `${options.output}: ${result.made.length} traces made${there}${result.failed.length > 0 ? `, ${result.failed.length} failed` : ''}`,
    )
    if (result.failed.length > 0) process.exitCode = 1
  })

program
  .command('options')
  .description('Print every parameter of the method as JSON: the preset, with changes.')
  .option('--preset <name>', 'v2 or v1', 'v2')
  .option('--options <file>', 'JSON of parameters')
  .option('--set <key=value...>', 'single parameters')
  .action((options) => print(JSON.stringify(rhythmOptions(methodOptions(options), options.preset), null, 2)))

program
  .command('export')
  .description('Save a model as a folder in the Hugging Face layout, which transformers opens.')
  .option('--model <model>', MODEL_HELP, 'smollm2-135m-instruct')
  .requiredOption('--output <folder>', 'where to save it')
  .addOption(
    new Option('--dtype <type>', 'number type of the weights')
      .choices(['float32', 'float16', 'bfloat16'])
      .default('float32'),
  )
  .option('--replace', 'replace a model folder that is there already', false)
  .action(async ({ model, output, dtype, replace }) => {
    await saveModel(await load(model), output, { dtype, replace })
    print(`${output}: ${model} as ${dtype}`)
  })

program
  .command('device')
  .description('Print which device and TensorFlow this machine uses, and the memory held.')
  .action(() => print(JSON.stringify({ ...deviceReport(), ...memory() }, null, 2)))

async function load(name: string) {
  const bar = progress(`loading ${name}`, 1)
  return during(bar, () => loadModel(name, { onProgress: bar.callback }))
}

/** Ends the bar whichever way the work ends. */
async function during<T>(bar: ReturnType<typeof progress>, work: () => Promise<T>): Promise<T> {
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
function methodOptions({ options, set }: { options?: string; set?: string[] }): RhythmOptionsInput {
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

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

// The first Ctrl-C stops the work at its next pause, with what is done kept; a second one ends the process.
let interrupted = false
process.on('SIGINT', () => {
  if (interrupted) process.exit(130)
  interrupted = true
  interrupt()
})

program.parseAsync().catch((error: Error) => {
  process.stderr.write(`${error instanceof Interrupted ? error.message : `rhythm: ${error.message}`}\n`)
  process.exitCode = error instanceof Interrupted ? 130 : 1
})
