import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { CreditStrategy } from '../credit/creditStrategy'
import { strategyNamed } from '../credit/strategies'
import type { ModuleReference } from './trainingConfig'

/** SHA-256 of a text, in hex. */
export const hashOf = (text: string | Uint8Array) => createHash('sha256').update(text).digest('hex')

/** A user's module and what identifies it: a resumed run must find the same file. */
export interface LoadedModule {
  /** The default export, or `module.exports`. */
  value: unknown
  hash: string
}

/** Hash of a module's file, which a run is begun with. Throws if it is not there. */
export function moduleHash(file: string): string {
  try {
    return hashOf(readFileSync(file))
  } catch (error) {
    throw new Error(`cannot read the module ${file}: ${(error as Error).message}`, { cause: error })
  }
}

/** Loads a JavaScript module, CommonJS or ES. Throws if it is not there, or fails while it loads. */
export async function loadModule(file: string): Promise<LoadedModule> {
  const hash = moduleHash(file)
  const loaded = (await importModule(path.resolve(file))) as { default?: unknown }
  return { value: loaded.default ?? loaded, hash }
}

/** TypeScript would turn `import()` into `require`, which refuses ES modules on older Nodes; `require` is tried first. */
async function importModule(file: string): Promise<unknown> {
  const importEs = new Function('url', 'return import(url)') as (url: string) => Promise<unknown>
  if (file.endsWith('.mjs')) return importEs(pathToFileURL(file).href)
  try {
    return createRequire(file)(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_REQUIRE_ESM') throw error
    return importEs(pathToFileURL(file).href)
  }
}

/** A strategy ready to use, with what a run's configuration records of it. */
export interface ResolvedStrategy {
  strategy: CreditStrategy
  name: string
  /** Hash of the module, or of the text of a function that was given; null for a named strategy. */
  hash: string | null
}

/** The strategy of a configuration, or a function that the caller wrote instead. */
export async function resolveStrategy(
  choice: string | ModuleReference,
  given?: CreditStrategy,
): Promise<ResolvedStrategy> {
  if (given) return { strategy: given, name: `function ${given.name || '(anonymous)'}`, hash: hashOf(given.toString()) }
  if (typeof choice === 'string') return { strategy: strategyNamed(choice), name: choice, hash: null }
  const { value, hash } = await loadModule(choice.module)
  if (typeof value !== 'function')
    throw new Error(
      `${choice.module} exports ${typeof value}; expected a credit strategy (a function) as its default export`,
    )
  return { strategy: value as CreditStrategy, name: path.basename(choice.module), hash }
}
