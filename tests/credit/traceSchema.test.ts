import assert from 'node:assert/strict'
import test from 'node:test'
import { parseTraceRhythm } from '../../lib/credit/traceSchema'
import { ALL_TRACES, type ReferenceTrace, readReference } from '../oracle/reference'

test("the reference's records pass", () => {
  for (const name of ALL_TRACES) {
    const trace = readReference(name)
    assert.equal(parseTraceRhythm(trace), trace)
  }
})

test('damage is reported by path', () => {
  const damaged = (change: (trace: ReferenceTrace) => unknown) => {
    const trace = readReference('tiny-llama/expected.json')
    change(trace)
    return () => parseTraceRhythm(trace, 'a.json')
  }
  assert.throws(
    damaged((t) => delete (t as Partial<ReferenceTrace>).rl),
    /^InvalidArgument: a\.json: rl: /,
  )
  assert.throws(
    damaged((t) => (t.rl.waad[3] = Number.NaN)),
    /a\.json: rl\.waad\[3\]: /,
  )
  assert.throws(
    damaged((t) => (t.rl.faiValid[0] = 1 as unknown as boolean)),
    /rl\.faiValid\[0\]: /,
  )
  assert.throws(
    damaged((t) => t.entropy.pop()),
    /a\.json: entropy has 62 entries for 63 response tokens/,
  )
  assert.throws(
    damaged((t) => t.analysis.credit.coupled!.push(1)),
    /analysis\.credit\.coupled has 64 entries/,
  )
  assert.throws(
    damaged((t) => t.rl.peaks['0.5']!.fai.push(63)),
    /rl\.peaks\.0\.5\.fai names token 63/,
  )
  assert.throws(
    damaged((t) => (t.promptLength = 80)),
    /promptLength 80 leaves no response token of 80 ids/,
  )
  assert.throws(() => parseTraceRhythm(null, 'b.json'), /b\.json: /)
})
