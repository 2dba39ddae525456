import { loadChatTemplate } from '../../lib/model/chatTemplate'
import { resolveModel } from '../../lib/model/hub'
import { LanguageModel } from '../../lib/model/languageModel'
import { randomModel, saveModel } from '../../lib/model/loadModel'
import { loadTokenizer } from '../../lib/model/loadTokenizer'

/** Saves a tiny untrained model of three layers, with SmolLM2's tokenizer and chat template, as a Hugging Face folder. */
export async function saveTinyModel(folder: string): Promise<void> {
  const location = await resolveModel('smollm2-135m-instruct')
  const { config, weights } = await randomModel(
    {
      ...{ modelType: 'llama', vocabSize: 49152, hiddenSize: 16, intermediateSize: 24, numHiddenLayers: 3 },
      ...{ numAttentionHeads: 4, numKeyValueHeads: 2, headDim: 4, maxPositionEmbeddings: 512, rmsNormEps: 1e-5 },
      ...{ ropeTheta: 10000, ropeScaling: null, qkvBias: false, outputBias: false, queryKeyNorm: false },
      ...{ tieWordEmbeddings: true, bosTokenId: 1, eosTokenIds: [2], padTokenId: 2 },
    },
    { initializerRange: 0.3 },
  )
  const tokenizer = await loadTokenizer(location)
  const model = new LanguageModel('tiny', config, weights, tokenizer, await loadChatTemplate(location), location)
  await saveModel(model, folder)
  model.dispose()
}
