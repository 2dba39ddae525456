// Programs that set-up runs: with progress while they run, what they printed when they fail, and no orphans.
import { spawn } from 'node:child_process'
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readStamp, writeAtomically } from './stamp.mjs'

/** Set-up cannot go on; the message says what is missing and what to do. */
export class SetupFailure extends Error {
  constructor(message, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** Bytes of all files under the folders, in MB; a file that vanishes meanwhile counts as nothing. */
export function megabytesIn(...folders) {
  let bytes = 0
  const visit = (path) => {
    try {
      for (const entry of readdirSync(path, { withFileTypes: true })) {
        const inner = join(path, entry.name)
        if (entry.isDirectory()) visit(inner)
        else if (entry.isFile()) bytes += lstatSync(inner).size
      }
    } catch {
      // being written or removed while we count
    }
  }
  for (const folder of folders) visit(folder)
  return bytes / 1e6
}

const causes = [
  [/ENOSPC|No space left/i, 'The disk is full. Free some space and run the same command again.'],
  [
    /EACCES|EPERM|Permission denied/i,
    'Some files belong to another user: sudo chown -R "$USER" . in this folder, then again.',
  ],
  [
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ERR_SOCKET|network|NewConnectionError|ConnectTimeout|ReadTimeout|timed out|resolve|certificate|ProxyError/i,
    'A package registry was not reached. Check the network, the proxy (HTTPS_PROXY) and the registry settings of pip and npm ' +
      '(pip config list, npm config list), then run the same command again: what was downloaded is kept.',
  ],
  [
    /No matching distribution|is not a supported wheel/i,
    'The package index has no such wheel for this Python. Try another: PYTHON=python3.12 before the command.',
  ],
]

/** When a process started, in clock ticks since boot: with its number it names one process for good. */
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19] // a zombie does nothing more
  } catch {
    return undefined
  }
}

const noteOf = (cache) => join(cache, 'setup-child.json')

/** Ends what an earlier set-up, killed outright, left running in this folder. */
export async function endOrphan(cache, say) {
  const { pid, start, name } = readStamp(noteOf(cache)) ?? {}
  if (!pid || !start || startOf(pid) !== start) return
  say(`An earlier set-up was killed and its ${name} still runs (process ${pid}): ending it.`)
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    try {
      process.kill(-pid, signal)
    } catch {
      return // gone by itself
    }
    for (let i = 0; i < 50 && startOf(pid) === start; i++) await sleep(100)
  }
}

/**
 * Runs a program in a process group of its own and resolves to what it printed. `say.progress(text)` is called every
 * second with the seconds and the MB that `watch` grew by. Throws SetupFailure with the end of the output.
 */
export async function runChild(name, command, args, { cwd, env, cache, say, watch = [], expected = 0 }) {
  mkdirSync(join(cache, 'tmp'), { recursive: true })
  const began = Date.now()
  const before = watch.length > 0 ? megabytesIn(...watch) : 0
  let stopped
  let child
  const stop = (signal) => {
    stopped = signal
    try {
      process.kill(-child.pid, 'SIGTERM')
    } catch {
      // it has just ended
    }
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, stop)
  child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  if (child.pid) writeAtomically(noteOf(cache), JSON.stringify({ pid: child.pid, start: startOf(child.pid), name }))
  let output = ''
  const keep = (chunk) => {
    output = (output + chunk).slice(-200_000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)

  const ticker = setInterval(() => {
    const grown = watch.length > 0 ? Math.max(0, megabytesIn(...watch) - before) : 0
    const size = watch.length > 0 ? `${grown.toFixed(0)}${expected ? ` of about ${expected}` : ''} MB, ` : ''
    say.progress(`${name}: ${size}${Math.round((Date.now() - began) / 1000)} s`)
  }, 1000)
  try {
    const { code, error } = await new Promise((done) => {
      child.on('error', (error) => done({ code: 127, error }))
      child.on('close', (code, signal) => done({ code: code ?? signal }))
    })
    if (stopped) {
      const exitCode = 128 + { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }[stopped]
      throw new SetupFailure('Set-up was stopped. Run the same command again: it goes on from here.', exitCode)
    }
    if (code !== 0) {
      const text = error ? String(error.message) : output
      const cause = causes.find(([pattern]) => pattern.test(text))?.[1]
      const tail = text.trimEnd().split('\n').slice(-25).join('\n')
      throw new SetupFailure(`${name} failed (${command}, exit ${code}):\n${tail}${cause ? `\n\n${cause}` : ''}`)
    }
    return output
  } finally {
    clearInterval(ticker)
    for (const signal of signals) process.off(signal, stop)
    rmSync(noteOf(cache), { force: true })
  }
}
