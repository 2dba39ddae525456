import assert from 'node:assert/strict'
import test from 'node:test'
import { couple } from '../../lib/credit/coupling'
import { creditOptions } from '../../lib/credit/creditOptions'
import { creditOf, type ResponseRhythm } from '../../lib/credit/creditStrategy'
import { STRATEGIES, type StrategyName, strategyNamed } from '../../lib/credit/strategies'
import { responseRhythm } from '../../lib/credit/traceRhythm'
import { randomStream } from '../../lib/random/randomStream'
import { distanceDrop } from '../../lib/rhythm/tokenSeries'
import { assertClose } from '../oracle/close'
import { ALL_TRACES, creditPart, readReference, TINY_MODELS } from '../oracle/reference'

function rhythmOf(waad: number[], fai: number[], faiValid = fai.map(() => true)): ResponseRhythm {
  return { length: waad.length, waad, fai, faiValid, delta: distanceDrop(waad), entropy: waad.map(() => 0) }
}

/** Random rhythm with many ties and a zero tail. */
function randomRhythm(seed: number): ResponseRhythm {
  const { below, uniform } = randomStream(seed)
  const length = 1 + below(40)
  const tail = below(12)
  const waad = Array.from({ length }, () => below(12) / 2)
  const faiValid = waad.map((_, t) => t < length - tail)
  const fai = faiValid.map((valid) => (valid ? below(9) / 8 : 0))
  return { ...rhythmOf(waad, fai, faiValid), entropy: waad.map(() => uniform()) }
}

for (const name of ALL_TRACES)
  test(`${name}: credit and coupling follow from the reference's series`, () => {
    const { analysis, rl, entropy } = readReference(name)
    for (const block of [analysis, rl]) {
      const rhythm = responseRhythm(block, entropy)
      for (const [strategy, gammas] of Object.entries(block.credit))
        assertClose(creditOf(strategyNamed(strategy), rhythm), gammas, 1e-12, strategy)
      const { dominated, introducers, introducedBy } = couple(rhythm, creditOptions())
      assert.deepEqual({ dominated, introducers }, block.coupling)
      assert.deepEqual(
        [...new Set(introducedBy)].sort((a, b) => a - b),
        introducers,
      )
    }
  })

for (const model of TINY_MODELS)
  test(`${model}: the reference's variants of credit options`, () => {
    const { variants, entropy } = readReference(`${model}/expected.json`)
    assert.equal(variants!.length, 6)
    for (const { options, expected } of variants!) {
      const rhythm = responseRhythm({ ...expected, delta: distanceDrop(expected.waad) }, entropy)
      for (const [strategy, gammas] of Object.entries(expected.credit))
        assertClose(creditOf(strategyNamed(strategy), rhythm, creditPart(options)), gammas, 1e-12, strategy)
      const { dominated, introducers } = couple(rhythm, creditOptions(creditPart(options)))
      assert.deepEqual({ dominated, introducers }, expected.coupling)
    }
  })

test('calibrated heads: coupled credit of eight responses of a GRPO batch', () => {
  interface Response {
    waad: number[]
    fai: number[]
    faiValid: boolean[]
    entropy: number[]
    coupledCredit: number[]
  }
  const { responses } = readReference<{ responses: Response[] }>('tiny-llama/grpo.json')
  assert.equal(responses.length, 8)
  for (const { waad, fai, faiValid, entropy, coupledCredit } of responses) {
    const rhythm = responseRhythm({ waad, fai, faiValid, delta: distanceDrop(waad) }, entropy)
    assert.deepEqual(creditOf(STRATEGIES.coupled, rhythm), coupledCredit)
  }
})

test('Eq. 18-19 by hand: the terms add up to 1.75 for a free anchor that introduces another, 1.25 for the dominated one', () => {
  // delta: 1 5 4 2 1 -; medians: WAAD 3.5, delta 2. Valid FAI: five tokens, so two anchors, 2 and 3.
  const rhythm = rhythmOf([1, 2, 7, 3, 5, 4], [0.1, 0.2, 0.9, 0.8, 0.3, 0], [true, true, true, true, true, false])
  assert.deepEqual(creditOf(STRATEGIES.coupled, rhythm, { lookback: 1 }), [1, 1, 1.75, 1.25, 1, 1])
  // With k = 3 the largest drop in the window before token 3 is token 1's.
  assert.deepEqual(creditOf(STRATEGIES.coupled, rhythm), [1, 1.25, 1.5, 1.25, 1, 1])
  assert.deepEqual(couple(rhythm, creditOptions()), {
    anchors: [2, 3],
    dominated: [3],
    introducers: [1],
    introducedBy: [1],
  })
})

