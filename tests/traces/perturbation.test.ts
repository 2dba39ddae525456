import assert from 'node:assert/strict'
import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { tf } from '../../lib/engine/tensorflow'
import { forward, logits } from '../../lib/model/decoder'
import type { LanguageModel } from '../../lib/model/languageModel'
import { makeTraceSet } from '../../lib/traces/makeTraceSet'
import type { TraceSet } from '../../lib/traces/openTraceSet'
import { perturbedPositions } from '../../lib/traces/perturbationPositions'
import { perturbationRollouts } from '../../lib/traces/perturbationRollouts'
import { type PerturbSetOptions, perturbSet, readRollouts } from '../../lib/traces/perturbSet'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyTextModel } from './tinyTextModel'

const folder = temporaryFolder()
const at = (name: string) => join(folder, name)
let model: LanguageModel
let set: TraceSet

before(async () => {
  model = await tinyTextModel()
  const problems = ['a', 'b', 'c'].map((id) => ({ id, context: 'So.', question: `Which is ${id}?`, answer: '1' }))
  set = await makeTraceSet(model, at('set'), { problems, maxNewTokens: 60, temperature: 1, withSentences: false })
})
after(() => model.dispose())

/** Log-probabilities of the next token, from a forward pass over the whole sequence alone. */
async function nextLogprobs(ids: number[]): Promise<number[]> {
  const states = await forward(model, [ids])
  const last = tf.tidy(() => {
    const all = logits(model, tf.reshape(states, [ids.length, -1]))
    return Array.from(tf.logSoftmax(tf.slice(all, [ids.length - 1, 0], [1, -1])).dataSync())
  })
  states.dispose()
  return last
}

const largest = (values: number[]) => values.indexOf(Math.max(...values))

async function greedy(prefix: number[], tokens: number): Promise<number[]> {
  const ids = [...prefix]
  while (ids.length < prefix.length + tokens && (ids.at(-1) !== 3 || ids.length === prefix.length))
    ids.push(largest(await nextLogprobs(ids)))
  return ids.slice(prefix.length)
}

test('roll-outs are the greedy continuations that full forward passes give, one candidate at a time', async () => {
  const { ids, promptLength } = set.responses.find((response) => response.ids.length - response.promptLength > 30)!
  const places = [20, 0, 7].map((position) => ({ position, kind: 'top' as const, fai: 0, entropy: 0 }))
  // 4 rows: a place at a time; 64: all together.
  for (const rowsAtOnce of [4, 64]) {
    const found = await perturbationRollouts(model, { ids, promptLength }, places, {
      candidates: 3,
      tokens: 9,
      rowsAtOnce,
    })
    assert.deepEqual(
      found.map(({ position }) => position),
      [20, 0, 7],
    )
    for (const { position, reference, alternatives } of found) {
      const prefix = ids.slice(0, promptLength + position)
      const own = ids[promptLength + position]!
      assert.equal(reference.token, own)
      assert.deepEqual(reference.ids, await greedy([...prefix, own], 9))
      const logprobs = await nextLogprobs(prefix)
      const likeliest = logprobs.map((_, id) => id).sort((a, b) => logprobs[b]! - logprobs[a]!)
      assert.deepEqual(
        alternatives.map(({ token }) => token),
        likeliest.slice(0, 3).filter((token) => token !== own),
      )
      for (const { token, logprob, ids: continued, text } of alternatives) {
        assert.ok(Math.abs(logprob - logprobs[token]!) < 1e-4)
        assert.deepEqual(continued, token === 3 ? [] : await greedy([...prefix, token], 9))
        assert.equal(text, model.decode(continued.filter((id) => id !== 3)))
      }
    }
  }
})

test('an end-of-text candidate has nothing after it', async () => {
  const { ids, promptLength } = set.responses[0]!
  const place = { position: 2, kind: 'top' as const, fai: 0, entropy: 0 }
  const [found] = await perturbationRollouts(model, { ids, promptLength }, [place], {
    candidates: 128,
    tokens: 3,
    rowsAtOnce: 1,
  })
  assert.equal(found!.alternatives.length, 127)
  const ended = [found!.reference, ...found!.alternatives].find(({ token }) => token === 3)!
  assert.deepEqual([ended.ids, ended.text], [[], ''])
})

