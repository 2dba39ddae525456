import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { CheckpointError } from '../../lib/model/checkpointError'
import type { ModelConfig } from '../../lib/model/config'
import { dequantize } from '../../lib/model/dequantize'
import { expectedTensors } from '../../lib/model/expectedTensors'
import { ggmlTypes } from '../../lib/model/ggmlTypes'
import { openGguf, readGgufMetadata } from '../../lib/model/gguf'
import { readGgufHeader } from '../../lib/model/ggufHeader'
import { PACKAGED_MODEL, resolveModel } from '../../lib/model/hub'
import { RandomAccessFile } from '../../lib/model/randomAccessFile'
import { readSafetensors } from '../../lib/model/safetensors'
import { bytes, entry, type FileBytes, ggufBytes, text, uint32, uint64 } from '../support/ggufBytes'
import { temporaryFolder } from '../support/temporaryFolder'

const folder = temporaryFolder()
const fixtures = path.join(__dirname, '..', 'fixtures', 'gguf')

function written(content: Buffer, name = 'test.gguf'): string {
  const file = path.join(folder, name)
  writeFileSync(file, content)
  return file
}

async function refused(content: Buffer, message: RegExp, open: (file: string) => Promise<unknown> = readGgufMetadata) {
  const file = written(content)
  await assert.rejects(open(file), (error: Error) => {
    assert.ok(error instanceof CheckpointError, String(error.stack))
    assert.match(error.message, message)
    assert.ok(error.message.includes(file), `names the file: ${error.message}`)
    return true
  })
}

test('blocks of every type hold the numbers that the gguf package finds in them', async () => {
  const file = RandomAccessFile.open(path.join(fixtures, 'quantised.gguf'))
  const { tensors } = readGgufHeader(file)
  const expected = (await readSafetensors(path.join(fixtures, 'quantised.safetensors'))).tensors
  assert.deepEqual(tensors.map(({ name }) => name).sort(), [...ggmlTypes.values()].map(({ name }) => name).sort())
  for (const tensor of tensors) {
    const layout = ggmlTypes.get(tensor.type)!
    assert.equal(tensor.name, layout.name)
    assert.deepEqual(tensor.shape, [2, 512])
    const blocks = new Uint8Array((tensor.size / layout.blockSize) * layout.blockBytes)
    await file.read(blocks, tensor.position, tensor.name)
    const values = new Float32Array(tensor.size)
    dequantize(tensor.type, blocks, values, tensor.name)
    const expectedBits = new Uint32Array(expected[tensor.name].data.buffer)
    assert.deepEqual(new Uint32Array(values.buffer), expectedBits, tensor.name)

    // From the end of the buffer, and at an odd address.
    const shifted = new Uint8Array(blocks.length + 1)
    shifted.set(blocks, 1)
    const again = new Float32Array(tensor.size + 1).subarray(1)
    dequantize(tensor.type, shifted.subarray(1), again, tensor.name)
    assert.deepEqual(again, values, tensor.name)
  }
  file.close()
})

test('a Q4_1 block worked by hand', () => {
  // Scale 0.5, offset -1; the first byte 0x2f is 15 for number 0 and 2 for number 16.
  const block = Uint8Array.from([0x00, 0x38, 0x00, 0xbc, 0x2f, ...new Array(15).fill(0)])
  const values = new Float32Array(32)
  dequantize(3, block, values, 'test')
  assert.equal(values[0], 15 * 0.5 - 1)
  assert.equal(values[16], 2 * 0.5 - 1)
  assert.equal(values[1], -1)
})

test('NaN and infinite scales are refused, wherever they stand', () => {
  const places: Record<number, number[]> = {
    0: [2],
    1: [0],
    30: [0],
    2: [0],
    3: [0, 2],
    6: [0],
    7: [0, 2],
    8: [0],
    12: [0, 2],
    13: [0, 2],
    14: [208],
  }
  for (const [number, { name, blockSize, blockBytes }] of ggmlTypes)
    for (const place of places[number])
      for (const bits of [0x7f80, 0x7fc0, 0xff80, 0xffff]) {
        // 0x7f80 and 0xff80 are infinities as bfloat16 and NaN as float16.
        const blocks = new Uint8Array(3 * blockBytes)
        blocks[blockBytes + place] = bits & 255
        blocks[blockBytes + place + 1] = bits >> 8
        const values = new Float32Array(3 * blockSize)
        assert.throws(
          () => dequantize(number, blocks, values, 'tensor "t"'),
          /^CheckpointError: tensor "t" holds NaN/,
          name,
        )
      }
  const infinite = Uint8Array.from([0x00, 0x7c, ...new Array(32).fill(0)])
  assert.throws(() => dequantize(8, infinite, new Float32Array(32), 'tensor "t"'), /holds NaN or infinity/)
})

