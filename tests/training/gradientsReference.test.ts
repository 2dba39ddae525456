import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { loadModel } from '../../lib/model/loadModel'
import { storedWeights } from '../../lib/model/weights'
import { accumulateGradients } from '../../lib/training/gradients/accumulateGradients'
import { Gradients } from '../../lib/training/gradients/gradients'
import { REFERENCE, readReference, seriesError } from '../oracle/reference'

interface Reference {
  clip: number
  responses: {
    ids: number[]
    promptLength: number
    advantage: number
    coupledCredit: number[]
    entropy: number[]
    logprob: number[]
    staleLogprob: number[]
  }[]
  cases: {
    credit: 'uniform' | 'coupled'
    oldLogprob: 'logprob' | 'staleLogprob'
    aggregate: 'token' | 'sequence'
    loss: number
    gradientNorm: number
    gradientNorms: Record<string, number>
  }[]
}

const reference = readReference<Reference>('tiny-llama/grpo.json')
const batch = {
  sequences: reference.responses.map((r) => r.ids),
  promptLengths: reference.responses.map((r) => r.promptLength),
}

for (const wanted of reference.cases) {
  const { credit, oldLogprob, aggregate } = wanted
  for (const recompute of [false, true]) {
    const name = `${credit} credit, old log-probabilities ${oldLogprob}, by ${aggregate}${recompute ? ', recomputed' : ''}`
    test(`the reference's loss and gradient norms: ${name}`, async () => {
      const model = await loadModel(join(REFERENCE, 'tiny-llama'))
      const gradients = new Gradients(model.weights)
      let loss = 0
      const statistics = await accumulateGradients(
        model,
        batch,
        ({ logprob, entropy }) => {
          const all = reference.responses.reduce((n, r) => n + r.logprob.length, 0)
          const derivative = reference.responses.map((response, b) => {
            const count = response.logprob.length
            const share = aggregate === 'token' ? 1 / all : 1 / (count * reference.responses.length)
            return Float32Array.from(response.logprob, (_, t) => {
              const ratio = Math.exp(logprob[b]![t]! - response[oldLogprob][t]!)
              const advantage = response.advantage * (credit === 'coupled' ? response.coupledCredit[t]! : 1)
              const clipped = Math.min(1 + reference.clip, Math.max(1 - reference.clip, ratio))
              loss -= share * Math.min(ratio * advantage, clipped * advantage)
              return ratio * advantage <= clipped * advantage ? -share * advantage * ratio : 0
            })
          })
          assert.ok(entropy.every((e, b) => e.length === derivative[b]!.length))
          return { logprob: derivative }
        },
        gradients,
        { recompute },
      )
      reference.responses.forEach((response, b) => {
        assert.ok(seriesError(statistics.logprob[b]!, response.logprob) < 1e-5, `log-probabilities of response ${b}`)
        assert.ok(seriesError(statistics.entropy[b]!, response.entropy) < 1e-5, `entropies of response ${b}`)
      })
      assert.ok(
        Math.abs(loss - wanted.loss) < 1e-4 * Math.max(1, Math.abs(wanted.loss)),
        `loss ${loss}, expected ${wanted.loss}`,
      )
      assert.ok(Math.abs(gradients.globalNorm() / wanted.gradientNorm - 1) < 1e-4, `norm ${gradients.globalNorm()}`)
      const stored = storedWeights(model.config, gradients.asWeights())
      assert.deepEqual(stored.map((s) => s.name).sort(), Object.keys(wanted.gradientNorms).sort())
      for (const { name, load } of stored) {
        const norm = Math.sqrt(load().reduce((sum, v) => sum + v * v, 0))
        const expected = wanted.gradientNorms[name]!
        assert.ok(Math.abs(norm - expected) < 1e-4 * expected, `${name}: ${norm}, expected ${expected}`)
      }
      gradients.dispose()
      model.dispose()
    })
  }
}
