import { test } from 'node:test'
import { fuzz, fuzzTargets } from '../support/fuzzCheckpoints'
import { temporaryFolder } from '../support/temporaryFolder'

/** `FUZZ_COUNT` damaged copies of each format (default 20,000), from `FUZZ_SEED` on (default: the time). */
const count = Number(process.env.FUZZ_COUNT ?? 20000)
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)

for (const target of fuzzTargets(temporaryFolder()))
  test(`${count} damaged copies of ${target.name}, seed ${seed}`, async () => {
    const refused = await fuzz(target, count, seed)
    console.log(`${target.name}: ${refused} of ${count} refused`)
  })
