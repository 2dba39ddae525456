import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz, fuzzTargets } from '../support/fuzzCheckpoints'
import { temporaryFolder } from '../support/temporaryFolder'

// `tests/slow/fuzz.test.ts` does the same for longer.
const count = 500
for (const target of fuzzTargets(temporaryFolder()))
  test(`${count} damaged copies of ${target.name} load or are refused with a message`, async () => {
    const refused = await fuzz(target, count, 20250101)
    assert.ok(refused > count / 4, `only ${refused} of ${count} were refused: the changes miss what matters`)
  })
