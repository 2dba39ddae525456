import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { bfloat16Product, toBfloat16 } from '../../lib/engine/bfloat16'
import { nativeTensors, tf } from '../../lib/engine/tensorflow'
import { KeyValueCache } from '../../lib/model/cache'
import { type Decoder, decodeStep, forward, logits } from '../../lib/model/decoder'
import { generate } from '../../lib/model/generate'
import { CANDIDATES, GreedyHead, UNCERTAINTY } from '../../lib/model/greedyHead'
import type { LanguageModel } from '../../lib/model/languageModel'
import { narrowModel } from '../support/narrowModel'

let model: LanguageModel
before(async () => {
  model = await narrowModel('smollm2-135m-instruct', true)
})
after(() => model.dispose())

const TEXTS = [
  'Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did she sell?',
  'def quicksort(xs):\n    return xs if len(xs) < 2 else',
  '9 9 9 9 9 9 9 9 9 9',
]

/** A decoder whose head is given; nothing else of it is used. */
const withHead = (head: tf.Tensor2D): Decoder => ({ config: model.config, weights: { ...model.weights, head } })

test('SmolLM2: the token of every position is the one with the largest logit in float32, and bfloat16 is far less off than is allowed', async () => {
  const sequences = TEXTS.map((text) => model.encode(text))
  const states = await forward(model, sequences)
  const [, N, hidden] = states.shape
  const head = new GreedyHead(model)
  for (const [b, ids] of sequences.entries()) {
    const rows = tf.slice(states, [b, 0, 0], [1, ids.length, hidden]).reshape([ids.length, hidden]) as tf.Tensor2D
    assert.ok(ids.length <= N)
    const exact = tf.tidy(() => logits(model, rows).arraySync())
    const rounded = tf.tidy(() => {
      const product = bfloat16Product(rows, toBfloat16(model.weights.head), { transposeB: true })
      return (product as tf.Tensor2D).arraySync()
    })
    const found = head.tokens(rows)
    for (const [row, values] of exact.entries()) {
      assert.equal(found[row], values.indexOf(Math.max(...values)))
      const error = Math.max(...values.map((value, id) => Math.abs(value - rounded[row]![id]!)))
      const largest = Math.max(...rounded[row]!)
      assert.ok(error < (UNCERTAINTY * largest) / 3, `off by ${error} where the largest is ${largest}`)
    }
    rows.dispose()
  }
  head.dispose()
  states.dispose()
})

test('where bfloat16 cannot tell more tokens than are compared from the best, the best in float32 is found all the same', () => {
  const [tokens, hidden, best] = [5000, model.config.hiddenSize, 4321]
  assert.ok(best > CANDIDATES)
  // Every row the same, but one larger by a thousandth: less than bfloat16 tells apart.
  const values = new Float32Array(tokens * hidden).fill(0.5)
  values.fill(0.5005, best * hidden, (best + 1) * hidden)
  const head = tf.tensor2d(values, [tokens, hidden])
  const states = tf.ones([2, hidden]) as tf.Tensor2D
  const greedy = new GreedyHead(withHead(head))
  assert.deepEqual(greedy.tokens(states), [best, best])
  // Of equal ones the first.
  const same = tf.fill([tokens, hidden], 0.5) as tf.Tensor2D
  const among = new GreedyHead(withHead(same))
  assert.deepEqual(among.tokens(states), [0, 0])
  for (const held of [greedy, among, head, same, states]) held.dispose()
})

test('logits that are not finite are an error', () => {
  const greedy = new GreedyHead(model)
  const states = tf.fill([1, model.config.hiddenSize], Number.NaN) as tf.Tensor2D
  assert.throws(() => greedy.tokens(states), /not finite/)
  states.dispose()
  greedy.dispose()
})

test('generate writes greedily in bf16 what comparing all logits writes, and leaves nothing behind', async () => {
  const prompts = TEXTS.map((text) => model.encode(text))
  const options = { maxNewTokens: 12, temperature: 0, stopTokens: [] }
  // One by one: in a batch, rounding differs by more than a head's.
  const written = async () => {
    const ids: number[][] = []
    for (const prompt of prompts) ids.push((await generate(model, [prompt], options))[0]!.ids)
    return ids
  }
  await written()
  const held = nativeTensors()
  const ids = await written()
  assert.equal(nativeTensors(), held)
  for (const [i, prompt] of prompts.entries()) assert.deepEqual(ids[i], await argmaxOf(prompt, 12))
})

/** Greedy decoding with the whole head, one sequence alone. */
async function argmaxOf(prompt: number[], count: number): Promise<number[]> {
  const cache = new KeyValueCache(model.config, [prompt.length])
  const states = await forward(model, [prompt], { cache })
  const likeliest = (of: tf.Tensor2D) => tf.tidy(() => logits(model, of).argMax(1).dataSync()[0]!)
  let last = tf.tidy(() => tf.slice(states, [0, prompt.length - 1, 0], [1, 1, -1]).reshape([1, -1])) as tf.Tensor2D
  states.dispose()
  const ids: number[] = []
  for (;;) {
    ids.push(likeliest(last))
    last.dispose()
    if (ids.length === count) break
    last = decodeStep(model, [ids.at(-1)!], cache)
  }
  cache.dispose()
  return ids
}
