import type { ModelConfig } from '../../lib/model/config'
import { LanguageModel } from '../../lib/model/languageModel'
import { randomModel } from '../../lib/model/loadModel'
import type { TextTokenizer } from '../../lib/model/tokenizer'

const END = 3

const config: ModelConfig = {
  modelType: 'qwen3',
  vocabSize: 128,
  hiddenSize: 32,
  intermediateSize: 48,
  numHiddenLayers: 3,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  headDim: 8,
  maxPositionEmbeddings: 512,
  rmsNormEps: 1e-6,
  ropeTheta: 10000,
  ropeScaling: null,
  qkvBias: false,
  outputBias: false,
  queryKeyNorm: true,
  tieWordEmbeddings: true,
  bosTokenId: null,
  eosTokenIds: [END],
  padTokenId: null,
}

/** An ASCII character is a token; END is special. */
const tokenizer: TextTokenizer = {
  source: 'test',
  vocabSize: 128,
  bosTokenId: null,
  eosTokenIds: [END],
  padTokenId: null,
  specialTokenIds: new Set([END]),
  encode: (text) => Array.from(text, (c) => c.charCodeAt(0) % 128),
  decode: (ids, options) =>
    Array.from(ids)
      .filter((id) => !(options?.skipSpecialTokens && id === END))
      .map((id) => String.fromCharCode(id))
      .join(''),
  token: (id) => String.fromCharCode(id),
  pieces: (ids) => Array.from(ids, (id) => String.fromCharCode(id)),
  idOf: (token) => token.charCodeAt(0),
  bytes: (id) => Uint8Array.of(id),
}

/** A small untrained decoder that reads and writes ASCII characters. */
export async function tinyTextModel(seed = 1): Promise<LanguageModel> {
  const { name, weights } = await randomModel(config, { seed, initializerRange: 0.4 })
  return new LanguageModel(name, config, weights, tokenizer)
}