/** As make.py fills tensor number n. */
function counted(number: number, shape: number[]): Float32Array {
  const size = shape.reduce((a, b) => a * b, 1)
  return Float32Array.from({ length: size }, (_, i) => (number + i) % 2048)
}

const tiny = {
  vocabSize: 24,
  hiddenSize: 32,
  intermediateSize: 32,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  headDim: 8,
  maxPositionEmbeddings: 512,
  rmsNormEps: 1e-5,
  ropeTheta: 500000,
  ropeScaling: null,
  qkvBias: false,
  outputBias: false,
  queryKeyNorm: false,
  tieWordEmbeddings: false,
  bosTokenId: 1,
  eosTokenIds: [2, 3],
  padTokenId: null,
}
const llama3 = {
  ropeType: 'llama3' as const,
  factor: 8,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  originalMaxPositionEmbeddings: 8192,
}
const models: ModelConfig[] = [
  { ...tiny, modelType: 'llama', qkvBias: true, outputBias: true, ropeScaling: llama3 },
  { ...tiny, modelType: 'qwen2', qkvBias: true, tieWordEmbeddings: true },
  { ...tiny, modelType: 'qwen3', queryKeyNorm: true, headDim: 16 },
]
for (const config of models)
  test(`a ${config.modelType} file has the config and the tensors it was converted from`, async () => {
    const source = await openGguf(path.join(fixtures, `${config.modelType}.gguf`))
    assert.deepEqual(source.config, config)
    const expected = expectedTensors(config)
    assert.deepEqual(new Set(source.names()), new Set(expected.keys()))
    for (const [number, [name, shape]] of [...expected].entries()) {
      assert.deepEqual(source.shape(name), shape, name)
      assert.deepEqual(await source.read(name), counted(number, shape), name)
    }
    assert.equal(source.metadata['general.architecture'], config.modelType)
    await assert.rejects(source.read('token_embd.weight'), /has no tensor "token_embd.weight"/)
    await source.close()
    await assert.rejects(source.read('model.norm.weight'), /was closed already/)
  })

test('every tensor of the packaged SmolLM2 has the bits that the gguf package finds', async () => {
  const digests: Record<string, { shape: number[]; sha256: string }> = JSON.parse(
    readFileSync(path.join(fixtures, 'smollm2.json'), 'utf8'),
  )
  const source = await openGguf(await resolveModel(PACKAGED_MODEL))
  const found: [number[], string][] = []
  for (const name of source.names())
    found.push([
      source.shape(name),
      createHash('sha256')
        .update(await source.read(name))
        .digest('hex'),
    ])
  // Both are in the order of the file.
  assert.deepEqual(
    found,
    Object.values(digests).map(({ shape, sha256 }) => [shape, sha256]),
  )
  await source.close()
})

test('metadata values of every type', async () => {
  const float64 = Buffer.alloc(8)
  float64.writeDoubleLE(-1e300)
  const file = written(
    ggufBytes({
      version: uint32(2),
      entries: [
        entry('uint8', 0, bytes(255)),
        entry('int8', 1, bytes(255)),
        entry('uint16', 2, bytes(1, 2)),
        entry('int16', 3, bytes(0, 128)),
        entry('uint32', 4, uint32(2 ** 32 - 1)),
        entry('int32', 5, uint32(2 ** 32 - 2)),
        entry('float32', 6, Buffer.from(Float32Array.of(1.5).buffer)),
        entry('bool', 7, bytes(1)),
        entry('string', 8, text('zwölf \u{1f600} \ufffd')),
        entry('strings', 9, uint32(8), uint64(2), text('a'), text('')),
        entry('bools', 9, uint32(7), uint64(3), bytes(1, 0, 1)),
        entry('int32s', 9, uint32(5), uint64(2), uint32(7), uint32(2 ** 32 - 1)),
        entry('nothing', 9, uint32(6), uint64(0)),
        entry('uint64', 10, uint64(2n ** 53n - 1n)),
        entry('large', 10, uint64(2n ** 64n - 1n)),
        entry('int64', 11, uint64(2n ** 64n - 5n)),
        entry('float64', 12, float64),
        entry('__proto__', 4, uint32(7)),
      ],
    }),
  )
  assert.deepEqual(Object.entries(await readGgufMetadata(file)), [
    ['uint8', 255],
    ['int8', -1],
    ['uint16', 513],
    ['int16', -32768],
    ['uint32', 2 ** 32 - 1],
    ['int32', -2],
    ['float32', 1.5],
    ['bool', true],
    ['string', 'zwölf \u{1f600} \ufffd'],
    ['strings', ['a', '']],
    ['bools', Uint8Array.of(1, 0, 1)],
    ['int32s', Int32Array.of(7, -1)],
    ['nothing', new Float32Array(0)],
    ['uint64', 2 ** 53 - 1],
    ['large', 2n ** 64n - 1n],
    ['int64', -5],
    ['float64', -1e300],
    ['__proto__', 7],
  ])
})

