import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { unsafeUniformIntDistribution as uniform, xoroshiro128plus } from 'pure-rand'
import { CheckpointError } from '../../lib/model/checkpointError'
import type { ModelConfig } from '../../lib/model/config'
import { expectedTensors } from '../../lib/model/expectedTensors'
import { formatHuggingFaceConfig, parseHuggingFaceConfig } from '../../lib/model/huggingFaceConfig'
import { openHuggingFaceFolder, type SavedTensor, writeHuggingFaceFolder } from '../../lib/model/huggingFaceFolder'
import { openWeights } from '../../lib/model/openWeights'
import { readSafetensors, writeSafetensors } from '../../lib/model/safetensors'
import type { WeightSource } from '../../lib/model/weightSource'
import { temporaryFolder } from '../support/temporaryFolder'

const folder = temporaryFolder()
const fixtures = path.join(__dirname, '..', 'fixtures')
const reference = (name: string) => path.join(fixtures, 'reference', name)

/** A writable copy of a reference model. */
function copied(model: string, name: string): string {
  const copy = path.join(folder, name)
  mkdirSync(copy)
  for (const file of ['config.json', 'model.safetensors'])
    cpSync(path.join(reference(model), file), path.join(copy, file))
  return copy
}

function changeConfig(model: string, changes: Record<string, unknown>): void {
  const file = path.join(model, 'config.json')
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...changes }))
}

async function contents(source: WeightSource): Promise<Map<string, Float32Array>> {
  const tensors = new Map<string, Float32Array>()
  for (const name of source.names()) tensors.set(name, await source.read(name))
  await source.close()
  return tensors
}

const refused = (opening: Promise<unknown>, message: RegExp) =>
  assert.rejects(opening, (error: Error) => {
    assert.ok(error instanceof CheckpointError, String(error.stack))
    assert.match(error.message, message)
    return true
  })

test('the reference models open with their config and every tensor', async () => {
  const llama = await openWeights(reference('tiny-llama'))
  const common = {
    vocabSize: 128,
    hiddenSize: 64,
    intermediateSize: 160,
    numHiddenLayers: 4,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
    maxPositionEmbeddings: 256,
    ropeScaling: null,
    qkvBias: false,
    outputBias: false,
    bosTokenId: 0,
    eosTokenIds: [1],
    padTokenId: 1,
  }
  assert.deepEqual(llama.config, {
    ...common,
    modelType: 'llama',
    headDim: 16,
    rmsNormEps: 1e-5,
    ropeTheta: 10000,
    queryKeyNorm: false,
    tieWordEmbeddings: false,
  })
  const stored = (await readSafetensors(path.join(reference('tiny-llama'), 'model.safetensors'))).tensors
  const tensors = await contents(llama)
  assert.deepEqual([...tensors.keys()].sort(), Object.keys(stored).sort())
  for (const [name, values] of tensors) assert.deepEqual(values, stored[name].data)

  const qwen = await openWeights(reference('tiny-qwen3'))
  assert.deepEqual(qwen.config, {
    ...common,
    modelType: 'qwen3',
    headDim: 32,
    rmsNormEps: 1e-6,
    ropeTheta: 1e6,
    queryKeyNorm: true,
    tieWordEmbeddings: true,
  })
  assert.deepEqual(qwen.shape('model.layers.3.self_attn.k_norm.weight'), [32])
  assert.throws(() => qwen.shape('lm_head.weight'), /has no tensor "lm_head.weight"/)
  await qwen.close()
})