test('Eq. 19 by hand: 1.5 for an anchor that is dominated and introduces another', () => {
  // delta: 4 3 4 3 1 -; medians: WAAD 3.5, delta 3. Anchors 2 and 4, both dominated: by token 0 (drop 4) and token 2 (drop 4).
  const rhythm = rhythmOf([1, 5, 2, 6, 3, 4], [0.1, 0.2, 0.9, 0.3, 0.8, 0], [true, true, true, true, true, false])
  assert.deepEqual(creditOf(STRATEGIES.coupled, rhythm), [1.25, 1, 1.5, 1, 1.25, 1])
})

test('a token that introduces two anchors gets the bonus once; ties in intro go to the earlier token', () => {
  // delta: 5 5 0 0 -: token 0 introduces both anchors 2 and 3 (window of 3), although token 1 drops as much.
  const rhythm = rhythmOf([8, 3, 8, 8, 8], [0, 0, 1, 1, 0])
  const options = { waadThreshold: { value: 100 } }
  assert.deepEqual(couple(rhythm, creditOptions(options)), {
    anchors: [2, 3],
    dominated: [2, 3],
    introducers: [0],
    introducedBy: [0, 0],
  })
  assert.deepEqual(creditOf(STRATEGIES.coupled, rhythm, options), [1.25, 1, 1.25, 1.25, 1])
})

test('an anchor without an earlier response token is never dominated', () => {
  const rhythm = rhythmOf([0, 9, 0, 9], [9, 0, 0, 0])
  assert.deepEqual(creditOf(STRATEGIES.coupled, rhythm, { topShare: 0.2 }), [1.5, 1, 1, 1])
})

test('the undefined last drop counts neither in the threshold nor in TopQ', () => {
  // Drops 1.9, 1, 5, 2.1: median 2. With a fifth drop of 0 it would be 1.9, and token 1 dominated by token 0.
  const rhythm = rhythmOf([10, 8.1, 7.1, 12.1, 10], [0, 0.9, 0, 0, 0])
  assert.deepEqual(couple(rhythm, creditOptions({ topShare: 0.2, lookback: 1 })).dominated, [])
  // Of five defined drops 40 % are 2; of six it would be 3.
  const six = rhythmOf([0, 1, 3, 6, 10, 15], [1, 1, 1, 1, 1, 1])
  assert.deepEqual(creditOf(STRATEGIES['local-chunk'], six), [1, 1, 1, 1.5, 1.5, 1])
})

test('one token, one valid FAI, none at all', () => {
  const one = rhythmOf([0], [0], [false])
  for (const name of Object.keys(STRATEGIES) as StrategyName[]) {
    const expected = name === 'random' || name === 'entropy' ? [1.5] : [1]
    assert.deepEqual(creditOf(STRATEGIES[name], one), expected, name)
  }
  assert.deepEqual(creditOf(STRATEGIES.coupled, rhythmOf([0], [0.5])), [1.5])
})

test('bottom-q amplifies the smallest values of the valid tokens', () => {
  const rhythm = rhythmOf([1, 2, 4, 8, 16], [5, 4, 3, 2, 0], [true, true, true, true, false])
  const options = { end: 'bottom' as const, topShare: 0.25 }
  assert.deepEqual(creditOf(STRATEGIES['local-chunk'], rhythm, options), [1.5, 1, 1, 1, 1])
  assert.deepEqual(creditOf(STRATEGIES['global-anchor'], rhythm, options), [1, 1, 1, 1.5, 1])
  assert.deepEqual(couple(rhythm, creditOptions(options)).anchors, [3])
})

test('properties, fuzzed: how much credit each strategy gives', () => {
  for (let seed = 0; seed < 200; seed++) {
    const rhythm = randomRhythm(seed)
    const options = creditOptions({ alpha: 0.25, amplification: 3, topShare: 0.3 })
    const extra = (name: StrategyName) =>
      creditOf(STRATEGIES[name], rhythm, options, seed).reduce((sum, gamma) => sum + gamma - 1, 0)
    const { anchors, dominated, introducers } = couple(rhythm, options)
    const exact = 2 * (anchors.length - 0.25 * dominated.length + 0.25 * introducers.length)
    assertClose([extra('coupled')], [exact], 1e-9)
    assertClose([extra('shuffled')], [exact], 1e-9)
    assertClose([extra('random')], [2 * Math.ceil((3 * rhythm.length) / 10)], 1e-9)
    assertClose([extra('local-chunk')], [2 * Math.ceil((3 * (rhythm.length - 1)) / 10)], 1e-9)
    assert.equal(extra('uniform'), 0)
    assert.ok(anchors.every((t) => rhythm.faiValid[t]))
    assert.ok(dominated.every((t) => anchors.includes(t) && t > 0))
  }
})

