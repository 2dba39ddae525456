import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import type * as library from '../index'
import { kernelState } from './kernelState'

export interface ReloadOptions {
  /** Compile the library first; what the compiler finds is thrown, and nothing is reloaded. */
  build?: boolean
}

/** The folder of the package that this file belongs to. */
function packageFolder(): string {
  let folder = __dirname
  while (!existsSync(path.join(folder, 'package.json'))) folder = path.dirname(folder)
  return folder
}

async function build(folder: string): Promise<void> {
  const compiler = require.resolve('typescript/bin/tsc', { paths: [folder] })
  const child = spawn(process.execPath, [compiler, '-p', folder, '--pretty', 'false'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
  })
  child.stderr.on('data', (data) => {
    output += data
  })
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (status !== 0) throw new Error(`the library does not compile, and nothing was reloaded:\n${output.trim()}`)
}

/** The notebook's variables: tslab keeps what cells declare and import here. */
function cellVariables(): Record<string, unknown> | null {
  const { __tslab__ } = globalThis as unknown as { __tslab__?: { exports: Record<string, unknown> } }
  return __tslab__?.exports ?? null
}

/** Makes the names that cells imported from old modules mean the new ones. */
function rebind(variables: Record<string, unknown>, old: Map<string, NodeJS.Module>): void {
  for (const [name, value] of Object.entries(variables)) {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null) continue
    for (const [file, { exports }] of old) {
      if (exports === value) variables[name] = require(file)
      else {
        const key = Object.keys(exports).find((candidate) => exports[candidate] === value)
        if (key === undefined) continue
        variables[name] = require(file)[key]
      }
      break
    }
  }
}

/**
 * Takes up the library as it is now compiled, without restarting the kernel: what cells imported by `import` means the new
 * code from here on, its types included. TensorFlow stays loaded, and models that are held stay held. Values made by
 * the old code (instances, closures) keep it until they are made again. If the new code does not load, the old stays.
 */
export async function reload(options: ReloadOptions = {}): Promise<typeof library> {
  const folder = packageFolder()
  if (options.build) await build(folder)
  const main = require.resolve(folder)
  const inside = path.dirname(main) + path.sep
  const old = new Map<string, NodeJS.Module>()
  // The package's entry first: what it re-exports is found there.
  for (const file of [main, ...Object.keys(require.cache)]) {
    const loaded = require.cache[file]
    if (loaded && file.startsWith(inside)) old.set(file, loaded)
  }
  for (const file of old.keys()) delete require.cache[file]
  let fresh: typeof library
  try {
    fresh = require(main)
    const variables = cellVariables()
    if (variables) rebind(variables, old)
  } catch (error) {
    for (const [file, loaded] of old) require.cache[file] = loaded
    throw error
  }
  kernelState()?.refreshTypes(inside)
  return fresh
}