test("defaults are those of transformers 4 and 5, and both versions' files mean the same", () => {
  const cases: Record<string, Record<string, Record<string, unknown>>> = JSON.parse(
    readFileSync(path.join(fixtures, 'huggingface', 'configs.json'), 'utf8'),
  )
  assert.equal(Object.keys(cases).length, 7)
  for (const [name, { given, ...versions }] of Object.entries(cases)) {
    const config = parseHuggingFaceConfig(given, undefined, name)
    assert.equal(Object.keys(versions).length, 2)
    for (const [version, full] of Object.entries(versions))
      assert.deepEqual(parseHuggingFaceConfig(full, undefined, `${name}, ${version}`), config)
    for (const full of Object.values(versions)) {
      assert.equal(config.vocabSize, full.vocab_size)
      assert.equal(config.hiddenSize, full.hidden_size)
      assert.equal(config.intermediateSize, full.intermediate_size)
      assert.equal(config.numHiddenLayers, full.num_hidden_layers)
      assert.equal(config.numAttentionHeads, full.num_attention_heads)
      assert.equal(config.numKeyValueHeads, full.num_key_value_heads)
      if (full.head_dim !== undefined) assert.equal(config.headDim, full.head_dim)
      assert.equal(config.maxPositionEmbeddings, full.max_position_embeddings)
      assert.equal(config.rmsNormEps, full.rms_norm_eps)
      assert.equal(config.tieWordEmbeddings, full.tie_word_embeddings)
    }
  }
  const qwen = parseHuggingFaceConfig(cases['qwen2.5'].given, undefined, 'qwen2.5')
  assert.deepEqual([qwen.qkvBias, qwen.outputBias, qwen.headDim, qwen.ropeTheta], [true, false, 64, 1e6])
  const llama = parseHuggingFaceConfig(cases['llama 3'].given, undefined, 'llama 3')
  assert.deepEqual([llama.qkvBias, llama.outputBias, llama.ropeTheta], [true, true, 500000])
  assert.deepEqual(llama.ropeScaling, {
    ropeType: 'llama3',
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositionEmbeddings: 8192,
  })
  assert.deepEqual(parseHuggingFaceConfig(cases['llama, linear'].given, undefined, '').ropeScaling, {
    ropeType: 'linear',
    factor: 4,
  })
})

test('generation_config.json adds end-of-sequence ids', () => {
  const config = { model_type: 'llama', eos_token_id: 2 }
  const parsed = parseHuggingFaceConfig(config, { eos_token_id: [2, 7], pad_token_id: 4, bos_token_id: 9 }, 'test')
  assert.deepEqual([parsed.eosTokenIds, parsed.padTokenId, parsed.bosTokenId], [[2, 7], 4, 1])
  const none = parseHuggingFaceConfig({ ...config, eos_token_id: null, pad_token_id: -1 }, undefined, 'test')
  assert.deepEqual([none.eosTokenIds, none.padTokenId], [[], null])
})

test('models that cannot be run are refused by name', () => {
  const cases: [unknown, RegExp][] = [
    [{ model_type: 'gemma3' }, /type "gemma3" are not supported; supported are Llama 2 and 3/],
    [{ model_type: 'mistral' }, /type "mistral" are not supported/],
    [{ model_type: 'constructor' }, /type "constructor" are not supported/],
    [{}, /model_type: Invalid input/],
    [[], /config is not valid/],
    [null, /config is not valid/],
    [{ model_type: 'llama', architectures: ['LlamaForSequenceClassification'] }, /needs LlamaForCausalLM/],
    [
      { model_type: 'llama', quantization_config: { quant_method: 'gptq' } },
      /quantised weights are read from GGUF files only/,
    ],
    [{ model_type: 'llama', hidden_act: 'gelu' }, /hidden_act "gelu" is not supported/],
    [{ model_type: 'llama', mlp_bias: true }, /mlp_bias/],
    [{ model_type: 'qwen2', use_sliding_window: true }, /sliding-window attention is switched on/],
    [
      { model_type: 'qwen3', layer_types: ['full_attention', 'sliding_attention'] },
      /sliding-window attention is switched on/,
    ],
    [
      { model_type: 'llama', rope_scaling: { rope_type: 'yarn', factor: 4 } },
      /type "yarn" are not supported; supported are default, linear and llama3/,
    ],
    [{ model_type: 'llama', rope_scaling: { type: 'dynamic', factor: 4 } }, /type "dynamic"/],
    [{ model_type: 'llama', rope_parameters: { rope_type: 'longrope' } }, /type "longrope"/],
    [
      { model_type: 'llama', rope_parameters: { rope_theta: 1e4, partial_rotary_factor: 0.5 } },
      /partial_rotary_factor 0.5/,
    ],
    [{ model_type: 'llama', rope_scaling: { type: 'linear' } }, /type linear is not valid: factor/],
    [{ model_type: 'llama', rope_scaling: { rope_type: 'llama3', factor: 8 } }, /low_freq_factor/],
    [
      { model_type: 'llama', rope_theta: 1e4, rope_parameters: { rope_theta: 1e5 } },
      /different values of rope_theta: 100000, 10000/,
    ],
    [
      { model_type: 'llama', rope_scaling: { type: 'linear', factor: 2 }, rope_parameters: { rope_type: 'default' } },
      /contradict each other/,
    ],
    [{ model_type: 'llama', num_hidden_layers: '12' }, /num_hidden_layers: Invalid input: expected number/],
    [{ model_type: 'llama', num_hidden_layers: 0 }, /num_hidden_layers: Too small/],
    [{ model_type: 'llama', vocab_size: 2 ** 40 }, /vocab_size: Too big/],
    [{ model_type: 'llama', num_attention_heads: 32, num_key_value_heads: 5 }, /32 attention heads cannot share 5/],
    [{ model_type: 'llama', head_dim: 7 }, /heads are 7 wide; rotary embeddings need an even number/],
    [{ model_type: 'llama', pad_token_id: 32000 }, /pad_token_id 32000 lies outside the vocabulary of 32000/],
    [{ model_type: 'llama', eos_token_id: 'x' }, /eos_token_id/],
  ]
  for (const [config, message] of cases)
    assert.throws(
      () => parseHuggingFaceConfig(config, undefined, 'the config'),
      (error: Error) =>
        error instanceof CheckpointError && message.test(error.message) && /the config/.test(error.message),
      `${JSON.stringify(config)} gives ${message}`,
    )
  // A window that begins beyond the last layer is not in use.
  parseHuggingFaceConfig(
    { model_type: 'qwen2', use_sliding_window: true, max_window_layers: 32 },
    undefined,
    'the config',
  )
})

