import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { CheckpointError } from './checkpointError'
import {
  type AddedToken,
  BYTES_ONLY,
  GPT2_SPLIT,
  isolatedSplit,
  type TokenizerDescription,
} from './tokenizerDescription'

type Json = Record<string, unknown>

const SUPPORTED = 'supported: byte-level BPE, as of Llama 3, Qwen2 and later, SmolLM and GPT-2'

/** Reads tokenizer.json, tokenizer_config.json and special_tokens_map.json of a folder in the Hugging Face layout. */
export async function tokenizerFromFolder(folder: string): Promise<TokenizerDescription> {
  const file = path.join(folder, 'tokenizer.json')
  if (!existsSync(file)) {
    const others = ['tokenizer.model', 'spiece.model', 'vocab.json', 'vocab.txt'].filter((name) =>
      existsSync(path.join(folder, name)),
    )
    throw new CheckpointError(
      `no tokenizer.json in ${folder}${others.length > 0 ? `, only ${others.join(', ')}` : ''}; ` +
        "write it with Python's AutoTokenizer.from_pretrained(…).save_pretrained(…)",
    )
  }
  const optional = async (name: string) =>
    existsSync(path.join(folder, name)) ? await readJson(path.join(folder, name)) : {}
  const config = await optional('tokenizer_config.json')
  const specialTokensMap = await optional('special_tokens_map.json')
  return describeTokenizerJson(await readJson(file), { ...specialTokensMap, ...config }, folder)
}

/**
 * Checks a tokenizer.json and rewrites the parts that `@huggingface/tokenizers` reads differently from the reference
 * implementation: `Digits` (all number characters, not 0-9 only) and the split built into `ByteLevel` (Unicode spaces).
 * `config` is tokenizer_config.json. Throws on anything but byte-level BPE.
 */
export function describeTokenizerJson(json: Json, config: Json, source: string): TokenizerDescription {
  const refuse = (what: string): never => {
    throw new CheckpointError(`the tokenizer of ${source} is refused: ${what}; ${SUPPORTED}`)
  }
  const model = isObject(json.model) ? json.model : refuse('tokenizer.json has no model')
  const type = model.type ?? (Array.isArray(model.merges) ? 'BPE' : 'none named')
  if (type !== 'BPE') refuse(`its model is ${type}`)
  if (model.byte_fallback === true) refuse('its model is SentencePiece-style BPE (byte_fallback)')
  if (model.end_of_word_suffix || model.continuing_subword_prefix || model.continuing_subword_suffix)
    refuse('its BPE marks word ends or continuations')
  if (!componentTypes(json.decoder, 'decoders').includes('ByteLevel'))
    refuse(`its decoder is ${componentTypes(json.decoder, 'decoders').join(' + ') || 'absent'}, not ByteLevel`)
  if (!componentTypes(json.pre_tokenizer, 'pretokenizers').includes('ByteLevel'))
    refuse(
      `its pre-tokenizer is ${componentTypes(json.pre_tokenizer, 'pretokenizers').join(' + ') || 'absent'}, without ByteLevel`,
    )

  const vocab = readVocabulary(model.vocab, source)
  const addedTokens = readAddedTokens(json.added_tokens, config.added_tokens_decoder, source)
  const idOf = (token: unknown): number | null => {
    const content = isObject(token) ? token.content : token
    if (typeof content !== 'string') return null
    return addedTokens.find((added) => added.content === content)?.id ?? vocab[content] ?? null
  }
  checkPostProcessor(json.post_processor, (token) => idOf(token) !== null, source)
  const eos = idOf(config.eos_token)
  let vocabSize = 0
  for (const id of Object.values(vocab)) vocabSize = Math.max(vocabSize, id + 1)
  for (const { id } of addedTokens) vocabSize = Math.max(vocabSize, id + 1)
  return {
    source,
    tokenizerJson: {
      model: {
        type: 'BPE',
        vocab,
        merges: readMerges(model.merges, source),
        ignore_merges: model.ignore_merges === true,
        unk_token: typeof model.unk_token === 'string' ? model.unk_token : null,
      },
      added_tokens: addedTokens,
      normalizer: isObject(json.normalizer) ? json.normalizer : null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: rewritePreTokenizer(json.pre_tokenizer, refuse) },
      post_processor: isObject(json.post_processor) ? json.post_processor : null,
      decoder: { type: 'ByteLevel' },
    },
    tokenizerConfig: {},
    vocabSize,
    bosTokenId: idOf(config.bos_token),
    eosTokenIds: eos === null ? [] : [eos],
    padTokenId: idOf(config.pad_token),
  }
}

