import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { usablePrecision } from '../engine/precision'
import { textLocation } from '../model/adapterFolder'
import { entryOfText } from '../model/byteAlphabet'
import { loadChatTemplate } from '../model/chatTemplate'
import type { ModelConfig } from '../model/config'
import { resolveModel } from '../model/hub'
import { LanguageModel } from '../model/languageModel'
import { addProducts } from '../model/layerProducts'
import { randomModel } from '../model/loadModel'
import { loadTokenizer } from '../model/loadTokenizer'
import { openWeights } from '../model/openWeights'
import { readWeights } from '../model/weights'
import { writeFileAtomically } from '../model/writeFileAtomically'
import type { FreshModel, ModelChoice, TrainingConfig } from './trainingConfig'

/** How a model's matrices are held for bfloat16 products: not at all, as copies of weights that move, or alone, where they are frozen. */
export type Products = 'none' | 'copies' | 'alone'

/** What the products of a run's configuration need; one line on standard error where this machine has none in bfloat16. */
export const productsOf = ({ model, lora }: Pick<TrainingConfig, 'model' | 'lora'>): Products =>
  usablePrecision(model.precision ?? 'float32') === 'float32' ? 'none' : lora ? 'alone' : 'copies'

/**
 * The model that a run begins with, which the run alone holds: its weights will change. A fresh one has its tokenizer in
 * `folder`, from where checkpoints copy it.
 */
export async function initialModel(
  choice: ModelChoice,
  seed: number,
  folder: string,
  products: Products = 'none',
): Promise<LanguageModel> {
  if ('from' in choice) return ownModel(await resolveModel(choice.from), choice.from, products)
  await writeCharacterTokenizer(choice.characters, folder)
  const model = await randomModel(freshConfig(choice), { seed, initializerRange: choice.initializerRange })
  if (products !== 'none') addProducts(model.weights)
  return new LanguageModel(
    'fresh',
    model.config,
    model.weights,
    await loadTokenizer(folder),
    null,
    path.resolve(folder),
  )
}

/** A model read for this caller alone, never the one that `loadModel` shares. The caller disposes of it. */
export async function ownModel(location: string, name = location, products: Products = 'none'): Promise<LanguageModel> {
  const source = await openWeights(location)
  try {
    const text = await textLocation(location)
    const tokenizer = await loadTokenizer(text)
    const weights = await readWeights(source, undefined, products === 'alone' ? 'bf16' : 'float32')
    if (products === 'copies') addProducts(weights)
    return new LanguageModel(name, source.config, weights, tokenizer, await loadChatTemplate(text), text)
  } finally {
    await source.close()
  }
}

/** The shape of a fresh decoder. */
export function freshConfig(choice: FreshModel): ModelConfig {
  const { characters, end, initializerRange: _, precision: _p, ...shape } = choice
  const endId = characters.indexOf(end)
  return {
    ...shape,
    modelType: 'llama',
    vocabSize: characters.length,
    ropeScaling: null,
    qkvBias: false,
    outputBias: false,
    queryKeyNorm: false,
    bosTokenId: null,
    eosTokenIds: [endId],
    padTokenId: endId,
  }
}

/** A tokenizer in the Hugging Face form whose tokens are these ASCII characters, ids in their order. */
export async function writeCharacterTokenizer(characters: string, folder: string): Promise<void> {
  const vocab = Object.fromEntries([...characters].map((character, id) => [entryOfText(character), id]))
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false }
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges: [],
    },
  }
  await mkdir(folder, { recursive: true })
  const files = {
    'tokenizer.json': tokenizer,
    'tokenizer_config.json': { tokenizer_class: 'PreTrainedTokenizerFast', clean_up_tokenization_spaces: false },
  }
  for (const [name, content] of Object.entries(files))
    await writeFileAtomically(path.join(folder, name), (write) =>
      write(Buffer.from(`${JSON.stringify(content, null, 2)}\n`)),
    )
}
