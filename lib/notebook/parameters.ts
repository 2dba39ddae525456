/** What a notebook's parameter can be: anything that JSON can hold. */
export type ParameterValue = string | number | boolean | null | ParameterValue[] | { [name: string]: ParameterValue }

/** The type of a parameter's value rather than its default: `number` for 20. */
export type Parameter<T> = T extends string
  ? string
  : T extends number
    ? number
    : T extends boolean
      ? boolean
      : T extends (infer Item)[]
        ? Parameter<Item>[]
        : T extends object
          ? { [Name in keyof T]: Parameter<T[Name]> }
          : T

export type ParameterValues<T> = { [Name in keyof T]: Parameter<T[Name]> }

export interface ParametersOptions<T> {
  /** What each parameter means; shown where one is refused. */
  descriptions?: { [Name in keyof T]?: string }
}

/** The environment variable that a headless run sets, to a JSON object. */
export const PARAMETERS_VARIABLE = 'RHYTHM_PARAMETERS'

type Fields = { [name: string]: ParameterValue }
const isFields = (value: ParameterValue): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function kind(value: ParameterValue): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return value.length > 0 ? `a list like ${JSON.stringify(value)}` : 'a list'
  if (typeof value === 'object') return `an object with ${Object.keys(value).join(', ') || 'no fields'}`
  return { string: 'a string', number: 'a number', boolean: 'true or false' }[
    typeof value as 'string' | 'number' | 'boolean'
  ]
}

/** Puts `given` over `fallback` and refuses what does not fit. `path` names the place: 'sampling.temperature'. */
function override(path: string, fallback: ParameterValue, given: ParameterValue, hint: string): ParameterValue {
  const refuse = (what: string): never => {
    throw new TypeError(`${PARAMETERS_VARIABLE}: ${path} takes ${what}, got ${JSON.stringify(given)}${hint}`)
  }
  // A default of null says nothing about the type.
  if (fallback === null) return given
  if (Array.isArray(fallback)) {
    if (!Array.isArray(given)) return refuse(kind(fallback))
    const [first] = fallback
    return first === undefined ? given : given.map((item, index) => override(`${path}[${index}]`, first, item, hint))
  }
  if (isFields(fallback)) {
    if (!isFields(given)) return refuse(kind(fallback))
    return overrideFields(`${path}.`, fallback, given, () => hint)
  }
  if (typeof given !== typeof fallback || (typeof given === 'number' && !Number.isFinite(given)))
    return refuse(kind(fallback))
  return given
}

function overrideFields(prefix: string, defaults: Fields, given: Fields, hintFor: (name: string) => string): Fields {
  const result = { ...defaults }
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaults, name)) {
      const known = Object.keys(defaults).map((key) => prefix + key)
      throw new TypeError(
        `${PARAMETERS_VARIABLE}: there is no parameter ${prefix}${name}. This notebook takes ${known.join(', ') || 'none'}`,
      )
    }
    result[name] = override(prefix + name, defaults[name]!, value, hintFor(name))
  }
  return result
}

function givenParameters(): Fields {
  const text = process.env[PARAMETERS_VARIABLE]
  if (!text?.trim()) return {}
  let given: ParameterValue
  try {
    given = JSON.parse(text)
  } catch (error) {
    throw new TypeError(
      `${PARAMETERS_VARIABLE} takes a JSON object like {"limit": 4}, got ${text}: ${(error as Error).message}`,
    )
  }
  if (!isFields(given)) throw new TypeError(`${PARAMETERS_VARIABLE} takes a JSON object like {"limit": 4}, got ${text}`)
  return given
}

/**
 * A notebook's parameters: the defaults written in its first cell, overridden by the JSON object in the environment
 * variable RHYTHM_PARAMETERS, which is how a headless run sets them. Says what was overridden. Throws on a name that
 * the defaults lack and on a value of another type; a list's values are checked against its first default.
 */
export function parameters<T extends Fields>(defaults: T, options: ParametersOptions<T> = {}): ParameterValues<T> {
  const given = givenParameters()
  const hintFor = (name: string) => {
    const description = options.descriptions?.[name]
    return `${description ? ` (${name}: ${description})` : ''}. The default is ${JSON.stringify(defaults[name])}`
  }
  const result = overrideFields('', defaults, given, hintFor)
  for (const name of Object.keys(given)) {
    console.log(
      `${name} = ${JSON.stringify(result[name])}, from ${PARAMETERS_VARIABLE} (default ${JSON.stringify(defaults[name])})`,
    )
  }
  return result as ParameterValues<T>
}