test('damaged headers are refused with what is wrong', async () => {
  const tensor = { name: 'a.weight', dimensions: [4], type: 0, offset: 0 }
  const data = Buffer.alloc(32)
  const cases: [FileBytes, RegExp][] = [
    [{ magic: 'GGML' }, /not a GGUF file: it starts with "GGML"/],
    [{ version: uint32(1) }, /is GGUF version 1; versions 2 and 3 can be read/],
    [{ version: uint32(4) }, /is GGUF version 4/],
    [{ version: Buffer.from(uint32(3)).reverse() }, /is a big-endian GGUF file/],
    [{ tensorCount: 2n ** 64n - 1n }, /promises 18446744073709551615 tensors .* truncated or damaged/],
    [{ tensorCount: 1 }, /promises 1 tensors|promises the number|name of tensor 0/],
    [{ entryCount: 2 ** 40 }, /promises 1099511627776 metadata entries/],
    [{ entries: [entry('a', 13, uint32(0))] }, /value of "a" has the unknown metadata type 13/],
    [{ entries: [entry('a', 4, uint32(0)), entry('a', 4, uint32(0))] }, /metadata key "a" appears twice/],
    [{ entries: [entry('a', 8, uint64(2n ** 63n))] }, /promises 9223372036854775808 bytes of the value of "a"/],
    [{ entries: [entry('a', 8, text(Buffer.from([0xff, 0xfe])))] }, /value of "a" is not valid UTF-8/],
    [{ entries: [entry('a', 9, uint32(9), uint64(1), uint32(4), uint64(1), uint32(0))] }, /array of arrays/],
    [{ entries: [entry('a', 9, uint32(99), uint64(0))] }, /unknown metadata type 99/],
    [
      { entries: [entry('a', 9, uint32(4), uint64(2n ** 62n))] },
      /promises 4611686018427387904 numbers in the value of "a"/,
    ],
    [{ entries: [entry('a', 9, uint32(8), uint64(2n ** 40n))] }, /promises 1099511627776 strings in the value of "a"/],
    [{ tensors: [tensor, { ...tensor, offset: 32 }], data: Buffer.alloc(64) }, /tensor "a.weight" appears twice/],
    [{ tensors: [{ ...tensor, dimensions: [] }], data }, /has 0 dimensions; 1 to 4/],
    [{ tensors: [{ ...tensor, dimensions: [1, 1, 1, 1, 1] }], data }, /has 5 dimensions; 1 to 4/],
    [{ tensors: [{ ...tensor, dimensions: [0, 4] }], data }, /has a dimension of 0/],
    [{ tensors: [{ ...tensor, dimensions: [2n ** 63n] }], data }, /has a dimension of 9223372036854775808/],
    [{ tensors: [{ ...tensor, dimensions: [2 ** 30, 2 ** 30] }], data }, /has more than 1099511627776 elements/],
    [{ tensors: [{ ...tensor, dimensions: [2 ** 20, 2 ** 20] }], data }, /tensor "a.weight" needs bytes .* truncated/],
    [
      { tensors: [{ ...tensor, dimensions: [48], type: 2 }], data },
      /rows of 48, which is not a multiple of the 32 values .* Q4_0/,
    ],
    [{ tensors: [{ ...tensor, offset: 4 }], data }, /offset 4, which is not a multiple of the alignment 32/],
    [{ tensors: [{ ...tensor, offset: 2n ** 63n }], data }, /impossible offset/],
    [{ tensors: [{ ...tensor, offset: 64 }], data }, /tensor "a.weight" needs bytes .* truncated/],
    [{ tensors: [tensor], data: Buffer.alloc(15) }, /tensor "a.weight" needs bytes .* truncated/],
    [{ tensors: [tensor, { ...tensor, name: 'b.weight' }], data }, /"a.weight" and "b.weight" overlap/],
    [{ entries: [entry('general.alignment', 4, uint32(0))] }, /general.alignment is 0; .* power of two/],
    [{ entries: [entry('general.alignment', 4, uint32(24))] }, /general.alignment is 24/],
    [{ entries: [entry('general.alignment', 8, text('32'))] }, /general.alignment is 32; /],
  ]
  for (const [file, message] of cases) await refused(ggufBytes(file), message)
  await refused(Buffer.alloc(0), /the magic number at byte 0, but the file ends at byte 0/)
  const whole = readFileSync(path.join(fixtures, 'qwen2.gguf'))
  for (const length of [3, 8, 20, 100, 1000, 2000, whole.length - 1])
    await refused(whole.subarray(0, length), /truncated or damaged/)
})