test('missing, misshapen and unknown tensors are named', async () => {
  const model = copied('tiny-llama', 'tensors')
  const weights = path.join(model, 'model.safetensors')
  const { tensors } = await readSafetensors(weights)
  const { 'model.layers.2.mlp.up_proj.weight': taken, ...rest } = tensors
  await writeSafetensors(weights, rest)
  await refused(
    openWeights(model),
    /tensors does not match its config: missing tensors: model.layers.2.mlp.up_proj.weight$/,
  )
  await writeSafetensors(weights, { ...tensors, 'model.norm.weight': { shape: [32], data: new Float32Array(32) } })
  await refused(openWeights(model), /wrong shapes: model.norm.weight is \[32\] instead of \[64\]/)
  await writeSafetensors(weights, {
    ...tensors,
    'model.layers.0.self_attn.q_proj.bias': { shape: [64], data: new Float32Array(64) },
  })
  await refused(openWeights(model), /a llama decoder with this config lacks: model.layers.0.self_attn.q_proj.bias/)
  await writeSafetensors(weights, { ...tensors, 'model.norm.weight': { shape: [64], data: new Int32Array(64) } })
  const source = await openWeights(model)
  await refused(source.read('model.norm.weight'), /"model.norm.weight" is of type I32/)
  await source.close()
  await writeSafetensors(weights, {
    ...tensors,
    'model.norm.weight': { shape: [64], data: new Float32Array(64).fill(NaN) },
  })
  const diverged = await openWeights(model)
  await refused(diverged.read('model.norm.weight'), /"model.norm.weight" holds NaN or infinity/)
  await diverged.close()
  // Older files keep the rotary frequencies, which follow from the config.
  await writeSafetensors(weights, {
    ...tensors,
    'model.layers.0.self_attn.rotary_emb.inv_freq': { shape: [8], data: new Float32Array(8) },
  })
  await (await openWeights(model)).close()
  changeConfig(model, { num_hidden_layers: 2 ** 30 })
  await refused(openWeights(model), /promises 1073741824 layers, but there are only 3\d tensors/)
  assert.ok(taken)
})

