import { resolveModel } from '../../lib/model/hub'
import { LanguageModel } from '../../lib/model/languageModel'
import { loadTokenizer } from '../../lib/model/loadTokenizer'
import { openWeights } from '../../lib/model/openWeights'
import { readWeights } from '../../lib/model/weights'

/** A model with bfloat16 products, whatever this processor has for them: `loadModel` would fall back. The caller disposes of it. */
export async function narrowModel(name: string, text = false): Promise<LanguageModel> {
  const location = await resolveModel(name)
  const source = await openWeights(location)
  try {
    const weights = await readWeights(source, undefined, 'bf16')
    return new LanguageModel(name, source.config, weights, text ? await loadTokenizer(location) : null)
  } finally {
    await source.close()
  }
}
