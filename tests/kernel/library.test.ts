import assert from 'node:assert/strict'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { type Executed, KernelSession, printed, root, shownError } from './kernelSession'

let kernel: KernelSession

before(async () => {
  kernel = await KernelSession.start({ RHYTHM_PARAMETERS: '{"limit": 4}' })
})

after(async () => {
  await kernel.stop()
})

const text = (cell: Executed) => {
  assert.equal(cell.reply.status, 'ok', shownError(cell))
  return printed(cell)
}

test('the five packages load together with one TensorFlow in the process', async () => {
  const cell = await kernel.execute(`import * as tslab from 'tslab'
import * as tf from '@tensorflow/tfjs-node-gpu'
import * as danfo from 'danfojs-node'
import * as arquero from 'arquero'
import { staticSvg } from 'reasoning-rhythm/dist/plots/staticSvg'

const frame = new danfo.DataFrame([[1, 2], [3, 4]], { columns: ['a', 'b'] })
const svg = await staticSvg({ data: [{ type: 'scatter', x: [1, 2], y: [3, 4] }], layout: {} })
console.log(danfo.tensorflow === tf, tf.getBackend(), frame.shape.join(), svg.startsWith('<svg'))
console.log(arquero.table({ x: [1, 2, 3] }).rollup({ sum: arquero.op.sum('x') }).get('sum'), tslab.versions.tslab)
console.log(Object.keys(require.cache).filter((file) => file.endsWith('tfjs-core/dist/tf-core.node.js')).length)`)
  const [packages, table, engines] = text(cell).trim().split('\n')
  assert.match(packages!, /^true \w+ 2,2 true$/)
  assert.match(table!, /^6 1\.0\.\d+$/)
  assert.equal(engines, '1')
})

test('the library has its types: completion, hover, errors', async () => {
  text(await kernel.execute("import * as rr from 'reasoning-rhythm'\nimport { pacer } from 'reasoning-rhythm'"))
  assert.ok((await kernel.complete('rr.pac')).includes('pacer'))
  assert.match(
    await kernel.hover('rr.pacer'),
    /pacer\(signal\?: AbortSignal\): \(\) => Promise<void>[\s\S]*A pause for long work/,
  )
  assert.match(
    shownError(await kernel.execute('const wrong: number = rr.pacer()')),
    /Type '\(\) => Promise<void>' is not assignable to type 'number'/,
  )
})

const forever = `console.log('going')
for (;;) {
  const until = performance.now() + 10
  while (performance.now() < until) seen.steps++
  await pace()
}`

test('long work lets completion through, stops at an interrupt, and nothing goes on behind it', async () => {
  text(await kernel.execute('const seen = { steps: 0 }'))
  const cell = await kernel.execute(`const pace = pacer()\n${forever}`, {
    complete_on: ['going', 'seen.st', 7],
    interrupt_on: 'going',
  })
  assert.deepEqual(cell.completion?.matches, ['steps'])
  assert.ok(cell.completion_seconds! < 2, `completion took ${cell.completion_seconds} s`)
  assert.equal(shownError(cell), 'Interrupted: the cell was stopped')
  const pause =
    'const before = seen.steps\nawait new Promise((resolve) => setTimeout(resolve, 300))\nconsole.log(seen.steps - before)'
  assert.equal(text(await kernel.execute(pause)), '0\n')
})

const plain = (output: { data?: Record<string, string> } | undefined) => output?.data?.['text/plain'] ?? ''

test('a progress bar updates in place, and says when it is done', async () => {
  const cell = await kernel.execute(`import { progress } from 'reasoning-rhythm/dist/notebook/progress'
const done = progress('counting', 10, { unit: 'items' })
for (let i = 1; i <= 10; i++) {
  await new Promise((resolve) => setTimeout(resolve, 60))
  done.update(i, 'item ' + i)
}`)
  assert.equal(cell.reply.status, 'ok', shownError(cell))
  const [first, ...later] = cell.outputs
  assert.equal(first?.type, 'display_data')
  assert.match(plain(first), /^counting ░{20} 0\/10 items, 0:00$/)
  assert.ok(later.length >= 2 && later.length <= 6, `${later.length} updates in 0.6 s`)
  for (const update of later) {
    assert.equal(update.type, 'update_display_data')
    assert.equal(update.transient?.display_id, first?.transient?.display_id)
  }
  assert.match(plain(later.at(-1)), /^counting █{20} 10\/10 items in 0:01 · item 10$/)
  assert.match(later.at(-1)?.data?.['text/html'] ?? '', /aria-valuenow="100.0"/)
})

test('a progress bar stops with its cell, and ends the loop that it counts', async () => {
  text(await kernel.execute('seen.steps = 0'))
  const cell = await kernel.execute(
    `const endless = progress('endless', 1000)
console.log('going')
for (let i = 0; i < 1000; i++) {
  await new Promise((resolve) => setTimeout(resolve, 20))
  endless.update(i)
  seen.steps++
}`,
    { interrupt_on: 'going' },
  )
  assert.equal(shownError(cell), 'Interrupted: the cell was stopped')
  assert.match(plain(cell.outputs.filter((output) => output.data).at(-1)), /stopped at \d+\/1000 after 0:00/)
  text(await kernel.execute('seen.steps = 0'))
  await kernel.listen(0.3)
  assert.equal(text(await kernel.execute('console.log(seen.steps)')), '0\n')
})

