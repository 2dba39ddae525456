import { existsSync, statSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { textLocation } from '../../model/adapterFolder'
import { loadChatTemplate } from '../../model/chatTemplate'
import type { ModelConfig } from '../../model/config'
import { resolveModel } from '../../model/hub'
import { parseHuggingFaceConfig } from '../../model/huggingFaceConfig'
import { LanguageModel } from '../../model/languageModel'
import { loadTokenizer } from '../../model/loadTokenizer'
import { openWeights } from '../../model/openWeights'
import type { DecoderWeights } from '../../model/weights'
import { workspaceRoot } from '../../model/workspace'
import { freshConfig, writeCharacterTokenizer } from '../trainedModel'
import type { ModelChoice } from '../trainingConfig'
import { publishedShape } from './publishedModels'

// A plan reads shapes and texts; whatever asked for a weight would fail at once.
const NO_WEIGHTS = { embedding: null, layers: [], finalNorm: null, head: null } as unknown as DecoderWeights

/** The model that a run begins with, without its weights: shape, tokenizer and chat template. */
export async function plannedModel(choice: ModelChoice): Promise<LanguageModel> {
  if (!('from' in choice)) {
    const folder = await mkdtemp(path.join(tmpdir(), 'rhythm-plan-'))
    try {
      await writeCharacterTokenizer(choice.characters, folder)
      return new LanguageModel('fresh', freshConfig(choice), NO_WEIGHTS, await loadTokenizer(folder))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  const location = await resolveModel(choice.from)
  const source = await openWeights(location)
  await source.close()
  const text = await textLocation(location)
  return new LanguageModel(
    choice.from,
    source.config,
    NO_WEIGHTS,
    await loadTokenizer(text),
    await loadChatTemplate(text),
    text,
  )
}

/**
 * The shape alone of the model that a run begins with: of a checkpoint, of a folder that holds no more than its config.json, or, for a name on
 * the hub that has not been downloaded, the published one. A name that is not known is downloaded.
 */
export async function plannedShape(choice: ModelChoice): Promise<ModelConfig> {
  if (!('from' in choice)) return freshConfig(choice)
  const { from } = choice
  const downloaded = path.join(workspaceRoot(), 'data', 'models', from.replaceAll('/', '--'))
  const published = existsSync(from) || existsSync(downloaded) ? null : publishedShape(from)
  if (published) return published
  const location = await resolveModel(from)
  const file = path.join(location, 'config.json')
  if (statSync(location).isDirectory() && existsSync(file))
    return parseHuggingFaceConfig(JSON.parse(await readFile(file, 'utf8')), null, file)
  const source = await openWeights(location)
  await source.close()
  return source.config
}
