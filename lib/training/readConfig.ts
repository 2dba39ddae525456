import { readFileSync } from 'node:fs'
import path from 'node:path'
import { type ParseError, parse, printParseErrorCode } from 'jsonc-parser'
import { z } from 'zod'
import { rhythmOptions } from '../credit/rhythmOptions'
import { chosenBranch, configSchema } from './configSchema'
import type { TrainingConfig, TrainingConfigInput } from './trainingConfig'

/** Thrown for a configuration that cannot be used; the message names every key that is wrong and what it takes. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ConfigError'
  }
}

/**
 * Reads a configuration file: JSON with comments and trailing commas, with `key=value` changes (`grpo.updates=4`) on top.
 * Paths of modules and files in it are relative to the file, and absolute in the result.
 */
export function readConfig(file: string, changes: readonly string[] = []): TrainingConfig {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(`cannot read the configuration ${file}: ${(error as Error).message}`)
  }
  return parseConfig(withChanges(parseJsonWithComments(text, file), changes), path.dirname(path.resolve(file)))
}

/** A complete configuration from what is written. `folder`: what paths in it are relative to. Throws ConfigError. */
export function parseConfig(input: TrainingConfigInput | unknown, folder = process.cwd()): TrainingConfig {
  const result = configSchema.safeParse(input)
  if (!result.success) throw new ConfigError(result.error.issues.flatMap((issue) => describe(issue, input)).join('\n'))
  const config = result.data as TrainingConfig
  if (!config.supervised && !config.grpo)
    throw new ConfigError('nothing to train: give "supervised", "grpo" or both (each an object with "steps")')
  checkTogether(config)
  return withAbsolutePaths(config, folder)
}

/** JSON with comments; an error names line and column. */
export function parseJsonWithComments(text: string, name: string): unknown {
  const errors: ParseError[] = []
  const value = parse(text, errors, { allowTrailingComma: true, disallowComments: false })
  const [first] = errors
  if (first) {
    const before = text.slice(0, first.offset).split('\n')
    throw new ConfigError(
      `${name}, line ${before.length}, column ${before.at(-1)!.length + 1}: ${printParseErrorCode(first.error)}`,
    )
  }
  return value
}

/** The value with `key=value` changes; a value is JSON, or text where it is not. */
export function withChanges(value: unknown, changes: readonly string[]): unknown {
  const result = structuredClone(value ?? {}) as Record<string, unknown>
  for (const change of changes) {
    const [key, ...rest] = change.split('=')
    if (!key || rest.length === 0) throw new ConfigError(`--set ${change}: expected key=value, e.g. grpo.updates=4`)
    let target = result
    const names = key.split('.')
    for (const name of names.slice(0, -1)) {
      if (['__proto__', 'constructor', 'prototype'].includes(name))
        throw new ConfigError(`--set ${change}: no such key`)
      if (typeof target[name] !== 'object' || target[name] === null) target[name] = {}
      target = target[name] as Record<string, unknown>
    }
    const text = rest.join('=')
    try {
      target[names.at(-1)!] = JSON.parse(text)
    } catch {
      target[names.at(-1)!] = text
    }
  }
  return result
}

/** One line for each thing that is wrong. */
function describe(issue: z.core.$ZodIssue, input: unknown): string[] {
  const value = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], input)
  const key = issue.path.join('.') || 'the configuration'
  if (issue.code === 'invalid_union') {
    const branch = chosenBranch(issue.path, value)
    const inner = branch?.safeParse(value)
    if (inner?.error)
      return inner.error.issues.flatMap((i) =>
        describe({ ...i, path: [...issue.path, ...i.path] } as z.core.$ZodIssue, input),
      )
  }
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(issue.path, value)
    return issue.keys.map(
      (name) =>
        `unknown key ${[...issue.path, name].join('.')}${known.length > 0 ? `; ${key} takes ${known.join(', ')}` : ''}`,
    )
  }
  const given = value === undefined ? 'missing' : `got ${JSON.stringify(value)}`
  return [`${key}: ${issue.message} (${given})`]
}

function knownKeys(at: readonly PropertyKey[], value: unknown): string[] {
  let schema: unknown = configSchema
  for (const [i, key] of at.entries()) {
    const branch = chosenBranch(at.slice(0, i), undefined)
    schema = bare(branch ?? schema)
    schema = schema instanceof z.ZodObject ? schema.shape[key as string] : undefined
  }
  schema = chosenBranch(at, value) ?? bare(schema)
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : []
}

function bare(schema: unknown): unknown {
  let inner = schema
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault || inner instanceof z.ZodNullable)
    inner = inner.unwrap()
  return inner
}

function checkTogether({ model, lora, supervised, grpo, evaluation }: TrainingConfig): void {
  if (lora && !('from' in model))
    throw new ConfigError('lora adapts a model that is there already: give model.from, or leave lora out')
  if (grpo) {
    try {
      rhythmOptions({ rl: grpo.credit.rl, credit: grpo.credit.options }, grpo.credit.preset)
    } catch (error) {
      throw new ConfigError(`grpo.credit: ${(error as Error).message}`)
    }
    if (grpo.updates > grpo.prompts * grpo.responses)
      throw new ConfigError(
        `grpo.updates is ${grpo.updates} for ${grpo.prompts * grpo.responses} responses: expected at most one update a response`,
      )
  }
  if ('characters' in model) {
    const odd = [...model.characters].find((c) => c.charCodeAt(0) > 126)
    if (odd) throw new ConfigError(`model.characters holds ${JSON.stringify(odd)}: expected ASCII characters only`)
    if (new Set(model.characters).size !== model.characters.length)
      throw new ConfigError('model.characters names a character twice')
    if (!model.characters.includes(model.end))
      throw new ConfigError(`model.end ${JSON.stringify(model.end)} is not among model.characters`)
    const longest = Math.max(grpo?.maxNewTokens ?? 0, evaluation?.maxNewTokens ?? 0)
    if ((supervised?.maxTokens ?? 0) > model.maxPositionEmbeddings)
      throw new ConfigError(
        `supervised.maxTokens is ${supervised?.maxTokens}, model.maxPositionEmbeddings ${model.maxPositionEmbeddings}: expected at most that`,
      )
    if (longest >= model.maxPositionEmbeddings)
      throw new ConfigError(
        `responses of ${longest} tokens do not fit into model.maxPositionEmbeddings ${model.maxPositionEmbeddings}`,
      )
  }
}

/** Paths as they are, whatever folder the reader is in later. */
function withAbsolutePaths(config: TrainingConfig, folder: string): TrainingConfig {
  const result = structuredClone(config)
  if ('module' in result.task) result.task.module = path.resolve(folder, result.task.module)
  // Files that a task reads: those that begin with a dot; other texts may be names on the hub.
  const { options } = result.task
  for (const [name, value] of Object.entries(options))
    if (typeof value === 'string' && /^\.{1,2}\//.test(value)) options[name] = path.resolve(folder, value)
  const strategy = result.grpo?.credit.strategy
  if (typeof strategy === 'object') strategy.module = path.resolve(folder, strategy.module)
  if (result.supervised && result.supervised.demonstrations !== 'task')
    result.supervised.demonstrations = path.resolve(folder, result.supervised.demonstrations)
  if ('from' in result.model && /^\.{1,2}\//.test(result.model.from))
    result.model.from = path.resolve(folder, result.model.from)
  return result
}