test('tied embeddings with and without lm_head.weight', async () => {
  const model = copied('tiny-qwen3', 'tied')
  const weights = path.join(model, 'model.safetensors')
  const { tensors } = await readSafetensors(weights)
  const embedding = tensors['model.embed_tokens.weight']
  await writeSafetensors(weights, { ...tensors, 'lm_head.weight': embedding })
  const source = await openWeights(model)
  assert.ok(!source.names().includes('lm_head.weight'))
  await source.close()
  const other = { shape: embedding.shape, data: Float32Array.from(embedding.data as Float32Array, (x) => x + 1) }
  await writeSafetensors(weights, { ...tensors, 'lm_head.weight': other })
  await refused(openWeights(model), /ties the output to the embeddings, but lm_head.weight differs/)
  changeConfig(model, { tie_word_embeddings: false })
  const untied = await openWeights(model)
  assert.deepEqual(await untied.read('lm_head.weight'), other.data)
  await untied.close()
  await writeSafetensors(weights, tensors)
  await refused(
    openWeights(model),
    /missing tensors: lm_head.weight; \(a model that shares .* "tie_word_embeddings": true/,
  )
})

test('folders that are no models', async () => {
  const empty = path.join(folder, 'empty')
  mkdirSync(empty)
  await refused(openWeights(empty), /empty has no config.json/)
  await refused(openWeights(path.join(folder, 'nothing')), /there is no .*nothing: expected a model folder/)
  await refused(openWeights(path.join(empty, '..', '..')), /has no config.json/)
  const pickled = copied('tiny-llama', 'pickled')
  await refused(openWeights(path.join(pickled, 'model.safetensors')), /weights without its config: give the folder/)
  await refused(openWeights(path.join(pickled, 'config.json')), /config.json is not a model/)
  renameSync(path.join(pickled, 'model.safetensors'), path.join(pickled, 'pytorch_model.bin'))
  await refused(openWeights(pickled), /neither model.safetensors .* has pytorch_model.bin: save the model again/)
  renameSync(path.join(pickled, 'pytorch_model.bin'), path.join(pickled, 'a.gguf'))
  await refused(openWeights(pickled), /give the path of the .gguf file itself/)
  writeFileSync(path.join(pickled, 'config.json'), '{"model_type": "llama"')
  await refused(openWeights(pickled), /config.json is not JSON text/)
})

/** Random weights with awkward numbers among them: subnormal, negative zero, largest. */
function randomTensors(config: ModelConfig, seed: number): Record<string, SavedTensor & { data: Float32Array }> {
  const random = xoroshiro128plus(seed)
  const tensors: Record<string, SavedTensor & { data: Float32Array }> = {}
  for (const [name, shape] of expectedTensors(config)) {
    const bits = Int32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
      uniform(-(2 ** 31), 2 ** 31 - 1, random),
    )
    for (let i = 0; i < bits.length; i++) if ((bits[i] & 0x7f800000) === 0x7f800000) bits[i] &= 0x80000001
    tensors[name] = { shape, data: new Float32Array(bits.buffer) }
  }
  return tensors
}

const small: ModelConfig = {
  modelType: 'llama',
  vocabSize: 11,
  hiddenSize: 12,
  intermediateSize: 10,
  numHiddenLayers: 2,
  numAttentionHeads: 3,
  numKeyValueHeads: 1,
  headDim: 4,
  maxPositionEmbeddings: 32,
  rmsNormEps: 1e-5,
  ropeTheta: 10000,
  ropeScaling: null,
  qkvBias: false,
  outputBias: false,
  queryKeyNorm: false,
  tieWordEmbeddings: false,
  bosTokenId: 1,
  eosTokenIds: [2],
  padTokenId: null,
}
const configs: Record<string, ModelConfig> = {
  llama: small,
  'llama 3': {
    ...small,
    qkvBias: true,
    outputBias: true,
    bosTokenId: null,
    eosTokenIds: [],
    padTokenId: 3,
    ropeScaling: {
      ropeType: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositionEmbeddings: 16,
    },
  },
  'llama, linear': { ...small, ropeScaling: { ropeType: 'linear', factor: 2.5 } },
  qwen2: { ...small, modelType: 'qwen2', qkvBias: true, tieWordEmbeddings: true, eosTokenIds: [2, 5] },
  qwen3: { ...small, modelType: 'qwen3', headDim: 6, queryKeyNorm: true },
}
for (const [name, config] of Object.entries(configs))
  test(`a saved ${name} model loads back bit for bit`, async () => {
    const target = path.join(folder, 'saved', name)
    const tensors = randomTensors(config, 3)
    await writeHuggingFaceFolder(target, config, tensors, { extraFiles: { 'tokenizer.json': '{}' } })
    assert.deepEqual(readdirSync(target).sort(), ['config.json', 'model.safetensors', 'tokenizer.json'])
    const source = await openWeights(target)
    assert.deepEqual(source.config, config)
    const back = await contents(source)
    assert.deepEqual([...back.keys()].sort(), Object.keys(tensors).sort())
    for (const [tensor, values] of back)
      assert.deepEqual(new Uint32Array(values.buffer), new Uint32Array(tensors[tensor].data.buffer), tensor)
  })

