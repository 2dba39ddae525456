import { CheckpointError } from './checkpointError'
import type { GgufMetadata } from './gguf'
import {
  type AddedToken,
  BYTES_ONLY,
  GPT2_SPLIT,
  isolatedSplit,
  type TokenizerDescription,
  type TokenizerJson,
} from './tokenizerDescription'

/** Token types of a GGUF vocabulary that differ from an ordinary entry. */
const UNKNOWN = 2
const CONTROL = 3
const USER_DEFINED = 4
const UNUSED = 5

interface PreTokenizer {
  /** Patterns applied one after another; each match becomes a piece of its own. */
  splits: string[]
  normalizer: object | null
  /** A piece that is itself an entry of the vocabulary is taken whole, without merging. */
  ignoreMerges: boolean
  /** What a missing `add_bos_token` means. */
  addBos: boolean
}

/** Llama 3's split, with the longest run of digits that stays together. */
const llama3Split = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`

/** By the value of `tokenizer.ggml.pre`. */
const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  smollm: { splits: ['\\p{N}', GPT2_SPLIT], normalizer: null, ignoreMerges: false, addBos: false },
  'llama-bpe': { splits: [llama3Split('\\p{N}{1,3}')], normalizer: null, ignoreMerges: true, addBos: true },
  qwen2: { splits: [llama3Split('\\p{N}')], normalizer: { type: 'NFC' }, ignoreMerges: false, addBos: false },
}

/**
 * Rebuilds the tokenizer whose vocabulary a GGUF's metadata holds. Throws, naming it, on a model other than byte-level
 * BPE (`gpt2`) and on a pre-tokenizer other than smollm, llama-bpe and qwen2.
 */
export function tokenizerFromGguf(metadata: GgufMetadata, source: string): TokenizerDescription {
  const model = metadata['tokenizer.ggml.model']
  if (model === undefined)
    throw new CheckpointError(`${source} holds no tokenizer (no tokenizer.ggml.model in its metadata)`)
  if (model !== 'gpt2')
    throw new CheckpointError(
      `the tokenizer of ${source} is refused: tokenizer.ggml.model is ${model}; supported: gpt2 (byte-level BPE)`,
    )
  const pre = metadata['tokenizer.ggml.pre'] ?? 'none named'
  if (typeof pre !== 'string' || !Object.hasOwn(PRE_TOKENIZERS, pre))
    throw new CheckpointError(
      `the tokenizer of ${source} is refused: its pre-tokenizer (tokenizer.ggml.pre) is ${pre}; ` +
        `supported: ${Object.keys(PRE_TOKENIZERS).join(', ')}. The model's Hugging Face folder may work instead`,
    )
  const { splits, normalizer, ignoreMerges, addBos } = PRE_TOKENIZERS[pre]

  const tokens = strings(metadata, 'tokenizer.ggml.tokens', source)
  const types = metadata['tokenizer.ggml.token_type'] as ArrayLike<unknown> | undefined
  if (types !== undefined && types.length !== tokens.length)
    throw new CheckpointError(`${source}: ${tokens.length} tokens but ${types.length} token types in its metadata`)
  const id = (name: string): number | null => {
    const value = metadata[`tokenizer.ggml.${name}_token_id`]
    if (value === undefined) return null
    const number = Number(value)
    if (!Number.isInteger(number) || number < 0)
      throw new CheckpointError(`${source}: tokenizer.ggml.${name}_token_id is ${value}`)
    // Converters write 2^32 - 1 for "none"; an id beyond the vocabulary means nothing to a tokenizer either.
    return number < tokens.length ? number : null
  }
  const bosTokenId = id('bos')
  const eosTokenIds = [...new Set([id('eos'), id('eot'), id('eom')])].filter((value) => value !== null)
  const padTokenId = id('padding')

  const vocab: Record<string, number> = Object.create(null)
  const added: AddedToken[] = []
  const special = new Set<number>()
  for (const value of [bosTokenId, padTokenId, ...eosTokenIds]) if (value !== null) special.add(value)
  tokens.forEach((content, i) => {
    const type = types === undefined ? 1 : Number(types[i])
    if (type === UNUSED) return
    vocab[content] = i
    if (type === CONTROL || type === UNKNOWN) special.add(i)
    if (content !== '' && (special.has(i) || type === USER_DEFINED)) added.push(addedToken(i, content, special.has(i)))
  })

  const tokenizerJson: TokenizerJson = {
    model: {
      type: 'BPE',
      vocab,
      merges: strings(metadata, 'tokenizer.ggml.merges', source).map((merge) => pair(merge, source)),
      ignore_merges: ignoreMerges,
      unk_token: null,
    },
    added_tokens: added,
    normalizer,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...splits.map(isolatedSplit), BYTES_ONLY] },
    post_processor: null,
    decoder: BYTES_ONLY,
  }
  const flag = (name: string, missing: boolean) => {
    const value = metadata[`tokenizer.ggml.${name}`]
    return value === undefined ? missing : value === true
  }
  const around = [
    ...(bosTokenId !== null && flag('add_bos_token', addBos) ? [bosTokenId] : []),
    null,
    ...(eosTokenIds.length > 0 && flag('add_eos_token', false) ? [eosTokenIds[0]!] : []),
  ]
  if (around.length > 1) tokenizerJson.post_processor = template(around, tokens)
  return { source, tokenizerJson, tokenizerConfig: {}, vocabSize: tokens.length, bosTokenId, eosTokenIds, padTokenId }
}

function strings(metadata: GgufMetadata, key: string, source: string): string[] {
  const value = metadata[key]
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
    throw new CheckpointError(
      `${source}: ${key} in its metadata is ${value === undefined ? 'missing' : 'not a list of strings'}`,
    )
  return value
}

function pair(merge: string, source: string): [string, string] {
  const [left, right, ...rest] = merge.split(' ')
  if (!left || !right || rest.length > 0)
    throw new CheckpointError(`${source}: merge ${JSON.stringify(merge)} is not two entries`)
  return [left, right]
}

function addedToken(id: number, content: string, special: boolean): AddedToken {
  return { id, content, special, normalized: false, single_word: false, lstrip: false, rstrip: false }
}

/** The ids of the tokens put around every text; null stands for the text. */
function template(items: (number | null)[], tokens: readonly string[]): object {
  const single = items.map((id) =>
    id === null ? { Sequence: { id: 'A', type_id: 0 } } : { SpecialToken: { id: tokens[id], type_id: 0 } },
  )
  const special = items.flatMap((id) =>
    id === null ? [] : [[tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]],
  )
  return { type: 'TemplateProcessing', single, pair: single, special_tokens: Object.fromEntries(special) }
}