test('a header that never ends is given up', async () => {
  // 70 MB of file in which one string claims 65 MB.
  const content = Buffer.alloc(70 * 2 ** 20)
  ggufBytes({ entries: [entry('a', 8, uint64(65 * 2 ** 20))] }).copy(content)
  await refused(content, /headers of more than 67108864 bytes are not read/)
})

/** The tiny qwen2 model, with metadata entries and tensors replaced or left out (null). */
function changedModel(entries: Record<string, Buffer | null>, tensors: Record<string, number[] | null> = {}): Buffer {
  const number = (key: string, value: number) => entry(key, 4, uint32(value))
  const float = (key: string, value: number) => entry(key, 6, Buffer.from(Float32Array.of(value).buffer))
  const architecture = /"(\w+)"/.exec(entries.architecture?.toString('latin1') ?? '"qwen2"')![1]
  const allEntries: Record<string, Buffer | null> = {
    architecture: entry('general.architecture', 8, text(architecture)),
    context: number(`${architecture}.context_length`, 64),
    width: number(`${architecture}.embedding_length`, 8),
    blocks: number(`${architecture}.block_count`, 1),
    feedForward: number(`${architecture}.feed_forward_length`, 8),
    heads: number(`${architecture}.attention.head_count`, 2),
    keyValueHeads: number(`${architecture}.attention.head_count_kv`, 1),
    epsilon: float(`${architecture}.attention.layer_norm_rms_epsilon`, 1e-6),
    ...entries,
  }
  if (entries.architecture) allEntries.architecture = entry('general.architecture', 8, text(architecture))
  const allTensors: Record<string, number[] | null> = {
    'token_embd.weight': [8, 5],
    'blk.0.attn_norm.weight': [8],
    'blk.0.attn_q.weight': [8, 8],
    'blk.0.attn_k.weight': [8, 4],
    'blk.0.attn_v.weight': [8, 4],
    'blk.0.attn_output.weight': [8, 8],
    'blk.0.ffn_norm.weight': [8],
    'blk.0.ffn_gate.weight': [8, 8],
    'blk.0.ffn_up.weight': [8, 8],
    'blk.0.ffn_down.weight': [8, 8],
    'output_norm.weight': [8],
    ...tensors,
  }
  let offset = 0
  const list = Object.entries(allTensors)
    .filter(([, dimensions]) => dimensions !== null)
    .map(([name, dimensions]) => {
      const here = { name, dimensions: dimensions!, offset }
      offset += Math.ceil((dimensions!.reduce((a, b) => a * b, 4) + 1) / 32) * 32
      return here
    })
  return ggufBytes({
    entries: Object.values(allEntries).filter((value) => value !== null),
    tensors: list,
    data: Buffer.alloc(offset),
  })
}

