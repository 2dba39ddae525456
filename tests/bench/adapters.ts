/**
 * Whether peft opens our adapters and we open peft's: `node --import tsx tests/bench/adapters.ts PYTHON`, a Python with torch,
 * transformers and peft. Tiny random models; logits within 1e-4 both ways, or an error.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tf } from '../../lib/engine/tensorflow'
import { saveAdapters } from '../../lib/model/adapterFolder'
import type { ModelConfig } from '../../lib/model/config'
import { forward, logits } from '../../lib/model/decoder'
import type { LanguageModel } from '../../lib/model/languageModel'
import { loadModel, randomModel, saveModel } from '../../lib/model/loadModel'
import { LORA_TARGETS } from '../../lib/model/lora'
import { LoraAdapters } from '../../lib/model/loraAdapters'
import { randomStream } from '../../lib/random/randomStream'

const LLAMA: ModelConfig = {
  modelType: 'llama',
  vocabSize: 50,
  hiddenSize: 48,
  intermediateSize: 80,
  numHiddenLayers: 3,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  headDim: 12,
  maxPositionEmbeddings: 64,
  rmsNormEps: 1e-5,
  ropeTheta: 10000,
  ropeScaling: null,
  qkvBias: false,
  outputBias: false,
  queryKeyNorm: false,
  tieWordEmbeddings: false,
  bosTokenId: 0,
  eosTokenIds: [1],
  padTokenId: 1,
}
const KINDS: Record<string, ModelConfig> = {
  llama: LLAMA,
  qwen2: { ...LLAMA, modelType: 'qwen2', qkvBias: true, tieWordEmbeddings: true },
  qwen3: { ...LLAMA, modelType: 'qwen3', queryKeyNorm: true, headDim: 16, tieWordEmbeddings: true },
}
const IDS = [0, 7, 3, 44, 21, 5, 9, 30, 2, 17]

const folder = mkdtempSync(join(tmpdir(), 'rhythm-peft-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

async function logitsOf(model: LanguageModel): Promise<number[][]> {
  const states = await forward(model, [IDS])
  const values = tf.tidy(() => logits(model, states.reshape([IDS.length, -1]) as tf.Tensor2D).arraySync())
  states.dispose()
  return values
}

const difference = (a: number[][], b: number[][]) =>
  Math.max(...a.flatMap((row, i) => row.map((v, j) => Math.abs(v - b[i]![j]!))))

async function check(kind: string, config: ModelConfig, python: string): Promise<void> {
  const [base, adapters, again] = ['base', 'adapters', 'again'].map((name) => join(folder, `${kind}-${name}`)) as [
    string,
    string,
    string,
  ]
  const model = await randomModel(config, { seed: 1, initializerRange: 0.1 })
  await saveModel(model, base)
  const plain = await logitsOf(model)
  const random = randomStream(2)
  const normal = (count: number) => Float32Array.from({ length: count }, () => 0.1 * random.normal())
  const lora = await LoraAdapters.restore(model, { rank: 4, alpha: 8, targets: LORA_TARGETS }, async (matrix) => ({
    a: normal(4 * matrix.columns),
    b: normal(4 * matrix.rows),
  }))
  await saveAdapters(lora, adapters, base)
  const ours = await logitsOf(model)
  const { stdout, stderr, status } = spawnSync(python, [join(__dirname, 'peft_logits.py'), base, adapters, again], {
    input: JSON.stringify(IDS),
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${python} failed (${status}):\n${stderr.slice(-2000)}`)
  const theirs = JSON.parse(stdout.trim().split('\n').at(-1)!) as { adapted: number[][]; merged: number[][] }
  const back = await logitsOf(await loadModel(again))
  const found = {
    adapted: difference(ours, theirs.adapted),
    merged: difference(ours, theirs.merged),
    'read back from peft': difference(ours, back),
  }
  process.stdout.write(
    `${kind}: adapters move logits by up to ${difference(ours, plain).toFixed(2)}; off from peft by ${Object.entries(
      found,
    )
      .map(([name, value]) => `${value.toExponential(1)} (${name})`)
      .join(', ')}\n`,
  )
  for (const [name, value] of Object.entries(found))
    if (!(value < 1e-4)) throw new Error(`${kind}: logits differ by ${value} from peft's (${name})`)
}

async function main(): Promise<void> {
  const [python] = process.argv.slice(2)
  if (!python) throw new Error('give a Python with torch, transformers and peft')
  for (const [kind, config] of Object.entries(KINDS)) await check(kind, config, python)
}

void main()