test('sharded, lazy and 16-bit saves', async () => {
  const tensors = randomTensors(small, 4)
  const loaded: string[] = []
  const lazy = new Map(
    Object.entries(tensors).map(([name, { shape, data }]) => {
      // Numbers that bfloat16 holds.
      const rounded = Float32Array.from(data, (_, i) => ((i % 255) - 127) / 64)
      const load = async () => {
        loaded.push(name)
        return rounded
      }
      return [name, { shape, load, rounded }]
    }),
  )
  const target = path.join(folder, 'sharded')
  await writeHuggingFaceFolder(target, small, lazy, { dtype: 'bfloat16', maxShardBytes: 700 })
  assert.deepEqual(loaded.sort(), [...lazy.keys()].sort())
  const files = readdirSync(target).sort()
  const count = files.length - 2
  assert.ok(count > 2)
  const shard = (i: number) =>
    `model-${String(i + 1).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.safetensors`
  assert.deepEqual(files, [
    'config.json',
    ...Array.from({ length: count }, (_, i) => shard(i)),
    'model.safetensors.index.json',
  ])
  const index = JSON.parse(readFileSync(path.join(target, 'model.safetensors.index.json'), 'utf8'))
  let total = 0
  for (let i = 0; i < count; i++) {
    const content = await readSafetensors(path.join(target, shard(i)))
    assert.deepEqual(content.metadata, { format: 'pt' })
    const sizes = Object.values(content.tensors).map(({ data }) => data.length * 2)
    const size = sizes.reduce((a, b) => a + b)
    assert.ok(size <= 700 || sizes.length === 1, `shard ${i} has ${size} bytes`)
    total += size
    for (const name of Object.keys(content.tensors)) assert.equal(index.weight_map[name], shard(i))
  }
  assert.equal(index.metadata.total_size, total)
  const source = await openWeights(target)
  assert.equal(JSON.parse(readFileSync(path.join(target, 'config.json'), 'utf8')).torch_dtype, 'bfloat16')
  for (const [name, values] of await contents(source)) assert.deepEqual(values, lazy.get(name)!.rounded)

  const changeIndex = (name: string, file: unknown) => {
    const map = { ...index.weight_map, [name]: file }
    writeFileSync(path.join(target, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }))
  }
  changeIndex('model.norm.weight', `../sharded/${shard(0)}`)
  await refused(openWeights(target), /expected the name of a .safetensors file in this folder/)
  changeIndex('model.norm.weight', 7)
  await refused(openWeights(target), /places tensor "model.norm.weight" in "7"/)
  changeIndex('model.norm.weight', shard(0))
  await refused(openWeights(target), new RegExp(`${shard(0)} has no tensor "model.norm.weight"`))
  changeIndex('model.norm.weight', index.weight_map['model.norm.weight'])
  rmSync(path.join(target, shard(1)))
  await refused(openWeights(target), /cannot open .*: no such file/)
  writeFileSync(path.join(target, 'model.safetensors.index.json'), '[]')
  await refused(openWeights(target), /has no weight_map/)
})

test('a save that fails leaves what was there', async () => {
  const target = path.join(folder, 'kept')
  const tensors = randomTensors(small, 5)
  await writeHuggingFaceFolder(target, small, tensors)
  await refused(writeHuggingFaceFolder(target, small, tensors), /kept exists already: .*pass replace: true/)
  const broken = { ...tensors, 'model.norm.weight': { shape: [12], data: new Float32Array(12).fill(NaN) } }
  await refused(
    writeHuggingFaceFolder(target, small, broken, { replace: true }),
    /"model.norm.weight" holds NaN or infinity, so the model is not saved/,
  )
  const { 'model.norm.weight': taken, ...incomplete } = tensors
  await refused(
    writeHuggingFaceFolder(target, small, incomplete, { replace: true }),
    /missing tensors: model.norm.weight/,
  )
  await refused(
    writeHuggingFaceFolder(target, small, tensors, { replace: true, extraFiles: { '../x': '' } }),
    /"..\/x" cannot be an extra file/,
  )
  assert.deepEqual(await (await openHuggingFaceFolder(target)).read('model.norm.weight'), taken.data)

  const next = randomTensors(small, 6)
  await writeHuggingFaceFolder(target, small, next, { replace: true })
  assert.deepEqual(
    await (await openHuggingFaceFolder(target)).read('model.norm.weight'),
    next['model.norm.weight'].data,
  )
  const left = readdirSync(folder).filter((name) => name.includes('kept'))
  assert.deepEqual(left, ['kept'])

  const precious = path.join(folder, 'precious')
  mkdirSync(precious)
  writeFileSync(path.join(precious, 'thesis.tex'), '')
  await refused(writeHuggingFaceFolder(precious, small, tensors, { replace: true }), /is not a model folder/)
  assert.ok(existsSync(path.join(precious, 'thesis.tex')))
})

test('config.json cannot describe every decoder', () => {
  assert.throws(
    () => formatHuggingFaceConfig({ ...small, qkvBias: true }, 'float32'),
    /llama model has qkvBias true and outputBias false/,
  )
  assert.throws(
    () => formatHuggingFaceConfig({ ...small, queryKeyNorm: true }, 'float32'),
    /llama model has queryKeyNorm true/,
  )
})