async function readJson(file: string): Promise<Json> {
  let value: unknown
  try {
    value = JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new CheckpointError(`${file} is not readable as JSON: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
  if (!isObject(value)) throw new CheckpointError(`${file} does not hold a JSON object`)
  return value
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The types of a component and of the parts of a `Sequence`. */
function componentTypes(component: unknown, partsKey: string): string[] {
  if (!isObject(component)) return []
  const parts = component[partsKey]
  if (component.type === 'Sequence' && Array.isArray(parts))
    return parts.flatMap((part) => componentTypes(part, partsKey))
  return [String(component.type)]
}

function isTokenId(id: unknown): id is number {
  return typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < 2 ** 24
}

function readVocabulary(vocab: unknown, source: string): Record<string, number> {
  if (!isObject(vocab)) throw new CheckpointError(`tokenizer.json of ${source}: model.vocab is not an object`)
  for (const [entry, id] of Object.entries(vocab))
    if (!isTokenId(id))
      throw new CheckpointError(`tokenizer.json of ${source}: the id of ${JSON.stringify(entry)} is ${id}`)
  return vocab as Record<string, number>
}

function readMerges(merges: unknown, source: string): [string, string][] {
  if (!Array.isArray(merges)) throw new CheckpointError(`tokenizer.json of ${source}: model.merges is not a list`)
  return merges.map((merge) => {
    const pair = typeof merge === 'string' ? merge.split(' ') : merge
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string' || typeof pair[1] !== 'string')
      throw new CheckpointError(`tokenizer.json of ${source}: merge ${JSON.stringify(merge)} is not a pair of entries`)
    return [pair[0], pair[1]]
  })
}

/** `added_tokens` of tokenizer.json, and those that only `added_tokens_decoder` of tokenizer_config.json has. */
function readAddedTokens(list: unknown, decoder: unknown, source: string): AddedToken[] {
  const entries: unknown[] = Array.isArray(list) ? [...list] : []
  const known = new Set(entries.map((entry) => isObject(entry) && entry.id))
  for (const [id, entry] of Object.entries(isObject(decoder) ? decoder : {}))
    if (!known.has(Number(id)) && isObject(entry)) entries.push({ ...entry, id: Number(id) })
  return entries.map((entry) => {
    if (!isObject(entry) || !isTokenId(entry.id) || typeof entry.content !== 'string' || entry.content === '')
      throw new CheckpointError(
        `tokenizer.json of ${source}: added token ${JSON.stringify(entry)} needs an id and a content`,
      )
    const special = entry.special === true
    return {
      id: entry.id,
      content: entry.content,
      special,
      normalized: typeof entry.normalized === 'boolean' ? entry.normalized : !special,
      single_word: entry.single_word === true,
      lstrip: entry.lstrip === true,
      rstrip: entry.rstrip === true,
    }
  })
}

function rewritePreTokenizer(component: unknown, refuse: (what: string) => never): object[] {
  if (!isObject(component)) return refuse('a part of its pre-tokenizer is not an object')
  switch (component.type) {
    case 'Sequence':
      return (component.pretokenizers as unknown[]).flatMap((part) => rewritePreTokenizer(part, refuse))
    case 'Digits':
      return [isolatedSplit(component.individual_digits === true ? '\\p{N}' : '\\p{N}+')]
    case 'ByteLevel':
      if (component.use_regex === false) return [component]
      return component.add_prefix_space === true ? [component] : [isolatedSplit(GPT2_SPLIT), BYTES_ONLY]
    case 'Split': {
      const behavior = String(component.behavior)
      if (behavior === 'Isolated') return [{ ...component, invert: false }]
      if (behavior === 'Removed') return [component]
      return refuse(`its pre-tokenizer splits with the behavior ${behavior}`)
    }
    default:
      return refuse(`its pre-tokenizer has the part ${component.type}`)
  }
}

/** Every special token that the post-processor would add must exist. */
function checkPostProcessor(component: unknown, exists: (token: string) => boolean, source: string): void {
  if (!isObject(component)) return
  if (Array.isArray(component.processors))
    for (const part of component.processors) checkPostProcessor(part, exists, source)
  for (const item of Array.isArray(component.single) ? component.single : []) {
    const token = isObject(item) && isObject(item.SpecialToken) ? item.SpecialToken.id : undefined
    if (token !== undefined && !exists(String(token)))
      throw new CheckpointError(
        `tokenizer.json of ${source}: its post-processor adds ${token}, which is not in the vocabulary`,
      )
  }
}
