import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { before } from 'node:test'
import { analyzeTraces } from '../../lib/analysis/analyzeTraces'
import { writeTables } from '../../lib/analysis/tableFiles'
import { loadChatTemplate } from '../../lib/model/chatTemplate'
import { resolveModel } from '../../lib/model/hub'
import { LanguageModel } from '../../lib/model/languageModel'
import { randomModel, saveModel } from '../../lib/model/loadModel'
import { loadTokenizer } from '../../lib/model/loadTokenizer'
import { randomTraces } from '../analysis/syntheticTraces'
import { python, root } from '../kernel/kernelSession'
import { temporaryFolder } from '../support/temporaryFolder'

const folder = temporaryFolder()
const [model, recorded] = [join(folder, 'model'), join(folder, 'tables')]

interface Cell {
  outputs?: { output_type: string; data?: Record<string, unknown>; text?: string | string[] }[]
}

/** Runs a notebook as `npm run reproduce` does; its outputs. */
function run(name: string, parameters: object) {
  const script = join(root, 'kernels', 'execute_notebook.py')
  const { status, stdout } = spawnSync(python, [script, join(root, 'notebooks', name), join(folder, 'out')], {
    encoding: 'utf8',
    env: { ...process.env, RHYTHM_PARAMETERS: JSON.stringify(parameters) },
  })
  assert.equal(status, 0, stdout)
  const { cells } = JSON.parse(readFileSync(join(folder, 'out', name), 'utf8')) as { cells: Cell[] }
  const outputs = cells.flatMap((cell) => cell.outputs ?? [])
  const figures = outputs.filter(({ data }) => data && 'application/vnd.plotly.v1+json' in data).length
  const tables = outputs.filter(({ data }) => String(data?.['text/html'] ?? '').includes('<table')).length
  return { figures, tables, printed: outputs.map(({ text }) => [text ?? ''].flat().join('')).join('\n') }
}

before(async () => {
  const quick = { bootstrap: { replicates: 20 }, shuffles: 5 }
  await writeTables(
    await analyzeTraces(() => randomTraces(1, 4, 0.5), { ...quick, permuted: () => randomTraces(2, 4, 0) }),
    recorded,
    { formats: ['json'] },
  )
  const location = await resolveModel('smollm2-135m-instruct')
  const { config, weights } = await randomModel(
    {
      ...{ modelType: 'llama', vocabSize: 49152, hiddenSize: 16, intermediateSize: 24, numHiddenLayers: 3 },
      ...{ numAttentionHeads: 4, numKeyValueHeads: 2, headDim: 4, maxPositionEmbeddings: 512, rmsNormEps: 1e-5 },
      ...{ ropeTheta: 10000, ropeScaling: null, qkvBias: false, outputBias: false, queryKeyNorm: false },
      ...{ tieWordEmbeddings: true, bosTokenId: 1, eosTokenIds: [2], padTokenId: 2 },
    },
    { initializerRange: 0.3 },
  )
  const tokenizer = await loadTokenizer(location)
  const tiny = new LanguageModel('tiny', config, weights, tokenizer, await loadChatTemplate(location), location)
  await saveModel(tiny, model)
  tiny.dispose()
})

test('notebook 02 from recorded tables: every figure, and the lifts beside the paper', () => {
  const { figures, tables, printed } = run('02-does-planning-precede-anchoring.ipynb', { recorded })
  assert.deepEqual([figures, tables], [6, 4])
  assert.match(printed, /headline: receiver-FAI peaks that are FAI peaks, prominence 0\.25: .* paper \+171\.5 %/)
  assert.match(printed, /no other trace set was compared/)
})

test('notebook 03: one problem live, and what is recorded', () => {
  const small = { model, recorded, maxNewTokens: 24, positions: 2, candidates: 2, tokens: 4 }
  const { figures, tables, printed } = run('03-do-anchors-steer-what-follows.ipynb', small)
  assert.deepEqual([figures, tables], [3, 2])
  assert.match(printed, /holds no Table 1 yet/)
})