test('positions: highest and lowest FAI among those defined and followed by enough; never one twice', () => {
  const block = (fai: number[], faiValid = fai.map(() => true)) => ({ fai, faiValid })
  const record = (fai: number[], entropy = fai.map(() => 0), valid?: boolean[]) =>
    ({ analysis: block(fai, valid), rl: block([...fai].reverse()), entropy }) as never
  const where = (...args: Parameters<typeof perturbedPositions>) =>
    perturbedPositions(...args).map(({ kind, position }) => `${kind} ${position}`)
  const fai = [5, 1, 4, 9, 3, 2, 100, 0]
  assert.deepEqual(where(record(fai), { positions: 2, following: 2 }), ['top 3', 'top 0', 'bottom 5', 'bottom 1'])
  const valid = fai.map((_, i) => i !== 3)
  assert.deepEqual(where(record(fai, undefined, valid), { positions: 1, following: 2 }), ['top 0', 'bottom 1'])
  assert.deepEqual(where(record(fai), { positions: 9, following: 3 }), ['top 3', 'top 0', 'bottom 4', 'bottom 1'])
  assert.deepEqual(where(record(fai), { positions: 1, following: 0, block: 'rl' }), ['top 1', 'bottom 0'])
  assert.deepEqual(where(record(fai), { following: 7 }), [])
  assert.deepEqual(where(record([2, 2, 1, 1]), { positions: 1, following: 0 }), ['top 0', 'bottom 3'])
  // Lower half: 2, 1, 0 at positions 5, 1, 7; entropies of the tops 6 and 3 are 4 and 1.
  const entropy = [0, 1.5, 0, 1, 0, 9, 4, 3]
  assert.deepEqual(where(record(fai, entropy), { positions: 2, following: 0, match: 'entropy' }), [
    'top 6',
    'top 3',
    'bottom 7',
    'bottom 1',
  ])
})

const options: PerturbSetOptions = { positions: 2, candidates: 3, tokens: 6, following: 4 }

test('a file of roll-outs is continued after a kill to the same bytes; other settings and sets are refused', async () => {
  assert.deepEqual(await perturbSet(model, set, at('whole.jsonl'), options), { made: 3, alreadyThere: 0 })
  const text = readFileSync(at('whole.jsonl'), 'utf8')
  const lines = text.split('\n')
  assert.deepEqual(
    (await readRollouts(at('whole.jsonl'))).map(({ id, positions }) => [id, positions.map(({ kind }) => kind).join()]),
    ['a', 'b', 'c'].map((id) => [id, 'top,top,bottom,bottom']),
  )
  for (const kept of [0, 10, lines[0]!.length + 1, lines[0]!.length + 300]) {
    writeFileSync(at('cut.jsonl'), text.slice(0, kept))
    if (kept > 0 && !text.slice(0, kept).endsWith('\n'))
      await assert.rejects(readRollouts(at('cut.jsonl')), /ends in the middle of a line/)
    await perturbSet(model, set, at('cut.jsonl'), options)
    assert.equal(readFileSync(at('cut.jsonl'), 'utf8'), text)
  }
  assert.deepEqual(await perturbSet(model, set, at('cut.jsonl'), options), { made: 0, alreadyThere: 3 })
  await assert.rejects(
    perturbSet(model, set, at('cut.jsonl'), { ...options, tokens: 7 }),
    /cannot be continued.*"tokens":6/,
  )
  const other = await tinyTextModel(2)
  await assert.rejects(perturbSet(other, set, at('cut.jsonl'), options), /is not the model of/)
  other.dispose()
  assert.equal(readFileSync(at('cut.jsonl'), 'utf8'), text)

  const first = perturbSet(model, set, at('two.jsonl'), { ...options, limit: 2 })
  while (!existsSync(at('two.jsonl.lock'))) await setImmediate()
  await assert.rejects(perturbSet(model, set, at('two.jsonl'), options), /two\.jsonl is in use by process/)
  await first
  assert.ok(!existsSync(at('two.jsonl.lock')))
  assert.equal(readFileSync(at('two.jsonl'), 'utf8'), `${lines[0]}\n${lines[1]}\n`)
  appendFileSync(at('two.jsonl'), '{"id": "c"}\n')
  await assert.rejects(readRollouts(at('two.jsonl')), /two\.jsonl:3: .*key 'problem'/)
  truncateSync(at('two.jsonl'), 0)
  assert.deepEqual(await readRollouts(at('two.jsonl')), [])
})

test('what cannot be rolled out is refused by name', async () => {
  const { ids, promptLength } = set.responses[0]!
  const place = (position: number) => [{ position, kind: 'top' as const, fai: 0, entropy: 0 }]
  const refused: [number, object, RegExp][] = [
    [0, { candidates: 0 }, /candidates 0/],
    [0, { tokens: 1.5 }, /tokens 1\.5/],
    [0, { tokens: 500 }, /the model's context is 512/],
    [1000, {}, /perturbed position 1000/],
  ]
  for (const [position, change, message] of refused)
    await assert.rejects(perturbationRollouts(model, { ids, promptLength }, place(position), change), message)
  await assert.rejects(perturbSet(model, set, at('x.jsonl'), { positions: 0 }), /positions 0/)
})
