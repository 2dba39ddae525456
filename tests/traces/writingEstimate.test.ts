import assert from 'node:assert/strict'
import test from 'node:test'
import { randomStream } from '../../lib/random/randomStream'
import { WritingEstimate } from '../../lib/traces/writingEstimate'

const MOST = 512
const BATCH = 36
/** As in the estimate: a step costs what 4.5 more tokens in it would. */
const work = (lengths: number[], step = MOST) =>
  lengths.reduce((sum, length) => sum + Math.min(length, step), 0) + 4.5 * Math.min(Math.max(...lengths), step)

/** Tokens of 80 responses of SmolLM2 to word problems, at most 512 each. */
const LENGTHS = [
  ...[35, 36, 37, 37, 45, 59, 61, 67, 74, 75, 87, 104, 104, 107, 115, 121, 122, 127, 128, 131, 134, 135, 145, 148, 149],
  ...[
    151, 152, 153, 153, 157, 158, 171, 171, 174, 178, 181, 192, 192, 195, 200, 213, 213, 217, 220, 220, 221, 229, 229,
  ],
  ...[
    230, 235, 236, 237, 239, 240, 242, 248, 251, 252, 257, 269, 275, 290, 290, 291, 315, 332, 348, 351, 400, 404, 434,
  ],
  ...[446, 447, 459, 466, 499, 512, 512, 512, 512],
]
const drawn = (count: number, seed: number) =>
  randomStream(seed)
    .permutation(LENGTHS.length)
    .slice(0, count)
    .map((i) => LENGTHS[i]!)

/** True and estimated share of the work at each step of writing 72 responses in two batches. */
function written(lengths: number[], begun = 0): { truth: number; shown: number }[] {
  const estimate = new WritingEstimate(lengths.length, BATCH, MOST)
  const seen: { truth: number; shown: number }[] = []
  const all = work(lengths.slice(0, BATCH)) + work(lengths.slice(BATCH))
  let spent = 0
  for (let start = 0; start < lengths.length; start += BATCH) {
    const part = lengths.slice(start, start + BATCH)
    if (start >= begun)
      for (const step of [...Array(Math.max(...part)).keys(), MOST - 1].map((before) => before + 1)) {
        const now = part.map((length) => Math.min(length, step))
        seen.push({ truth: (spent + work(part, step)) / all, shown: estimate.share(step, now) })
      }
    spent += work(part)
    estimate.addBatch(part.map((tokens) => ({ tokens, ended: tokens < MOST })))
  }
  return seen
}

test('the time left is mostly right within a quarter once a tenth is done', () => {
  const errors: number[] = []
  for (let seed = 0; seed < 6; seed++) {
    const seen = written(drawn(72, seed))
    for (const { truth, shown } of seen.filter(({ truth }) => truth > 0.1 && truth < 0.9))
      errors.push(Math.abs((1 - shown) / shown / ((1 - truth) / truth) - 1))
    for (const [i, { shown }] of seen.entries()) assert.ok(shown >= (seen[i - 1]?.shown ?? 0) && shown <= 1)
    assert.ok(seen.at(-1)!.shown > 0.999)
  }
  errors.sort((a, b) => a - b)
  assert.ok(errors[Math.floor(errors.length / 2)]! < 0.12, `median ${errors[Math.floor(errors.length / 2)]}`)
  assert.ok(errors[Math.floor(0.9 * errors.length)]! < 0.28, `nine tenths ${errors[Math.floor(0.9 * errors.length)]}`)
})

test('a first batch that is there already tells how long the others will be', () => {
  const lengths = drawn(72, 5)
  const [first] = written(lengths, BATCH)
  assert.ok(Math.abs(first!.shown - first!.truth) < 0.1, `${first!.shown} for ${first!.truth}`)
})

test('responses that are all cut off, or that all end at once, end at 1', () => {
  for (const length of [MOST, 1]) assert.ok(written(Array(72).fill(length)).at(-1)!.shown > 0.999)
})
