/**
 * Whether transformers opens our checkpoints and we open its models, logits within 1e-4:
 * `node --import tsx tests/peers/transformers.ts --peer PYTHON` (a Python with torch and transformers). One line each; exit code 1 on disagreement.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { tf } from '../../lib/engine/tensorflow'
import { forward, logits } from '../../lib/model/decoder'
import type { LanguageModel } from '../../lib/model/languageModel'
import { loadModel } from '../../lib/model/loadModel'
import { weightTensors } from '../../lib/model/weights'
import { tinyConfig } from '../training/tinyRun'

/** Largest difference of a logit, where logits are up to 1 in size; in proportion where they are larger. */
const TOLERANCE = 1e-4
const SMOLLM2 = 'smollm2-135m-instruct'
const CLI = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')
const EVEN_LENGTH = join(__dirname, '..', 'fixtures', 'training', 'evenLength.cjs')

const { peer } = new Command('transformers')
  .requiredOption('--peer <python>', 'a Python with torch and transformers')
  .parse()
  .opts<{ peer: string }>()
const folder = mkdtempSync(join(tmpdir(), 'rhythm-transformers-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

function run(command: string, args: string[]): string {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed (${status}):\n${stderr.slice(-3000)}`)
  return stdout
}

/** The last line of what the Python side prints. */
const transformers = <T>(...args: string[]): T =>
  JSON.parse(
    run(peer, [join(__dirname, 'transformers_side.py'), ...args])
      .trim()
      .split('\n')
      .at(-1)!,
  ) as T

async function ownLogits(model: LanguageModel, ids: number[]): Promise<Float32Array> {
  const states = await forward(model, [ids])
  return tf.tidy(() => logits(model, tf.reshape(states, [ids.length, -1])).dataSync() as Float32Array)
}

let disagreements = 0

function compare(what: string, ours: Float32Array, file: string, remarks: string[] = []): void {
  const bytes = readFileSync(file)
  const theirs = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
  let difference = ours.length === theirs.length ? 0 : Number.POSITIVE_INFINITY
  let largest = 0
  for (const [i, value] of theirs.entries()) {
    // Also catches NaN.
    if (!(Math.abs(value - ours[i]!) <= difference)) difference = Math.abs(value - ours[i]!)
    largest = Math.max(largest, Math.abs(value))
  }
  const agrees = difference <= TOLERANCE * Math.max(1, largest) && remarks.length === 0
  if (!agrees) disagreements++
  const numbers = `${ours.length} logits of up to ${largest.toFixed(2)}, largest difference ${difference.toExponential(1)}`
  process.stdout.write(`${agrees ? 'agrees' : 'DISAGREES'}: ${[what, numbers, ...remarks].join('; ')}\n`)
}

/** Trains with the command line tool and opens the last checkpoint on both sides. */
async function ourCheckpoint(
  what: string,
  config: object,
  text: string,
  startedFrom: LanguageModel | null,
): Promise<void> {
  const [file, runFolder] = [join(folder, 'config.json'), join(folder, `run-${what.split(',')[0]}`)]
  writeFileSync(file, JSON.stringify(config))
  const printed = run(process.execPath, [CLI, 'train', file, '--run', runFolder])
  const checkpoint = /^weights: (.*?)(?:; best.*)?$/m.exec(printed)?.[1]
  if (!checkpoint) throw new Error(`rhythm train printed no line 'weights: FOLDER':\n${printed}`)
  const model = await loadModel(checkpoint)
  const ids = model.encode(text)
  writeFileSync(join(checkpoint, 'ids.json'), JSON.stringify(ids))
  writeFileSync(join(checkpoint, 'text.txt'), text)
  const theirs = transformers<{ class: string; ids: number[] }>('logits', checkpoint)
  const remarks = []
  if (String(theirs.ids) !== String(ids)) remarks.push(`its tokenizer gives ids ${theirs.ids}, ours ${ids}`)
  if (startedFrom && !moved(model, startedFrom)) remarks.push('training has not changed a weight')
  compare(
    `${what}, opened by transformers as ${theirs.class}`,
    await ownLogits(model, ids),
    join(checkpoint, 'logits.f32'),
    remarks,
  )
  model.dispose()
}

/** Whether any weight differs. */
function moved(model: LanguageModel, before: LanguageModel): boolean {
  const old = weightTensors(before.weights)
  return weightTensors(model.weights).some((tensor, i) =>
    tf.tidy(() => tf.max(tf.abs(tf.sub(tensor, old[i]!))).dataSync()[0]! > 0),
  )
}

async function main(): Promise<void> {
  const made = transformers<{ names: string[]; transformers: string; torch: string }>('make', folder)
  process.stdout.write(`transformers ${made.transformers}, torch ${made.torch}; tolerance ${TOLERANCE}\n`)
  for (const name of made.names) {
    const model = await loadModel(join(folder, name))
    const ids = JSON.parse(readFileSync(join(folder, name, 'ids.json'), 'utf8')) as number[]
    compare(`${name} made by transformers, opened by us`, await ownLogits(model, ids), join(folder, name, 'logits.f32'))
  }
  await ourCheckpoint('tiny decoder, trained by our command line tool', tinyConfig(), 'abba1001ab10', null)
  const smollm2 = await loadModel(SMOLLM2)
  const grpo = {
    steps: 2,
    prompts: 2,
    responses: 4,
    maxNewTokens: 16,
    optimizer: { learningRate: 1e-5 },
  }
  const config = { model: { from: SMOLLM2 }, task: { module: EVEN_LENGTH }, grpo }
  await ourCheckpoint(
    'SmolLM2-135M after two GRPO steps',
    config,
    'Attention looks back, then anchors: 17 + 25 = 42.',
    smollm2,
  )
  process.exitCode = disagreements > 0 ? 1 : 0
}

void main()
