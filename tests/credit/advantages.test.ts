import assert from 'node:assert/strict'
import test from 'node:test'
import { groupAdvantages, shapeAdvantages } from '../../lib/credit/advantages'
import { assertClose } from '../oracle/close'
import { readReference } from '../oracle/reference'

interface Grpo {
  rewards: number[][]
  advantages: number[]
  advantagesSampleStd: number[]
  responses: { coupledCredit: number[]; advantage: number }[]
  cases: { credit: string; oldLogprob: string; aggregate: string; perTokenLoss?: number[][] }[]
}
const grpo = readReference<Grpo>('tiny-llama/grpo.json')

test('group advantages agree with the reference for either deviation', () => {
  assertClose(
    grpo.rewards.flatMap((group) => groupAdvantages(group).advantages),
    grpo.advantages,
    1e-9,
  )
  assertClose(
    grpo.rewards.flatMap((group) => groupAdvantages(group, 'sample').advantages),
    grpo.advantagesSampleStd,
    1e-9,
  )
})

test('shaped advantages: with fresh log-probabilities the loss of a token is minus its shaped advantage', () => {
  const losses = grpo.cases.filter((c) => c.perTokenLoss && c.oldLogprob === 'logprob')
  assert.ok(losses.some((c) => c.credit === 'coupled'))
  for (const { credit, perTokenLoss } of losses)
    grpo.responses.forEach(({ coupledCredit, advantage }, i) => {
      const gammas = credit === 'coupled' ? coupledCredit : coupledCredit.map(() => 1)
      assertClose(
        shapeAdvantages(gammas, advantage).map((a) => -a),
        perTokenLoss![i]!,
        1e-6,
      )
    })
})

test('a group whose rewards are all equal is dropped, whatever rounding says', () => {
  assert.deepEqual(groupAdvantages([1, 1, 1]), { advantages: [0, 0, 0], dropped: true })
  assert.deepEqual(groupAdvantages([0.1, 0.1, 0.1], 'sample'), { advantages: [0, 0, 0], dropped: true })
  assert.deepEqual(groupAdvantages([0.7]), { advantages: [0], dropped: true })
  assert.throws(() => groupAdvantages([]), /no rewards/)
  assert.throws(() => groupAdvantages([1, Number.NaN]), /reward 1 of the group is NaN/)
})

test('signs: what is left out keeps its plain advantage', () => {
  const gammas = [1, 1.5]
  assert.deepEqual(shapeAdvantages(gammas, 2), [2, 3])
  assert.deepEqual(shapeAdvantages(gammas, -2), [-2, -3])
  assert.deepEqual(shapeAdvantages(gammas, 2, 'positive'), [2, 3])
  assert.deepEqual(shapeAdvantages(gammas, -2, 'positive'), [-2, -2])
  assert.deepEqual(shapeAdvantages(gammas, 2, 'negative'), [2, 2])
  assert.deepEqual(shapeAdvantages(gammas, -2, 'negative'), [-2, -3])
  assert.deepEqual(shapeAdvantages(gammas, 2, 'nonnegative'), [2, 3])
  assert.deepEqual(shapeAdvantages(gammas, -2, 'nonnegative'), [-2, -2])
})
