import assert from 'node:assert/strict'
import test from 'node:test'
import { contentWords, jaccard, type PerturbedResponseTexts, scorePerturbation } from '../../lib/analysis/perturbation'

const words = (text: string, tokenText = ' ') => [...contentWords({ tokenText, text })].sort()

test('content words: no stop words, lower case, numbers whole, no rest of the forced word', () => {
  assert.deepEqual(words('The jars, and THE Honey of 1,200.5 bees.'), ['1,200.5', 'bees', 'honey', 'jars'])
  assert.deepEqual(words('ly sold 12 jars'), ['12', 'jars', 'ly', 'sold'])
  assert.deepEqual(words('ly sold jars', 'first'), ['jars', 'sold'])
  assert.deepEqual(words(' sold jars', 'first'), ['jars', 'sold'])
  assert.deepEqual(words('0 jars', '4'), ['jars'])
  assert.deepEqual(words('the of and'), [])
  assert.deepEqual(words('Müller’s Äpfel'), ["müller's", 'äpfel'])
})

test('Jaccard by hand; two empty sets have none', () => {
  const set = (...of: string[]) => new Set(of)
  assert.equal(jaccard(set('a', 'b', 'c'), set('b', 'c', 'd')), 0.5)
  assert.equal(jaccard(set('a'), set('a')), 1)
  assert.equal(jaccard(set('a'), set()), 0)
  assert.equal(jaccard(set(), set()), null)
})

/** A response whose one position of each kind has the given pairs of texts. */
function response(problem: string, top: [string, string][], bottom: [string, string][]): PerturbedResponseTexts {
  const place = (kind: 'top' | 'bottom', pairs: [string, string][], entropy: number) => ({
    kind,
    entropy,
    reference: { tokenText: ' ', text: pairs[0]?.[0] ?? 'jar' },
    alternatives: pairs.map(([, text]) => ({ tokenText: ' ', text })),
  })
  return { id: problem, problem, positions: [place('top', top, 2), place('bottom', bottom, 1)] }
}

test('scores by hand: means over alternatives, positions, problems; a tie counts one half; empty pairs are left out', () => {
  const responses = [
    // top: (1/2 + 1) / 2 = 0.75 and the empty pair does not arise; bottom: 1.
    response(
      'a',
      [
        ['jar bee', 'jar'],
        ['jar bee', 'bee jar'],
      ],
      [['jar', 'jar']],
    ),
    // A tie at 0.
    response('b', [['jar', 'bee']], [['jar', 'bee']]),
    // top 1 > bottom 1/3.
    response('c', [['jar', 'jar']], [['jar bee', 'jar hive']]),
    // Nothing to compare at the top: left out of the means.
    response('d', [['the', 'of']], [['jar', 'jar']]),
  ]
  const score = scorePerturbation(responses, { bootstrap: { replicates: 200 } })
  const near = (value: number | null, expected: number) => assert.ok(Math.abs(value! - expected) < 1e-12, `${value}`)
  near(score.top.value, (0.75 + 0 + 1) / 3)
  near(score.bottom.value, (1 + 0 + 1 / 3) / 3)
  near(score.difference.value, (4 / 3 - 1.75) / 3)
  near(score.probability.value, (1 + 0.5 + 0) / 3)
  assert.deepEqual([score.problems, score.leftOut, score.pairs], [3, 1, { compared: 8, bothEmpty: 1 }])
  assert.deepEqual(score.entropy, { top: 2, bottom: 1 })
  assert.deepEqual(score.perProblem[3], { problem: 'd', top: null, bottom: 1 })
  assert.deepEqual([score.paper.top, score.paper.bottom, score.paper.probability], [0.534, 0.631, 0.8714])
})

test('a planted effect is found with an interval that holds it; responses to one problem count together', () => {
  // 30 problems: top 1/3 always; bottom 1 in 24 problems, 0 in 6.
  const many = Array.from({ length: 30 }, (_, i) =>
    response(`p${i}`, [['jar bee', 'jar hive']], [['jar', i % 5 === 0 ? 'bee' : 'jar']]),
  )
  const { top, bottom, probability } = scorePerturbation(many)
  assert.ok(Math.abs(top.value! - 1 / 3) < 1e-12 && Math.abs(top.high! - 1 / 3) < 1e-12)
  assert.ok(Math.abs(bottom.value! - 0.8) < 1e-12 && bottom.low! < 0.8 && bottom.high! > 0.8)
  assert.equal(probability.value, 0.8)
  // A binomial share of 30 at 0.8 has a standard error of 0.073.
  assert.ok(probability.low! > 0.5 && probability.low! < 0.73 && probability.high! > 0.86 && probability.high! <= 1)

  const twice = many.flatMap((one) => [one, { ...one, id: `${one.id}-s1` }])
  const again = scorePerturbation(twice)
  assert.equal(again.problems, 30)
  assert.deepEqual(again.probability, probability)
})

test('one problem has no interval; no response is refused; stop words can be given', () => {
  const one = [response('a', [['the jar', 'the bee']], [['jar', 'jar']])]
  assert.deepEqual(scorePerturbation(one).probability, { value: 1, low: null, high: null })
  assert.equal(scorePerturbation(one, { stopWords: ['jar', 'bee'] }).top.value, null)
  assert.equal(scorePerturbation(one, { stopWords: [] }).perProblem[0]!.top, 1 / 3)
  assert.throws(() => scorePerturbation([]), /no roll-outs to score/)
})
