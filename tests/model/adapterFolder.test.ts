import assert from 'node:assert/strict'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { isAdapterFolder, openAdapterFolder, saveAdapters } from '../../lib/model/adapterFolder'
import type { ModelConfig } from '../../lib/model/config'
import { loadModel, randomModel, saveModel } from '../../lib/model/loadModel'
import type { LoraOptions } from '../../lib/model/lora'
import { LoraAdapters } from '../../lib/model/loraAdapters'
import { readSafetensors, writeSafetensors } from '../../lib/model/safetensors'
import { storedWeights } from '../../lib/model/weights'
import { randomStream } from '../../lib/random/randomStream'
import { readTinyModel } from '../oracle/tinyDecoder'
import { temporaryFolder } from '../support/temporaryFolder'

const CONFIG: ModelConfig = {
  modelType: 'qwen3',
  vocabSize: 20,
  hiddenSize: 12,
  intermediateSize: 10,
  numHiddenLayers: 2,
  numAttentionHeads: 2,
  numKeyValueHeads: 1,
  headDim: 8,
  maxPositionEmbeddings: 32,
  rmsNormEps: 1e-5,
  ropeTheta: 10000,
  ropeScaling: null,
  qkvBias: false,
  outputBias: false,
  queryKeyNorm: true,
  tieWordEmbeddings: true,
  bosTokenId: 0,
  eosTokenIds: [1],
  padTokenId: 1,
}
const OPTIONS: LoraOptions = { rank: 2, alpha: 3, targets: ['down_proj', 'v_proj', 'q_proj'] }
const at = (...names: string[]) => join(folder, ...names)
const folder = temporaryFolder()

/** A model in `base`, and its adapters in `adapters`, none of them zero. */
async function saved() {
  const model = await randomModel(CONFIG, { seed: 2, initializerRange: 0.3 })
  await saveModel(model, at('base'), { replace: true })
  const random = randomStream(3)
  const normal = (count: number) => Float32Array.from({ length: count }, () => random.normal())
  const adapters = await LoraAdapters.restore(model, OPTIONS, async ({ rows, columns }) => ({
    a: normal(2 * columns),
    b: normal(2 * rows),
  }))
  await saveAdapters(adapters, at('adapters'), at('base'))
  return { model, adapters }
}

test('peft’s layout: names, shapes and the keys that peft needs; the base is named, not copied', async () => {
  const { model, adapters } = await saved()
  const { tensors, metadata } = await readSafetensors(at('adapters', 'adapter_model.safetensors'))
  const layer = (i: number) => ({
    [`base_model.model.model.layers.${i}.self_attn.q_proj.lora_A.weight`]: [2, 12],
    [`base_model.model.model.layers.${i}.self_attn.q_proj.lora_B.weight`]: [16, 2],
    [`base_model.model.model.layers.${i}.self_attn.v_proj.lora_A.weight`]: [2, 12],
    [`base_model.model.model.layers.${i}.self_attn.v_proj.lora_B.weight`]: [8, 2],
    [`base_model.model.model.layers.${i}.mlp.down_proj.lora_A.weight`]: [2, 10],
    [`base_model.model.model.layers.${i}.mlp.down_proj.lora_B.weight`]: [12, 2],
  })
  const shapes = Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape]))
  assert.deepEqual(shapes, { ...layer(0), ...layer(1) })
  assert.deepEqual(metadata, { format: 'pt' })
  const config = JSON.parse(readFileSync(at('adapters', 'adapter_config.json'), 'utf8'))
  const { peft_type, task_type, r, lora_alpha, lora_dropout, target_modules, bias, use_rslora, use_dora } = config
  assert.deepEqual([peft_type, task_type, r, lora_alpha, lora_dropout], ['LORA', 'CAUSAL_LM', 2, 3, 0])
  assert.deepEqual(target_modules, ['q_proj', 'v_proj', 'down_proj'])
  assert.deepEqual([bias, use_rslora, use_dora], ['none', false, false])
  assert.equal(config.base_model_name_or_path, at('base'))
  adapters.dispose()
  model.dispose()
})

