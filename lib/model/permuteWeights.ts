import { pacer } from '../engine/cooperate'
import { randomStream } from '../random/randomStream'
import { LanguageModel } from './languageModel'
import { readWeights, storedWeights } from './weights'

/** Numbers that are exchanged before an interrupt or a message is looked for. */
const EXCHANGES_AT_ONCE = 2 ** 20

/**
 * The same model untrained: the values of each weight matrix permuted at random within the matrix, so that their distribution stays
 * and what was learned goes. Matrices are those of a checkpoint (queries, keys and values apart; an embedding that is also the
 * head once); norms and biases stay. A fresh initialisation would give almost uniform attention and hence no rhythm to compare with.
 * The same seed gives the same weights. The caller owns the result. Throws `Interrupted`.
 */
export async function permuteWeights(
  model: LanguageModel,
  seed = 0,
  options: { signal?: AbortSignal; onProgress?: (done: number, total: number, note?: string) => void } = {},
): Promise<LanguageModel> {
  const pause = pacer(options.signal)
  const stored = new Map(storedWeights(model.config, model.weights).map((weight, i) => [weight.name, { ...weight, i }]))
  const find = (name: string) => {
    const found = stored.get(name)
    if (!found) throw new Error(`permuted weights: the model has no tensor ${name}`)
    return found
  }
  const weights = await readWeights(
    {
      path: `${model.name}, weights permuted`,
      config: model.config,
      names: () => [...stored.keys()],
      shape: (name) => find(name).shape,
      read: async (name) => {
        const { shape, i, load } = find(name)
        const values = load().slice()
        if (shape.length < 2) return values
        const stream = randomStream(seed, i)
        for (let last = values.length - 1; last > 0; last--) {
          const other = stream.below(last + 1)
          const held = values[last]!
          values[last] = values[other]!
          values[other] = held
          if (last % EXCHANGES_AT_ONCE === 0) await pause()
        }
        return values
      },
      close: async () => {},
    },
    options.onProgress,
    model.precision,
  )
  const name = `${model.name} (weights permuted, seed ${seed})`
  return new LanguageModel(name, model.config, weights, model.tokenizer, model.chatTemplate, model.location)
}
