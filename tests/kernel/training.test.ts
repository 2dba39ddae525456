import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { readRollouts } from '../../lib/training/runFolder'
import { attachRun } from '../../lib/training/startRun'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyConfig } from '../training/tinyRun'
import { type Executed, KernelSession, type Output, printed, shownError } from './kernelSession'

const folder = temporaryFolder()
let kernel: KernelSession
let stopped = false

before(async () => {
  kernel = await KernelSession.start()
  text(await kernel.execute("import * as rr from 'reasoning-rhythm'"))
})

after(async () => {
  if (!stopped) await kernel.stop()
})

const text = (cell: Executed) => {
  assert.equal(cell.reply.status, 'ok', shownError(cell))
  return printed(cell)
}
const at = (name: string) => path.join(kernel.folder, name)
const plain = (output: Output | undefined) => output?.data?.['text/plain'] ?? ''
const shows = (output: Output) => output.data !== undefined

test("a user's own credit, ten lines in a cell, trains a run: the recorded gammas are what the function gives", async () => {
  text(
    await kernel.execute(`const lookBack: rr.CreditStrategy = ({ waad, entropy }, { amplification }) => {
  const values = Array.from(waad)
  const low = Math.min(...values)
  const range = Math.max(...values) - low || 1
  return values.map((value, t) => {
    const surprise = entropy[t] > 1 ? 0.25 : 0
    return 1 + surprise + ((amplification - 1) * (value - low)) / range
  })
}`),
  )
  const config = tinyConfig({
    supervised: null,
    grpo: { steps: 3 },
    evaluation: null,
    rollouts: { every: 1, groups: 3 },
  })
  const cell = await kernel.execute(`const own = rr.newRunFolder('.', 'own')
const result = await rr.train(${JSON.stringify(config)}, { run: own, credit: lookBack, onProgress: rr.progress('own credit', 3, { unit: 'steps' }).callback })
console.log(result.state, result.step, Number(result.metrics.at(-1)['rhythm/gamma_mean']) > 1)`)
  assert.equal(text(cell), 'finished 3 true\n')
  assert.match(plain(cell.outputs.filter(shows).at(-1)), /^own credit █+ 3\/3 steps in /)

  const records = (await Promise.all([1, 2, 3].map((step) => readRollouts(at('own-1'), step)))).flat()
  let credited = 0
  for (const { gamma, rhythm, entropy } of records) {
    if (!gamma) continue
    credited++
    const low = Math.min(...rhythm!.waad)
    const range = Math.max(...rhythm!.waad) - low || 1
    rhythm!.waad.forEach((value, t) => {
      assert.equal(gamma[t], 1 + (entropy![t]! > 1 ? 0.25 : 0) + (0.5 * (value - low)) / range)
    })
  }
  assert.ok(credited >= 4, `${credited} of ${records.length} responses were given credit`)
  const gammas = records.flatMap(({ gamma }) => gamma ?? [])
  assert.ok(new Set(gammas).size > 10, 'they differ from token to token')
})

test('a run is shown while it trains, in place, and its figures are live at the end', async () => {
  const config = tinyConfig({ grpo: { steps: 12 }, rollouts: { every: 2 } })
  const cell = await kernel.execute(`const short = await rr.startRun(${JSON.stringify(config)}, 'short')
const end = await rr.watchTraining(short, { every: 200 })
console.log(end.state, end.step)`)
  assert.equal(text(cell), 'finished 16\n')
  const shown = cell.outputs.filter(shows)
  const places = new Set(shown.map(({ transient }) => transient?.display_id))
  const first = shown.filter(({ type }) => type === 'display_data')
  assert.ok(first.length >= 3 && first.length <= 4 && places.size === first.length, `${first.length} places`)
  const words = shown.filter(({ transient }) => transient?.display_id === first[0]!.transient?.display_id)
  assert.match(
    plain(words.at(-1)),
    /^short: finished; it was trained on CPU\nwarm-up █{20} 4\/4 .*\nGRPO █{20} 12\/12 /,
  )
  const last = [...places].map((id) => shown.filter(({ transient }) => transient?.display_id === id).at(-1)!)
  const figures = last.filter(({ data }) => data && 'application/vnd.plotly.v1+json' in data)
  assert.equal(figures.length, first.length - 1)
  assert.ok(figures.every(({ data }) => 'image/svg+xml' in data!))
  assert.equal(plain(figures[0]), 'figure: Does it learn from its rewards?')
  assert.match(plain(figures[1]), /^figure: Where does the credit of a (right|wrong) response go\?$/)
})

test('interrupting ends the watching alone; the run outlives the kernel; stop ends it with a checkpoint', async () => {
  const config = tinyConfig({ supervised: null, grpo: { steps: 5000 }, evaluation: null })
  const where = path.join(folder, 'long')
  const watch = `const run = await rr.startRun(${JSON.stringify(config)}, ${JSON.stringify(where)})
console.log('watching', run.status().pid)
await rr.watchTraining(run)`
  const cell = await kernel.execute(watch, { interrupt_on: 'watching' })
  assert.equal(shownError(cell), 'Interrupted: the cell was stopped')
  const shown = cell.outputs.filter(shows)
  assert.ok(shown.some((output) => plain(output).includes('You stopped watching; the run goes on.')))
  const run = attachRun(where)
  const { pid, state } = run.status()
  assert.equal(state, 'running')
  assert.equal(printed(cell), `watching ${pid}\n`)

  const again = await kernel.execute(watch, { interrupt_on: 'watching' })
  assert.equal(printed(again), `watching ${pid}\n`, 'attaches to the run that trains')
  const before = run.status().step
  stopped = true
  await kernel.stop()
  while (run.status().step < before + 2) await new Promise((resolve) => setTimeout(resolve, 50))
  assert.deepEqual([run.status().pid, run.status().state], [pid, 'running'])
  const end = await run.stop()
  assert.equal(end.state, 'stopped')
  assert.ok(existsSync(path.join(await run.checkpoint(), 'model.safetensors')))
})

test('a run that dies is an error with its last lines', async () => {
  kernel = await KernelSession.start()
  stopped = false
  text(await kernel.execute("import * as rr from 'reasoning-rhythm'"))
  const module = at('failing.cjs')
  writeFileSync(
    module,
    "module.exports = { name: 'failing', items: () => [{}], prompt: () => 'a', verify: () => { throw new Error('no verdict today') } }",
  )
  const config = tinyConfig({ task: { module }, supervised: null, evaluation: null })
  const cell = await kernel.execute(`await rr.watchTraining(await rr.startRun(${JSON.stringify(config)}, 'failing'))`)
  const error = shownError(cell)
  // A run that dies within a moment has not been seen alive.
  assert.match(
    error,
    /the run in .*failing (failed: no verdict today\. Started again, it goes on from its last checkpoint|could not be started)/,
  )
  assert.match(error, /The last lines of .*train\.log:[\s\S]*rhythm: no verdict today[\s\S]*ended with exit code 1/)
})