test('a folder of adapters loads as its base with W + scale · B A merged, the bits that training computes with', async () => {
  const { model, adapters } = await saved()
  assert.ok(isAdapterFolder(at('adapters')) && !isAdapterFolder(at('base')))
  const merged = await loadModel(at('adapters'))
  const live = storedWeights(model.config, model.weights)
  const { tensors: base } = readTinyModel(at('base'))
  for (const [i, { name, load }] of storedWeights(merged.config, merged.weights).entries()) {
    const values = load().slice()
    assert.deepEqual(values, live[i]!.load(), name)
    const own = adapters.adapters.find((adapter) => name === `${adapter.name}.weight`)
    const frozen = base.get(name)!.values
    if (!own) assert.deepEqual(values, frozen, name)
    else {
      const [a, b] = [own.a.dataSync(), own.b.dataSync()]
      for (let row = 0; row < own.rows; row++)
        for (let column = 0; column < own.columns; column++) {
          const product = [0, 1].reduce((sum, k) => sum + b[row * 2 + k]! * a[k * own.columns + column]!, 0)
          const expected = frozen[row * own.columns + column]! + 1.5 * product
          assert.ok(Math.abs(values[row * own.columns + column]! - expected) < 2e-6, `${name} ${row} ${column}`)
        }
    }
  }
  // Exported, the merged model is a whole one.
  await saveModel(merged, at('merged'))
  rmSync(at('base'), { recursive: true })
  const exported = await loadModel(at('merged'))
  for (const [i, { name, load }] of storedWeights(exported.config, exported.weights).entries())
    assert.deepEqual(load(), live[i]!.load(), name)
  for (const held of [adapters, model, merged, exported]) held.dispose()
})

test('a base that moved with its adapters is found by a relative path; rank-stabilized scaling is read', async () => {
  const { model, adapters } = await saved()
  change({ base_model_name_or_path: '../base', use_rslora: true })
  const opened = await openAdapterFolder(at('adapters'))
  assert.equal(opened.base, at('base'))
  assert.equal(opened.scale, 3 / Math.SQRT2)
  await opened.close()
  adapters.dispose()
  model.dispose()
})

test('what is not supported, damaged or of another model is refused by name', async () => {
  const { model, adapters } = await saved()
  adapters.dispose()
  model.dispose()
  const refused = (message: RegExp) => assert.rejects(loadModel(at('adapters')), message)
  const original = readFileSync(at('adapters', 'adapter_config.json'), 'utf8')
  for (const [wrong, message] of [
    [{ peft_type: 'LOHA' }, /adapter_config\.json: peft_type is not supported/],
    [{ use_dora: true }, /use_dora is not supported/],
    [{ bias: 'all' }, /bias is not supported/],
    [{ modules_to_save: ['lm_head'] }, /modules_to_save is not supported/],
    [{ rank_pattern: { q_proj: 4 } }, /rank_pattern.* is not supported/],
    [{ init_lora_weights: 'pissa_niter_16' }, /init_lora_weights is "pissa_niter_16", which changed the base/],
    [{ r: 3 }, /lora_A\.weight" is \[2, 12\]; expected \[3, 12\]/],
    [{ base_model_name_or_path: './nowhere' }, /no model .*nowhere/],
  ] as [object, RegExp][]) {
    change(wrong)
    await refused(message)
    writeFileSync(at('adapters', 'adapter_config.json'), original)
  }
  const file = at('adapters', 'adapter_model.safetensors')
  const { tensors } = await readSafetensors(file)
  const data = new Float32Array(2)
  const name = (module: string) => `base_model.model.${module}.lora_A.weight`
  await writeSafetensors(file, { ...tensors, [name('model.layers.7.mlp.up_proj')]: { shape: [2], data } })
  await refused(/adapts "model\.layers\.7\.mlp\.up_proj", which .*base does not have/)
  await writeSafetensors(file, { ...tensors, 'base_model.model.lm_head.weight': { shape: [2], data } })
  await refused(/holds "base_model\.model\.lm_head\.weight", which is no factor/)
  await writeSafetensors(file, {})
  await refused(/holds no factors/)
})

function change(keys: object): void {
  const file = at('adapters', 'adapter_config.json')
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...keys }))
}
