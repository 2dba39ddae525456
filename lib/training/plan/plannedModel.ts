import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { textLocation } from '../../model/adapterFolder'
import { loadChatTemplate } from '../../model/chatTemplate'
import { resolveModel } from '../../model/hub'
import { LanguageModel } from '../../model/languageModel'
import { loadTokenizer } from '../../model/loadTokenizer'
import { openWeights } from '../../model/openWeights'
import type { DecoderWeights } from '../../model/weights'
import { freshConfig, writeCharacterTokenizer } from '../trainedModel'
import type { ModelChoice } from '../trainingConfig'

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
