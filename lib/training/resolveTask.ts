import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { workspaceRoot } from '../model/workspace'
import { compactCountdown } from '../tasks/compactCountdown'
import { countdown } from '../tasks/countdown'
import { parseCountdown } from '../tasks/countdownItems'
import type { GivenItems } from '../tasks/givenItems'
import { logicGridTask, readLogicGrids } from '../tasks/logicGrid'
import { mathTask, readMathSet } from '../tasks/mathSets'
import { choiceTask, readChoices } from '../tasks/multipleChoice'
import { type Task, type TaskSplit, taskSplits } from '../tasks/task'
import { ConfigError } from './readConfig'
import type { TaskChoice } from './trainingConfig'
import { hashOf, loadModule } from './userModule'

type Options = Record<string, unknown>
type MakeTask = (options: Options) => Task<unknown> | Promise<Task<unknown>>

/** The tasks that a configuration can name. A user's own comes as a module or an object. */
const named: Record<string, MakeTask> = {
  countdown: async ({ from, ...options }) =>
    countdown({
      ...options,
      ...(typeof from === 'string' ? { from: parseCountdown(await readFile(from, 'utf8'), from) } : {}),
    }) as Task<unknown>,
  'countdown-compact': (options) => compactCountdown(options) as Task<unknown>,
  math: fromSources((source) => readMathSet(source, { downloadsFolder: downloads() }), mathTask),
  'multiple-choice': fromSources(readChoices, choiceTask),
  'logic-grid': fromSources(readLogicGrids, logicGridTask),
}

/** A task whose items are read: options `train`, `validation` and `test` name files, or sets on the hub. */
function fromSources<Item>(
  read: (source: string) => Promise<Item[]>,
  make: (given: GivenItems<Item>, options: object) => Task<Item>,
): MakeTask {
  return async (options) => {
    const given: GivenItems<Item> = {}
    for (const split of taskSplits) {
      const source = options[split]
      if (source === undefined) continue
      if (typeof source !== 'string')
        throw new Error(`${split} is ${JSON.stringify(source)}: expected a file or a set's name`)
      given[split] = await read(source)
    }
    const rest = Object.fromEntries(Object.entries(options).filter(([name]) => !taskSplits.includes(name as TaskSplit)))
    return make(given, rest) as Task<unknown>
  }
}

const downloads = () => path.join(workspaceRoot(), 'data', 'downloads')

export const taskNames = Object.keys(named)

export interface ResolvedTask {
  task: Task<unknown>
  /** Hash of the module or object; null for a named task. */
  hash: string | null
}

/** The task of a configuration, or an object that the caller made instead. */
export async function resolveTask(choice: TaskChoice, given?: Task<unknown>): Promise<ResolvedTask> {
  if (given) return { task: checkTask(given, 'the given task'), hash: hashOf(sourceOf(given)) }
  if ('name' in choice) {
    const make = Object.hasOwn(named, choice.name) ? named[choice.name] : undefined
    if (!make)
      throw new ConfigError(
        `task.name: no task ${JSON.stringify(choice.name)}; expected one of ${taskNames.join(', ')}`,
      )
    try {
      return { task: await make(choice.options), hash: null }
    } catch (error) {
      throw new ConfigError(`task.options: ${(error as Error).message}`)
    }
  }
  const { value, hash } = await loadModule(choice.module)
  const task = typeof value === 'function' ? await value(choice.options) : value
  return { task: checkTask(task, choice.module), hash }
}

function checkTask(value: unknown, where: string): Task<unknown> {
  const task = value as Partial<Task<unknown>> | null
  for (const name of ['items', 'prompt', 'verify'] as const)
    if (typeof task?.[name] !== 'function')
      throw new ConfigError(
        `${where} is no task: it has no function ${name} (a task has name, items, prompt and verify)`,
      )
  if (typeof task?.name !== 'string') throw new ConfigError(`${where} is no task: it has no name`)
  return task as Task<unknown>
}

/** The text of an object's functions and values. */
function sourceOf(task: object): string {
  return Object.entries(task)
    .map(([name, value]) => `${name}: ${typeof value === 'function' ? value.toString() : JSON.stringify(value)}`)
    .join('\n')
}