test('a progress bar stops when its cell fails', async () => {
  const cell = await kernel.execute("progress('doomed', 5).update(2)\nthrow new Error('in the middle')")
  assert.match(shownError(cell), /Error: in the middle/)
  const late = await kernel.listen(1)
  assert.match(plain(late.filter((output) => output.data?.['text/plain']).at(-1)), /^doomed .* stopped at 2\/5/)
})

test('text streams into the cell in place', async () => {
  const cell = await kernel.execute(`import { streamText } from 'reasoning-rhythm/dist/notebook/streamText'
const stream = streamText()
for (const text of ['One ', '<two> ', 'three']) {
  stream.onToken({ sequence: 0, text })
  await new Promise((resolve) => setTimeout(resolve, 100))
}
const texts: string[] = stream.finish()`)
  assert.equal(cell.reply.status, 'ok', shownError(cell))
  assert.deepEqual([...new Set(cell.outputs.map((output) => output.type))], ['display_data', 'update_display_data'])
  assert.equal(plain(cell.outputs.at(-1)), 'One <two> three')
  assert.match(cell.outputs.at(-1)?.data?.['text/html'] ?? '', /One &lt;two&gt; three/)
})

test('parameters come from the environment, and unknown ones fail the cell', async () => {
  const cell = await kernel.execute(`import { parameters } from 'reasoning-rhythm/dist/notebook/parameters'
const P = parameters({ limit: 20, model: 'smollm2' })
const limit: number = P.limit
console.log(limit + 1, P.model)`)
  assert.equal(text(cell), 'limit = 4, from RHYTHM_PARAMETERS (default 20)\n5 smollm2\n')
  const refused = await kernel.execute('parameters({ length: 20 })')
  assert.match(shownError(refused), /there is no parameter limit. This notebook takes length/)
})

test('an edited library is taken up without a restart: code, types, and the names that cells imported', async () => {
  // The helper reloads the package that it is part of: here a small one with the helper's compiled files inside.
  const folder = path.join(kernel.folder, 'node_modules', 'edited-package')
  const write = (name: string, content: string) => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    writeFileSync(path.join(folder, name), content)
  }
  for (const name of ['reload.js', 'kernelState.js']) {
    cpSync(path.join(root, 'lib', 'dist', 'notebook', name), path.join(folder, 'helper', name), { recursive: true })
  }
  const options = {
    rootDir: 'src',
    outDir: 'dist',
    declaration: true,
    module: 'CommonJS',
    target: 'ES2022',
    types: [],
    skipLibCheck: true,
  }
  write('package.json', '{"name": "edited-package", "main": "dist/index.js", "types": "dist/index.d.ts"}')
  write('tsconfig.json', JSON.stringify({ compilerOptions: options, include: ['src'] }))
  write('engine.js', 'globalThis.engineLoads = (globalThis.engineLoads ?? 0) + 1\n')
  write('dist/index.js', "exports.__esModule = true\nexports.answer = require('./answer').answer\n")
  write('dist/index.d.ts', "export * from './answer'\n")
  write('dist/answer.js', "require('../engine.js')\nexports.__esModule = true\nexports.answer = () => 1\n")
  write('dist/answer.d.ts', 'export declare const answer: () => number\n')

  const first = `import * as edited from 'edited-package'
import { answer } from 'edited-package'
const sum: number = edited.answer() + answer()
console.log(sum)`
  assert.equal(text(await kernel.execute(first)), '2\n')

  write(
    'src/answer.ts',
    "declare const require: (name: string) => unknown\nrequire('../engine.js')\nexport const answer = (): string => 'new'\n",
  )
  write('src/index.ts', "export * from './answer'\nexport * from './another'\n")
  write('src/another.ts', 'export const another = 5\n')
  text(
    await kernel.execute(
      "const helper = require('edited-package/helper/reload.js')\nawait helper.reload({ build: true })",
    ),
  )
  const second = `const words: string = edited.answer() + answer()
console.log(words, edited.another, (globalThis as any).engineLoads)`
  assert.equal(text(await kernel.execute(second)), 'newnew 5 1\n')

  write('src/another.ts', "export const another: number = 'five'\n")
  const broken = await kernel.execute('await helper.reload({ build: true })')
  assert.match(shownError(broken), /nothing was reloaded:\nsrc\/another\.ts\(1,14\)|another\.ts\(1,14\): error TS2322/)
  assert.equal(text(await kernel.execute('console.log(edited.another)')), '5\n')
})

test('a model asked for again is the one that is held, also after the library was reloaded', async () => {
  const model = path.join(root, 'tests', 'fixtures', 'reference', 'tiny-llama')
  const load = `const model = await rr.loadModel(${JSON.stringify(model)})\nconsole.log(rr.memory().tensors)`
  const tensors = text(await kernel.execute(load))
  assert.ok(Number(tensors) > 10)
  assert.equal(text(await kernel.execute(load)), tensors)
  const reloaded = await kernel.execute(`const oldPacer = rr.pacer
const fresh = await rr.reload()
console.log(rr.pacer !== oldPacer, fresh.pacer === rr.pacer, pacer === rr.pacer)
console.log(Object.keys(require.cache).filter((file) => file.endsWith('tf-core.node.js')).length)`)
  assert.equal(text(reloaded), 'true true true\n1\n')
  assert.equal(text(await kernel.execute(load)), tensors)
  assert.equal(text(await kernel.execute('model.dispose()\nconsole.log(rr.memory().tensors < 5)')), 'true\n')
})
