import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { KernelSession, notebookFolder, printed, python, root, shownError } from './kernelSession'

let kernel: KernelSession

before(async () => {
  kernel = await KernelSession.start()
})

after(async () => {
  // A cell's interval still runs: it must not hold the kernel until Jupyter kills it, 5 seconds later.
  await kernel.execute('setInterval(() => {}, 1000)')
  const seconds = await kernel.stop()
  assert.ok(seconds < 3, `the kernel took ${seconds} s to end`)
})

test('20,000 lines printed in one go all arrive, in order, and the cell ends', async () => {
  const cell = await kernel.execute("for (let i = 0; i < 20000; i++) console.log('line ' + i)")
  assert.equal(cell.reply.status, 'ok', shownError(cell))
  assert.equal(printed(cell), Array.from({ length: 20000 }, (_, i) => `line ${i}\n`).join(''))
  assert.ok(cell.outputs.length < 1000, `${cell.outputs.length} messages for 20,000 lines`)
})

test('2,000 messages that cannot be joined all arrive', async () => {
  const cell = await kernel.execute(`import { display } from 'tslab'
for (let i = 0; i < 2000; i++) display.text(String(i))`)
  assert.equal(cell.reply.status, 'ok', shownError(cell))
  assert.deepEqual(
    cell.outputs.map((output) => output.data?.['text/plain']),
    Array.from({ length: 2000 }, (_, i) => String(i)),
  )
})

test('output keeps its order across streams and displays', async () => {
  const cell = await kernel.execute(`import { display } from 'tslab'
for (let i = 0; i < 30; i++) console.log('a')
console.error('b')
for (let i = 0; i < 30; i++) console.log('c')
display.text('d')
console.log('e')`)
  const order = cell.outputs.map((output) => output.text ?? output.data?.['text/plain'] ?? '').join('')
  assert.equal(order.replaceAll('\n', ''), `${'a'.repeat(30)}b${'c'.repeat(30)}de`)
})

test('a thrown error is an error output with the lines of the cells that it passed', async () => {
  await kernel.execute(`interface Size { width: number }

const area = (size: Size) => {
  if (size.width < 0) throw new RangeError('width must be positive, got ' + size.width)
  return size.width ** 2
}`)
  const cell = await kernel.execute(`await null
type Unused = string

console.log(area({ width: -2 }))`)
  assert.equal(cell.reply.status, 'error')
  assert.equal(cell.reply.evalue, 'width must be positive, got -2')
  assert.match(
    shownError(cell),
    /^RangeError: width must be positive, got -2\n {4}at cell \[\d+\], line 4, in area: {2}if \(size.width.*\n {4}at cell \[\d+\], line 4: {2}console\.log\(area/,
  )
  assert.equal(shownError(cell).split('\n').length, 3)
})

test('a type error shows the line and the place', async () => {
  const cell = await kernel.execute("const fine = 1\nconst wrong: number = 'text'")
  assert.equal(
    shownError(cell),
    "TypeScript: line 2: Type 'string' is not assignable to type 'number'.\n    const wrong: number = 'text'\n          ^",
  )
})

test('a rejection that nothing awaits, and an error in a callback, fail the cell that runs', async () => {
  const rejected = await kernel.execute("Promise.reject(new Error('nobody waited'))\nconst kept = 1")
  assert.equal(rejected.reply.status, 'error')
  assert.match(shownError(rejected), /no cell awaits.*\nError: nobody waited/)
  const thrown = await kernel.execute(`setTimeout(() => { throw new Error('in a timer') }, 20)
await new Promise((resolve) => setTimeout(resolve, 60))`)
  assert.match(shownError(thrown), /Error: in a timer/)
  assert.equal((await kernel.execute('1 + 1')).reply.status, 'ok')
})

test('a failed import does not harm later cells, and works once the file or package is there', async () => {
  const relative = "import { later } from './laterFile'\nconsole.log(later)"
  const named = "import { answer } from 'later-package'\nconsole.log(answer)"
  assert.match(shownError(await kernel.execute(relative)), /Cannot find module/)
  assert.match(shownError(await kernel.execute(named)), /Cannot find module/)

  writeFileSync(path.join(kernel.folder, 'laterFile.ts'), 'export const later: number = 41\n')
  const folder = path.join(kernel.folder, 'node_modules', 'later-package')
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    path.join(folder, 'package.json'),
    '{"name": "later-package", "main": "index.js", "types": "index.d.ts"}',
  )
  writeFileSync(path.join(folder, 'index.js'), 'exports.answer = 42\n')
  writeFileSync(path.join(folder, 'index.d.ts'), 'export declare const answer: number\n')
  // Time for the system to report the new files.
  await new Promise((resolve) => setTimeout(resolve, 300))

  assert.equal(printed(await kernel.execute("console.log('alive')")), 'alive\n')
  assert.equal(printed(await kernel.execute(relative)), '41\n')
  assert.equal(printed(await kernel.execute(named)), '42\n')
})

test('an interrupt ends a busy cell, and the next one runs', async () => {
  const cell = await kernel.execute("console.log('busy')\nfor (;;) {}", { interrupt_on: 'busy' })
  assert.equal(cell.reply.status, 'error')
  assert.equal(cell.outputs.at(-1)?.ename, 'Interrupted')
  assert.ok(cell.seconds_after_interrupt! < 10, `the cell ended ${cell.seconds_after_interrupt} s after the interrupt`)
  assert.equal(printed(await kernel.execute('1 + 1')), '2\n')
})

test('an interrupt ends waiting code, and says when it cannot end the code itself', async () => {
  const cell = await kernel.execute(
    "console.log('waiting')\nawait new Promise((resolve) => setTimeout(resolve, 60_000))",
    {
      interrupt_on: 'waiting',
    },
  )
  assert.match(shownError(cell), /^Interrupted: the cell was stopped, but its code does not watch for interrupts/)
  assert.equal(printed(await kernel.execute('1 + 1')), '2\n')
})

/** Runs a notebook of one cell headless, and gives the exit code and what was printed. */
async function headless(
  folder: string,
  name: string,
  source: string,
): Promise<{ code: number | null; output: string }> {
  const file = path.join(folder, `${name}.ipynb`)
  const cells = [{ cell_type: 'code', id: 'cell', execution_count: null, metadata: {}, outputs: [], source }]
  const kernelspec = { name: 'reasoning-rhythm', display_name: 'TypeScript', language: 'typescript' }
  writeFileSync(file, JSON.stringify({ cells, metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 }))
  const child = spawn(python, [path.join(path.dirname(python), 'jupyter-execute'), file], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let output = ''
  child.stderr.on('data', (data) => {
    output += data
  })
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { code, output }
}

test('a headless run fails on a thrown error', async () => {
  const folder = notebookFolder()
  try {
    const { code, output } = await headless(folder, 'thrown', "throw new Error('the run must fail')")
    assert.equal(code, 1)
    assert.match(output, /the run must fail\n.*cell \[1\], line 1/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
