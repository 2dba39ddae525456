import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { tinyConfig } from '../training/tinyRun'
import { type Executed, KernelSession, type Output, printed, shownError } from './kernelSession'

let kernel: KernelSession

before(async () => {
  kernel = await KernelSession.start()
  text(await kernel.execute("import * as rr from 'reasoning-rhythm'"))
})

after(() => kernel.stop())

const text = (cell: Executed) => {
  assert.equal(cell.reply.status, 'ok', shownError(cell))
  return printed(cell)
}
const shows = ({ data }: Output) => data !== undefined
const base = JSON.stringify(
  tinyConfig({ supervised: null, grpo: { steps: 30, evaluateEvery: 0 }, checkpoints: { every: 5 } }),
)

test('an ablation in three cells: shown in its place, stopped by the stop button, gone on with by the same call', async () => {
  text(await kernel.execute(`const base = ${base}`))
  text(await kernel.execute("const axes = { 'grpo.credit.options.topShare': [0.2, 0.6] }"))
  const call = "const result = await rr.sweep(base, axes, { run: 'shares', seeds: 1, slots: 1 })"
  const stopped = await kernel.execute(
    `const timer = setInterval(() => {
  if (!require('node:fs').existsSync('shares/cells/topShare=0.2_seed=0/metrics.jsonl')) return
  clearInterval(timer)
  console.log('filling')
}, 20)
${call}`,
    { interrupt_on: 'filling' },
  )
  assert.equal(shownError(stopped), 'Interrupted: the cell was stopped')

  const cell = await kernel.execute(`${call}
console.log(result.rows.map(({ arm, state, steps }) => [arm, state, steps].join(' ')).join('\\n'))`)
  assert.equal(text(cell), '0.2 finished 30\n0.6 finished 30\n')
  const shown = cell.outputs.filter(shows)
  assert.equal(new Set(shown.map(({ transient }) => transient?.display_id)).size, 1, 'one place')
  assert.match(shown.at(-1)!.data!['text/plain']!, /^sweep: 2 of 2 done, 0 running, 0 waiting, 0 failed/)
  assert.match(shown.at(-1)!.data!['text/html']!, /<table/)
  const jobs = path.join(kernel.folder, 'shares', 'jobs')
  assert.equal(readdirSync(jobs).length, 2)
})
