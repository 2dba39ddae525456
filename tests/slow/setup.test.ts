import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

const root = join(__dirname, '..', '..')
const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'rhythm-fresh-')))
after(() => rmSync(scratch, { recursive: true, force: true }))
let folder = join(scratch, 'fresh')

/** The tracked files as they are here, without anything that set-up made. */
function checkOut() {
  const listed = spawnSync('git', ['ls-files', '-z', '--cached'], { cwd: root, encoding: 'utf8' })
  assert.equal(listed.status, 0, listed.stderr)
  for (const file of listed.stdout.split('\0').filter(Boolean)) cpSync(join(root, file), join(folder, file))
}

const start = () =>
  spawn(process.execPath, [join(folder, 'kernels', 'setup.mjs'), '--cpu'], { stdio: ['ignore', 'ignore', 'pipe'] })

async function finish() {
  const began = Date.now()
  const child = start()
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  const [code] = await once(child, 'close')
  assert.equal(code, 0, said)
  return { said, seconds: (Date.now() - began) / 1000 }
}

/** Runs set-up until it says `text`, and kills it outright some seconds later. */
async function killAfter(text: string, seconds: number) {
  const child = start()
  let said = ''
  for await (const chunk of child.stderr) {
    said += chunk
    if (said.includes(text)) break
  }
  assert.ok(said.includes(text), said)
  await sleep(seconds * 1000)
  child.kill('SIGKILL')
}

const loads = () =>
  spawnSync(process.execPath, ['-p', `require('reasoning-rhythm') && 'loaded'`], {
    cwd: folder,
    encoding: 'utf8',
  }).stdout.trim()

test('set-up that is killed in every step ends up whole, is then quick, and notices that its folder moved', {
  timeout: 1_800_000,
}, async () => {
  checkOut()
  await killAfter('[1/6]', 6)
  await killAfter('[2/6]', 8)
  await killAfter('[2/6]', 15)
  await killAfter('[3/6]', 6)
  await killAfter('[4/6]', 3)
  await killAfter('[6/6]', 1)
  await finish()
  assert.equal(loads(), 'loaded')
  const repair = [join(folder, 'kernels', 'setup', 'repair.py')]
  assert.equal(String(spawnSync(join(folder, '.venv', 'bin', 'python'), repair).stdout), '')
  const again = await finish()
  assert.equal(again.said, '')
  assert.ok(again.seconds < 3, `${again.seconds} s`)

  const moved = join(scratch, 'moved here')
  renameSync(folder, moved)
  folder = moved
  const { said } = await finish()
  assert.match(said, /\[2\/6\].*\[5\/6\]/s)
  assert.doesNotMatch(said, /\[1\/6\]/)
  assert.equal(loads(), 'loaded')
})