test('models that cannot be run are refused by name', async () => {
  const sound = await openGguf(written(changedModel({})))
  assert.equal(sound.config.tieWordEmbeddings, true)
  assert.equal(sound.config.rmsNormEps, 1e-6)
  await sound.close()
  const float = (key: string, value: number) => entry(key, 6, Buffer.from(Float32Array.of(value).buffer))
  const cases: [Buffer, RegExp][] = [
    [
      changedModel({ architecture: Buffer.from('"gemma2"') }),
      /architecture "gemma2" are not supported; supported are Llama 2/,
    ],
    [changedModel({ heads: null }), /lacks the metadata key qwen2.attention.head_count/],
    [
      changedModel({ heads: entry('qwen2.attention.head_count', 4, uint32(0)) }),
      /head_count is "0"; expected a positive/,
    ],
    [
      changedModel({ heads: entry('qwen2.attention.head_count', 9, uint32(5), uint64(1), uint32(2)) }),
      /head_count is a list; expected a positive whole number, the same in every layer/,
    ],
    [
      changedModel({ keyValueHeads: entry('qwen2.attention.head_count_kv', 4, uint32(3)) }),
      /2 attention heads cannot share 3/,
    ],
    [changedModel({ epsilon: float('qwen2.attention.layer_norm_rms_epsilon', NaN) }), /rms_epsilon is "NaN"/],
    [changedModel({ blocks: entry('qwen2.block_count', 4, uint32(2 ** 30)) }), /promises 1073741824 layers/],
    [
      changedModel({ blocks: entry('qwen2.block_count', 4, uint32(2)) }),
      /missing tensors: model.layers.1.input_layernorm.weight, .* more/,
    ],
    [changedModel({ a: entry('qwen2.expert_count', 4, uint32(8)) }), /mixture of 8 experts/],
    [changedModel({ a: entry('qwen2.attention.sliding_window', 4, uint32(8)) }), /sliding-window attention/],
    [
      changedModel({ a: entry('qwen2.attention.value_length', 4, uint32(8)) }),
      /value_length is 8; only the heads' width 4/,
    ],
    [changedModel({ a: entry('qwen2.rope.dimension_count', 4, uint32(2)) }), /rope.dimension_count is 2; only/],
    [
      changedModel({ a: entry('qwen2.rope.scaling.type', 8, text('yarn')) }),
      /rotary embeddings of type "yarn" are not supported/,
    ],
    [changedModel({ a: float('qwen2.rope.freq_base', 0) }), /rope.freq_base is "0"; expected a positive number/],
    [
      changedModel({ a: entry('tokenizer.ggml.eos_token_id', 8, text('x')) }),
      /eos_token_id is "x"; expected a token's number/,
    ],
    [
      changedModel({ a: entry('tokenizer.ggml.padding_token_id', 4, uint32(5)) }),
      /pad_token_id 5 lies outside the vocabulary of 5/,
    ],
    [changedModel({ a: entry('split.count', 2, bytes(3, 0)) }), /one of 3 pieces of a model/],
    [changedModel({}, { 'token_embd.weight': null }), /no matrix of embeddings/],
    [changedModel({}, { 'blk.0.ffn_up.weight': null }), /missing tensors: model.layers.0.mlp.up_proj.weight/],
    [
      changedModel({}, { 'blk.0.ffn_up.weight': [8, 9] }),
      /wrong shapes: model.layers.0.mlp.up_proj.weight is \[9,8\] instead of \[8,8\]/,
    ],
    [
      changedModel({}, { 'blk.0.ffn_up.bias': [8] }),
      /tensors that a qwen2 decoder with this config lacks: .*up_proj.bias/,
    ],
    [changedModel({}, { 'blk.0.toString.weight': [8] }), /config lacks: blk.0.toString.weight/],
    [changedModel({}, { 'rope_freqs.weight': [2] }), /frequency factors in rope_freqs.weight are not those of Llama 3/],
    [changedModel({}, { 'rope_freqs.weight': [3] }), /rope_freqs.weight has 3 numbers; expected 2/],
  ]
  for (const [content, message] of cases) await refused(content, message, openGguf)
})

test('linear rotary scaling', async () => {
  const factor = entry('qwen2.rope.scaling.factor', 6, Buffer.from(Float32Array.of(4).buffer))
  const type = entry('qwen2.rope.scaling.type', 8, text('linear'))
  const source = await openGguf(written(changedModel({ factor, type })))
  assert.deepEqual(source.config.ropeScaling, { ropeType: 'linear', factor: 4 })
  await source.close()
})

test('tensors of a type that cannot be read are refused by its name', async () => {
  const whole = readFileSync(path.join(fixtures, 'qwen2.gguf'))
  const place = whole.indexOf('blk.0.ffn_up.weight') + 'blk.0.ffn_up.weight'.length + 4 + 2 * 8
  for (const [type, name] of [
    [10, 'Q2_K'],
    [23, 'IQ4_XS'],
    [200, 'number 200'],
  ] as const) {
    const changed = Buffer.from(whole)
    changed.writeUInt32LE(type, place)
    await refused(changed, new RegExp(`"blk.0.ffn_up.weight" is of ggml type ${name}; .* read: F32, F16`), openGguf)
  }
})

test('NaN in a tensor is refused when it is read', async () => {
  const content = changedModel({})
  content.writeUInt32LE(0x7fc00000, content.length - 64)
  const source = await openGguf(written(content))
  await assert.rejects(source.read('model.norm.weight'), /test.gguf: tensor "output_norm.weight" holds NaN or infinity/)
  await source.close()
})
