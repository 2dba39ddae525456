import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type GgufMetadata, readGgufMetadata } from '../../lib/model/gguf'
import { tokenizerFromGguf } from '../../lib/model/ggufTokenizer'
import { resolveModel } from '../../lib/model/hub'
import { describeTokenizerJson } from '../../lib/model/huggingFaceTokenizer'
import { loadTokenizer } from '../../lib/model/loadTokenizer'
import { StreamDecoder } from '../../lib/model/streamDecoder'
import { createTokenizer, type TextTokenizer } from '../../lib/model/tokenizer'

const FIXTURES = path.join(__dirname, '..', 'fixtures')
const fixture = (...name: string[]) => JSON.parse(readFileSync(path.join(FIXTURES, ...name), 'utf8'))

// Written by tests/fixtures/tokenizer/make_reference.py with the Python library `tokenizers`.
const texts: string[] = fixture('tokenizer', 'texts.json')

function assertEncodes(tokenizer: TextTokenizer, expected: number[][], addSpecialTokens = false) {
  assert.equal(texts.length, expected.length)
  texts.forEach((text, i) => {
    assert.deepEqual(tokenizer.encode(text, { addSpecialTokens }), expected[i], JSON.stringify(text))
  })
}

/** The metadata that a GGUF conversion of a tokenizer.json would hold. */
function asGgufMetadata(json: ReturnType<typeof fixture>, pre: string, ids: Record<string, number>): GgufMetadata {
  const tokens: string[] = []
  for (const [entry, id] of Object.entries<number>(json.model.vocab)) tokens[id] = entry
  const types = tokens.map(() => 1)
  for (const { id, content, special } of json.added_tokens) {
    tokens[id] = content
    types[id] = special ? 3 : 4
  }
  return {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': pre,
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': Int32Array.from(types),
    'tokenizer.ggml.merges': json.model.merges.map((pair: string[]) => pair.join(' ')),
    ...Object.fromEntries(Object.entries(ids).map(([name, id]) => [`tokenizer.ggml.${name}_token_id`, id])),
  }
}

