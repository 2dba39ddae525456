import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isLockHeld, lockForProcess } from '../../lib/model/processLock'
import { temporaryFolder } from '../support/temporaryFolder'

const folder = temporaryFolder()
const holderFile = join(folder, 'held')
const lock = (purpose = 'test') => lockForProcess(folder, { purpose, holderFile, advice: 'wait' })

test('a second holder is refused by name until the first lets go; other purposes are not its business', async () => {
  const release = await lock()
  assert.equal(JSON.parse(readFileSync(holderFile, 'utf8')).pid, process.pid)
  assert.ok(isLockHeld(holderFile))
  await assert.rejects(lock(), new RegExp(`${folder} is in use by process ${process.pid} on \\S+ since .*Z: wait$`))
  await (await lock('other'))()
  await release()
  assert.ok(!existsSync(holderFile) && !isLockHeld(holderFile))
  await (await lock())()
})

test('what a killed process held is free at once, though its file is still there', async () => {
  const script = `require('tsx/cjs')
    const { lockForProcess } = require(${JSON.stringify(join(__dirname, '..', '..', 'lib', 'model', 'processLock.ts'))})
    lockForProcess(${JSON.stringify(folder)}, ${JSON.stringify({ purpose: 'test', holderFile, advice: '' })}).then(() => console.log('held'))
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  await assert.rejects(lock(), new RegExp(`in use by process ${child.pid} `))
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.ok(existsSync(holderFile) && !isLockHeld(holderFile))
  await (await lock())()
})

test('a process that has ended holds nothing, even while its parent takes no notice', async () => {
  // The shell becomes a program that never asks for its children, before its child ends.
  const parent = spawn('sh', ['-c', 'sleep 0.5 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const pid = Number(String((await once(parent.stdout, 'data'))[0]))
  const state = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]![0]
  while (state() !== 'Z') await sleep(5)
  writeFileSync(holderFile, JSON.stringify({ pid, host: hostname(), since: 'then' }))
  assert.ok(!isLockHeld(holderFile))
  writeFileSync(holderFile, JSON.stringify({ pid: parent.pid, host: hostname(), since: 'then' }))
  assert.ok(isLockHeld(holderFile))
  parent.kill('SIGKILL')
})

test('after a reboot, a younger process with the number of the holder holds nothing', () => {
  const held = (since: string) =>
    writeFileSync(holderFile, JSON.stringify({ pid: process.pid, host: hostname(), since }))
  held(new Date().toISOString())
  assert.ok(isLockHeld(holderFile))
  held(new Date(Date.now() - process.uptime() * 1000 - 60_000).toISOString())
  assert.ok(!isLockHeld(holderFile))
})

test('on another machine the holder lives as long as its file is touched', async () => {
  writeFileSync(holderFile, JSON.stringify({ pid: 1, host: 'elsewhere', since: 'then' }))
  assert.ok(isLockHeld(holderFile))
  await assert.rejects(lock(), /in use by process 1 on elsewhere since then/)
  const longAgo = new Date(Date.now() - 3_600_000)
  utimesSync(holderFile, longAgo, longAgo)
  assert.ok(!isLockHeld(holderFile))
  await (await lock())()
})