test('with alpha 0 coupled is global-anchor; with amplification 1 everything is uniform', () => {
  for (let seed = 0; seed < 50; seed++) {
    const rhythm = randomRhythm(seed)
    const anchors = creditOf(STRATEGIES['global-anchor'], rhythm)
    assert.deepEqual(creditOf(STRATEGIES.coupled, rhythm, { alpha: 0 }), anchors)
    for (const strategy of Object.values(STRATEGIES))
      assert.ok(creditOf(strategy, rhythm, { amplification: 1 }, seed).every((gamma) => gamma === 1))
  }
})

test('random and shuffled: the same seed gives the same tokens, another seed others', () => {
  const { rl, entropy } = readReference('smollm2-00.json')
  const rhythm = responseRhythm(rl, entropy)
  const sorted = (gammas: number[]) => [...gammas].sort((a, b) => a - b)
  for (const name of ['random', 'shuffled'] as const) {
    const first = creditOf(STRATEGIES[name], rhythm, {}, 5)
    assert.deepEqual(creditOf(STRATEGIES[name], rhythm, {}, 5), first)
    assert.notDeepEqual(creditOf(STRATEGIES[name], rhythm, {}, 6), first)
  }
  const shuffled = creditOf(STRATEGIES.shuffled, rhythm, {}, 5)
  assert.deepEqual(sorted(shuffled), sorted(creditOf(STRATEGIES.coupled, rhythm)))
})

test("any strategy's gammas can be shuffled: the same amount of credit, elsewhere; coupled's are the strategy `shuffled`", () => {
  const { rl, entropy } = readReference('smollm2-00.json')
  const rhythm = responseRhythm(rl, entropy)
  const sorted = (gammas: number[]) => [...gammas].sort((a, b) => a - b)
  for (const name of ['entropy', 'local-chunk', 'global-anchor', 'coupled'] as const) {
    const own = creditOf(STRATEGIES[name], rhythm, { normalize: 'mean' })
    const elsewhere = creditOf(STRATEGIES[name], rhythm, { placement: 'shuffled', normalize: 'mean' }, 5)
    assert.notDeepEqual(elsewhere, own)
    assertClose(sorted(elsewhere), sorted(own), 1e-12)
    assert.notDeepEqual(creditOf(STRATEGIES[name], rhythm, { placement: 'shuffled', normalize: 'mean' }, 6), elsewhere)
  }
  const shuffled = creditOf(STRATEGIES.shuffled, rhythm, {}, 5)
  assert.deepEqual(creditOf(STRATEGIES.coupled, rhythm, { placement: 'shuffled' }, 5), shuffled)
  // A strategy of one's own: which gamma lands where is uniform over places.
  const first = new Array<number>(4).fill(0)
  const one = rhythmOf([1, 1, 1, 1], [1, 1, 1, 1])
  for (let seed = 0; seed < 2000; seed++)
    first[creditOf(() => [3, 1, 1, 1], one, { placement: 'shuffled' }, seed).indexOf(3)]!++
  // Expected 500 each with a standard deviation of 19.
  assert.ok(
    first.every((count) => Math.abs(count - 500) < 100),
    String(first),
  )
  assert.throws(() => creditOf(STRATEGIES.coupled, rhythm, { placement: 'elsewhere' as 'own' }), /'own' or 'shuffled'/)
})

test('random credit falls on every token equally often', () => {
  const rhythm = rhythmOf(new Array(10).fill(1), new Array(10).fill(1))
  const counts = new Array<number>(10).fill(0)
  for (let seed = 0; seed < 2000; seed++)
    creditOf(STRATEGIES.random, rhythm, {}, seed).forEach((gamma, t) => {
      if (gamma > 1) counts[t]!++
    })
  // Expected 800 each with a standard deviation of 22.
  assert.ok(
    counts.every((count) => Math.abs(count - 800) < 100),
    String(counts),
  )
})

test('an unknown name is refused', () => {
  assert.throws(() => strategyNamed('couple'), /unknown credit strategy 'couple': expected one of uniform, random/)
  assert.throws(() => strategyNamed('toString'), /unknown credit strategy/)
})
