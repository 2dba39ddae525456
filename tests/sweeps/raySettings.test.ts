import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { rayAddress, rayToken } from '../../lib/sweeps/raySettings'
import { temporaryFolder } from '../support/temporaryFolder'

const home = temporaryFolder()
const file = join(home, 'token')
writeFileSync(file, 'from the file\n')

test("the token comes from where Ray takes it, in Ray's order", () => {
  assert.equal(rayToken({}, home), null)
  assert.equal(rayToken({ RAY_AUTH_MODE: 'token' }, home), null)
  mkdirSync(join(home, '.ray'))
  writeFileSync(join(home, '.ray', 'auth_token'), 'from home\n')
  assert.equal(rayToken({}, home), null)
  assert.equal(rayToken({ RAY_AUTH_MODE: 'token' }, home), 'from home')
  assert.equal(rayToken({ RAY_AUTH_MODE: 'token', RAY_AUTH_TOKEN_PATH: file }, home), 'from the file')
  assert.equal(rayToken({ RAY_AUTH_TOKEN_PATH: file, RAY_AUTH_TOKEN: ' given ' }, home), 'given')
  const missing = join(home, 'nowhere')
  assert.throws(() => rayToken({ RAY_AUTH_TOKEN_PATH: missing }, home), /could not be read from .*nowhere: ENOENT/)
})

test("the address is that of Ray's own tools", () => {
  assert.equal(rayAddress({}), 'http://127.0.0.1:8265')
  assert.equal(rayAddress({ RAY_API_SERVER_ADDRESS: 'http://head:8265' }), 'http://head:8265')
})
