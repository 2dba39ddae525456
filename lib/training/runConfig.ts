import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { ConfigError, parseConfig } from './readConfig'
import type { RunFolder } from './runFolder'
import type { TrainingConfig } from './trainingConfig'

/** Keys that change no number of a run: they may differ when it goes on. */
const FREE = [/^checkpoints\./, /^rollouts\./, /^maxNonFiniteUpdates$/, /^recompute$/]

/** The configuration that a run folder was begun with; null where there is none yet. */
export async function storedConfig(folder: RunFolder): Promise<TrainingConfig | null> {
  const stored = await folder.readJson<unknown>('config.json')
  return stored === null ? null : parseConfig(stored, folder.folder)
}

/** Writes `config.json` (or another file), paths relative to the run folder. */
export async function storeConfig(folder: RunFolder, config: TrainingConfig, name = 'config.json'): Promise<void> {
  const copy = structuredClone(config)
  const relative = (file: string) => {
    const name = path.relative(folder.folder, file)
    return name.startsWith('.') ? name : `./${name}`
  }
  if ('module' in copy.task) copy.task.module = relative(copy.task.module)
  const { options } = copy.task
  for (const [key, value] of Object.entries(options))
    if (typeof value === 'string' && path.isAbsolute(value)) options[key] = relative(value)
  const strategy = copy.grpo?.credit.strategy
  if (typeof strategy === 'object') strategy.module = relative(strategy.module)
  if (copy.supervised && copy.supervised.demonstrations !== 'task')
    copy.supervised.demonstrations = relative(copy.supervised.demonstrations)
  if ('from' in copy.model && path.isAbsolute(copy.model.from)) copy.model.from = relative(copy.model.from)
  await folder.writeJson(name, copy)
}

/**
 * The configuration that an existing run goes on with: the new one, which may differ from the stored one only in keys that
 * change no number, and in more steps where the learning rate does not depend on how many there are. Throws naming the others.
 */
export function resumedConfig(stored: TrainingConfig, given: TrainingConfig, folder: string): TrainingConfig {
  const before = leaves(stored)
  const after = leaves({ ...given, hashes: { ...stored.hashes, ...given.hashes } })
  const different = [...new Set([...before.keys(), ...after.keys()])].filter(
    (key) => !isDeepStrictEqual(before.get(key), after.get(key)) && !FREE.some((free) => free.test(key)),
  )
  const refused = different.filter((key) => !(key === 'grpo.steps' && extendable(stored, given)))
  if (refused.length > 0)
    throw new ConfigError(
      `${folder} was begun with another configuration; different: ` +
        refused
          .map((key) => `${key} (${JSON.stringify(before.get(key))}, now ${JSON.stringify(after.get(key))})`)
          .join(', ') +
        '. Choose a new run folder, or go on without these changes',
    )
  return { ...given, hashes: stored.hashes }
}

function extendable({ grpo: before }: TrainingConfig, { grpo: after }: TrainingConfig): boolean {
  return before !== null && after !== null && before.optimizer.schedule === 'constant' && after.steps > before.steps
}

/** Every value by its path, lists whole. */
function leaves(value: unknown, at = ''): Map<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return new Map([[at, value]])
  return new Map(Object.entries(value).flatMap(([key, v]) => [...leaves(v, at === '' ? key : `${at}.${key}`)]))
}