describe('SmolLM2, from its GGUF', () => {
  let metadata: GgufMetadata
  let tokenizer: TextTokenizer
  before(async () => {
    const model = await resolveModel('smollm2-135m-instruct')
    metadata = await readGgufMetadata(model)
    tokenizer = await loadTokenizer(model)
  })

  test('special tokens are those of the metadata', () => {
    assert.equal(tokenizer.vocabSize, 49152)
    assert.equal(tokenizer.bosTokenId, 1)
    assert.deepEqual(tokenizer.eosTokenIds, [2])
    assert.equal(tokenizer.padTokenId, 2)
    assert.equal(tokenizer.specialTokenIds.size, 17)
    assert.equal(tokenizer.idOf('<|im_end|>'), 2)
  })

  test('encodes varied texts as the reference library does', () => {
    assertEncodes(tokenizer, fixture('tokenizer', 'smollm.json'))
    assertEncodes(tokenizer, fixture('tokenizer', 'smollm.json'), true)
  })

  test('encodes the same from a folder in the Hugging Face layout', async () => {
    const tokens = metadata['tokenizer.ggml.tokens'] as string[]
    const types = metadata['tokenizer.ggml.token_type'] as Int32Array
    const folder = mkdtempSync(path.join(tmpdir(), 'tokenizer-'))
    try {
      writeFileSync(
        path.join(folder, 'tokenizer.json'),
        JSON.stringify({
          added_tokens: tokens.flatMap((content, id) => (types[id] === 3 ? [{ id, content, special: true }] : [])),
          normalizer: null,
          pre_tokenizer: {
            type: 'Sequence',
            pretokenizers: [
              { type: 'Digits', individual_digits: true },
              { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
            ],
          },
          post_processor: null,
          decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
          model: {
            type: 'BPE',
            vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
            merges: metadata['tokenizer.ggml.merges'],
          },
        }),
      )
      writeFileSync(
        path.join(folder, 'tokenizer_config.json'),
        JSON.stringify({ bos_token: '<|im_start|>', eos_token: { content: '<|im_end|>' } }),
      )
      writeFileSync(path.join(folder, 'special_tokens_map.json'), JSON.stringify({ pad_token: '<|im_end|>' }))
      const fromFolder = await loadTokenizer(folder)
      assertEncodes(fromFolder, fixture('tokenizer', 'smollm.json'))
      assert.equal(fromFolder.vocabSize, 49152)
      assert.equal(fromFolder.bosTokenId, 1)
      assert.deepEqual(fromFolder.eosTokenIds, [2])
      assert.equal(fromFolder.padTokenId, 2)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  for (const name of ['smollm2-00', 'smollm2-01', 'smollm2-02', 'smollm2-03'])
    test(`${name}: prompt, response and token texts of a real trace`, () => {
      const trace = fixture('reference', `${name}.json`)
      const response = trace.ids.slice(trace.promptLength)
      assert.deepEqual(tokenizer.encode(trace.prompt), trace.ids.slice(0, trace.promptLength))
      assert.deepEqual(tokenizer.encode(tokenizer.decode(response)), response)
      assert.deepEqual(tokenizer.pieces(trace.ids), trace.tokens)
      assert.deepEqual(
        trace.ids.map((id: number) => tokenizer.token(id)),
        trace.tokens,
      )
    })

  test('a character over several tokens belongs to the last of them', () => {
    const ids = tokenizer.encode('a𝒳b')
    assert.ok(ids.length > 3)
    const pieces = tokenizer.pieces(ids)
    assert.deepEqual(
      pieces.filter((piece) => piece !== ''),
      ['a', '𝒳', 'b'],
    )
    assert.equal(pieces.at(-2), '𝒳')
    assert.equal(
      ids
        .slice(1, -1)
        .map((id) => tokenizer.token(id))
        .join(''),
      '<0xF0><0x9D><0x92><0xB3>',
    )
    const stream = new StreamDecoder(tokenizer)
    assert.deepEqual(
      ids.map((id) => stream.push(id)),
      pieces,
    )
    assert.equal(stream.end(), '')
  })

  test('an incomplete character becomes U+FFFD where it breaks off', () => {
    const emoji = tokenizer.encode('𝒳')
    const [hello] = tokenizer.encode('Hello')
    assert.deepEqual(tokenizer.pieces([emoji[0], hello]), ['\ufffd', 'Hello'])
    assert.deepEqual(tokenizer.pieces([hello, emoji[0]]), ['Hello', '\ufffd'])
    assert.deepEqual(tokenizer.pieces([emoji[0], 2]), ['\ufffd', '<|im_end|>'])
    const stream = new StreamDecoder(tokenizer)
    assert.equal(stream.push(emoji[0]), '')
    assert.equal(stream.end(), '\ufffd')
    assert.equal(stream.push(hello), 'Hello')
  })

  test('pieces and streamed texts joined are decode, for any ids', () => {
    // Every token that is not whole UTF-8 beside ordinary ones, in an order fixed by a small generator.
    let state = 1
    const next = (n: number) => {
      state = (state * 48271) % 2147483647
      return state % n
    }
    const partial = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter((id) =>
      tokenizer.token(id).includes('<0x'),
    )
    assert.ok(partial.length > 100)
    for (let round = 0; round < 500; round++) {
      const ids = Array.from({ length: 1 + next(12) }, () =>
        next(2) === 0 ? partial[next(partial.length)] : next(tokenizer.vocabSize),
      )
      const text = tokenizer.decode(ids)
      assert.equal(tokenizer.pieces(ids).join(''), text, ids.join())
      const stream = new StreamDecoder(tokenizer)
      assert.equal(ids.map((id) => stream.push(id)).join('') + stream.end(), text, ids.join())
    }
  })

  test('idOf takes the text or the vocabulary entry of a token', () => {
    const [the] = tokenizer.encode(' the')
    assert.equal(tokenizer.idOf(' the'), the)
    assert.equal(tokenizer.idOf('Ġthe'), the)
    assert.equal(tokenizer.idOf(' no such token'), undefined)
  })

  test('decode leaves special tokens out on request, gives nothing for an id without a token, refuses what is no id', () => {
    const ids = tokenizer.encode('<|im_start|>user\nHi<|im_end|>')
    assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), 'user\nHi')
    assert.equal(tokenizer.decode([60000]), '')
    assert.equal(tokenizer.decode([]), '')
    assert.deepEqual(tokenizer.encode(''), [])
    for (const bad of [-1, 1.5, Number.NaN, 2 ** 30]) assert.throws(() => tokenizer.decode([bad]), /not a token id/)
    assert.throws(() => tokenizer.encode(undefined as unknown as string), /encode takes a string/)
  })

  test('is ready within a second and encodes 2,000 tokens well under a tenth', () => {
    let start = performance.now()
    const fresh = createTokenizer(tokenizerFromGguf(metadata, 'SmolLM2'))
    const build = performance.now() - start
    const { prompt, ids } = fixture('reference', 'smollm2-00.json')
    const text = (prompt + fresh.decode(ids)).repeat(5)
    start = performance.now()
    const count = fresh.encode(text).length
    const perTwoThousand = ((performance.now() - start) / count) * 2000
    assert.ok(count > 2000)
    // The aims are 0.5 s and 0.1 s; a busy machine gets three times as long.
    assert.ok(build < 1500, `building took ${build} ms`)
    assert.ok(perTwoThousand < 300, `2,000 tokens took ${perTwoThousand} ms`)
  })
})

const SMALL: { name: string; ids: Record<string, number>; config: Record<string, string> }[] = [
  {
    name: 'llama-bpe',
    ids: { bos: 703, eos: 704, eot: 705 },
    config: { bos_token: '<|begin_of_text|>', eos_token: '<|end_of_text|>' },
  },
  { name: 'qwen2', ids: { eos: 702, padding: 700 }, config: { eos_token: '<|im_end|>', pad_token: '<|endoftext|>' } },
]
for (const { name, ids, config } of SMALL)
  describe(`${name}, a small vocabulary`, () => {
    const json = fixture('tokenizer', name, 'tokenizer.json')
    const expected = fixture('tokenizer', name, 'ids.json')
    const sources = {
      'tokenizer.json': () => describeTokenizerJson(json, config, name),
      'GGUF metadata': () => tokenizerFromGguf(asGgufMetadata(json, name, ids), name),
    }
    for (const [source, describeSource] of Object.entries(sources))
      test(`from ${source}: encodes and decodes as the reference library does`, () => {
        const tokenizer = createTokenizer(describeSource())
        assertEncodes(tokenizer, expected.ids)
        assertEncodes(tokenizer, expected.withSpecialTokens, true)
        expected.ids.forEach((sequence: number[], i: number) => {
          assert.equal(tokenizer.decode(sequence), expected.decoded[i])
          assert.equal(tokenizer.decode(sequence, { skipSpecialTokens: true }), expected.skipped[i])
          assert.equal(tokenizer.pieces(sequence).join(''), expected.decoded[i])
        })
        assert.equal(tokenizer.vocabSize, json.added_tokens.at(-1).id + 1)
        assert.equal(tokenizer.bosTokenId, ids.bos ?? null)
        assert.equal(tokenizer.eosTokenIds[0], ids.eos)
        assert.equal(tokenizer.padTokenId, ids.padding ?? null)
      })

    test('GGUF: add_bos_token overrides the pre-tokenizer', () => {
      const withBos = (value: boolean) =>
        createTokenizer(
          tokenizerFromGguf(
            { ...asGgufMetadata(json, name, { bos: 0, ...ids }), 'tokenizer.ggml.add_bos_token': value },
            name,
          ),
        ).encode('Hello', { addSpecialTokens: true })
      assert.deepEqual(withBos(true), [ids.bos ?? 0, ...withBos(false)])
    })

    test('GGUF: what is saved as tokenizer.json has what the reference library refuses to be without', () => {
      const metadata: GgufMetadata = {
        ...asGgufMetadata(json, name, { bos: 0, ...ids }),
        'tokenizer.ggml.add_bos_token': true,
      }
      const { decoder, post_processor } = tokenizerFromGguf(metadata, name).tokenizerJson
      assert.deepEqual(Object.keys(decoder).sort(), ['add_prefix_space', 'trim_offsets', 'type', 'use_regex'])
      const bos = ids.bos ?? 0
      const token = (metadata['tokenizer.ggml.tokens'] as string[])[bos]!
      const { special_tokens } = post_processor as { special_tokens: object }
      assert.deepEqual(special_tokens, { [token]: { id: token, ids: [bos], tokens: [token] } })
    })
  })

describe('refusals name what was found', () => {
  const json = fixture('tokenizer', 'qwen2', 'tokenizer.json')
  const refused = (change: object, message: RegExp) =>
    assert.throws(() => describeTokenizerJson({ ...json, ...change }, {}, 'some-model'), message)

  test('tokenizer.json', () => {
    refused({ model: { ...json.model, type: 'Unigram' } }, /some-model is refused: its model is Unigram/)
    refused({ model: { ...json.model, type: 'WordPiece' } }, /its model is WordPiece/)
    refused({ model: { ...json.model, byte_fallback: true } }, /SentencePiece-style BPE/)
    refused({ decoder: { type: 'Sequence', decoders: [{ type: 'Replace' }, { type: 'Fuse' }] } }, /Replace \+ Fuse/)
    refused({ pre_tokenizer: { type: 'Metaspace' } }, /its pre-tokenizer is Metaspace/)
    refused({ pre_tokenizer: null }, /its pre-tokenizer is absent/)
    refused(
      { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Punctuation' }, { type: 'ByteLevel' }] } },
      /has the part Punctuation/,
    )
    refused({ model: null }, /has no model/)
    refused({ model: { ...json.model, merges: ['a b c'] } }, /merge "a b c" is not a pair/)
    refused({ model: { ...json.model, vocab: { a: -1 } } }, /the id of "a" is -1/)
    refused({ model: { ...json.model, vocab: { a: 1e12 } } }, /the id of "a" is 1000000000000/)
    refused({ added_tokens: [{ id: 1 }] }, /needs an id and a content/)
    refused(
      { post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: '<bos>', type_id: 0 } }] } },
      /adds <bos>, which is not in the vocabulary/,
    )
  })

  test('GGUF metadata', () => {
    const metadata = asGgufMetadata(json, 'qwen2', {})
    const refusedGguf = (change: Partial<GgufMetadata>, message: RegExp) =>
      assert.throws(() => tokenizerFromGguf({ ...metadata, ...change }, 'some.gguf'), message)
    refusedGguf({ 'tokenizer.ggml.model': 'llama' }, /some.gguf is refused: tokenizer.ggml.model is llama/)
    refusedGguf({ 'tokenizer.ggml.model': undefined }, /holds no tokenizer/)
    refusedGguf({ 'tokenizer.ggml.pre': 'tekken' }, /is tekken; supported: smollm, llama-bpe, qwen2/)
    refusedGguf({ 'tokenizer.ggml.pre': 'constructor' }, /is constructor; supported/)
    refusedGguf({ 'tokenizer.ggml.tokens': undefined }, /tokenizer.ggml.tokens in its metadata is missing/)
    refusedGguf({ 'tokenizer.ggml.merges': ['a'] }, /merge "a" is not two entries/)
    refusedGguf({ 'tokenizer.ggml.token_type': Int32Array.of(1) }, /705 tokens but 1 token types/)
    refusedGguf({ 'tokenizer.ggml.eos_token_id': -1 }, /eos_token_id is -1/)
  })

  let folder: string
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'tokenizer-'))
  })
  after(() => rmSync(folder, { recursive: true }))

  test('folders', async () => {
    writeFileSync(path.join(folder, 'tokenizer.model'), '')
    await assert.rejects(loadTokenizer(folder), /no tokenizer.json in .*, only tokenizer.model; write it with/)
    writeFileSync(path.join(folder, 'tokenizer.json'), '{"model": ')
    await assert.rejects(loadTokenizer(folder), /tokenizer.json is not readable as JSON/)
    await assert.rejects(loadTokenizer(path.join(folder, 'tokenizer.model')), /expected a folder .* or a .gguf file/)
  })
})
