import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anchorRecords } from '../../lib/plots'
import { sampleTrace } from './sampleTrace'

test('the q share of tokens with the largest FAI are listed, largest first', () => {
  const { rhythm, tokens } = sampleTrace()
  const records = anchorRecords({ rhythm, tokens })
  const fai = Array.from(rhythm.rl!.fai, Number)
  const valid = fai.length - 10
  assert.equal(records.length, Math.ceil(0.4 * valid))
  const top = fai.slice(0, valid).sort((a, b) => b - a)
  assert.ok(Math.abs(records[0].fai - 100 * top[0]) < 1e-9)
  assert.ok(records.every((record, i) => i === 0 || record.fai <= records[i - 1].fai))
  const dominated = records.filter((record) => record.dominated).map((record) => record.position)
  assert.deepEqual(
    dominated.sort((a, b) => a - b),
    rhythm.rl!.coupling!.dominated,
  )
})

test('introducers come from the trace; where it names none there is none', () => {
  const trace = sampleTrace()
  const rl = trace.rhythm.rl!
  const { dominated } = rl.coupling!
  const coupling = { dominated, introducedBy: dominated.map((position) => position - 1) }
  const records = anchorRecords({ ...trace, rhythm: { ...trace.rhythm, rl: { ...rl, coupling } } })
  for (const record of records) {
    assert.equal(record.introducerPosition, record.dominated ? record.position - 1 : null)
  }
  assert.ok(anchorRecords(trace).every((record) => record.introducer === null))
})
