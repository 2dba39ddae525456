import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'

/** Where Ray's own command line tool looks for the dashboard: `RAY_API_SERVER_ADDRESS`, else this machine. */
export const rayAddress = (environment: NodeJS.ProcessEnv = process.env): string =>
  environment.RAY_API_SERVER_ADDRESS || 'http://127.0.0.1:8265'

/**
 * The cluster's token, from where Ray itself takes it: `RAY_AUTH_TOKEN`, the file that `RAY_AUTH_TOKEN_PATH` names, and with
 * `RAY_AUTH_MODE=token` the file `~/.ray/auth_token`. Null if there is none. Throws if a file that is named cannot be read.
 */
export function rayToken(environment: NodeJS.ProcessEnv = process.env, home = homedir()): string | null {
  const { RAY_AUTH_TOKEN: token, RAY_AUTH_TOKEN_PATH: named, RAY_AUTH_MODE: mode } = environment
  if (token?.trim()) return token.trim()
  if (!named && mode !== 'token') return null
  const file = named || path.join(home, '.ray', 'auth_token')
  try {
    return readFileSync(file, 'utf8').trim() || null
  } catch (error) {
    if (!named && (error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new Error(`Ray's token could not be read from ${file}: ${(error as Error).message}`, { cause: error })
  }
}
