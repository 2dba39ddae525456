import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type ParametersOptions, type ParameterValue, parameters } from '../../lib/notebook/parameters'

const defaults = {
  limit: 20,
  model: 'smollm2-135m-instruct',
  live: true,
  windows: [10, 20],
  sampling: { temperature: 0.7, stop: ['\n'] },
  seed: null as number | null,
}

/** The parameters with the variable set to this, and what was printed. */
function given<T extends Record<string, ParameterValue>>(value: unknown, fallbacks: T, options?: ParametersOptions<T>) {
  process.env.RHYTHM_PARAMETERS = typeof value === 'string' ? value : JSON.stringify(value)
  const { log } = console
  const lines: string[] = []
  console.log = (line: string) => lines.push(line)
  try {
    return { result: parameters(fallbacks, options), lines }
  } finally {
    console.log = log
  }
}

after(() => {
  delete process.env.RHYTHM_PARAMETERS
})

test('without the variable the defaults hold, and nothing is printed', () => {
  delete process.env.RHYTHM_PARAMETERS
  assert.deepEqual(parameters(defaults), defaults)
  assert.deepEqual(given('', defaults), { result: defaults, lines: [] })
})

test('what is given replaces the default, nested too, and is shown', () => {
  const { result, lines } = given({ limit: 4, sampling: { temperature: 0 }, windows: [5], seed: 7 }, defaults)
  assert.deepEqual(result, {
    ...defaults,
    limit: 4,
    sampling: { temperature: 0, stop: ['\n'] },
    windows: [5],
    seed: 7,
  })
  assert.equal(lines.length, 4)
  assert.equal(lines[0], 'limit = 4, from RHYTHM_PARAMETERS (default 20)')
  assert.equal(defaults.limit, 20)
})

test('the result has the types of the values, not of the literals', () => {
  const P = given({ limit: 4 }, { limit: 20, name: 'a', list: [1] }).result
  const limit: number = P.limit
  P.name = 'another'
  const list: number[] = P.list
  assert.deepEqual([limit, list, P.name], [4, [1], 'another'])
})

test('a refusal names the key, what was given, what it takes and what it means', () => {
  const refused = (value: unknown) => () => given(value, defaults, { descriptions: { limit: 'problems to solve' } })
  assert.throws(refused({ limt: 4 }), /there is no parameter limt\. This notebook takes limit, model, live, /)
  assert.throws(
    refused({ limit: '4' }),
    /limit takes a number, got "4" \(limit: problems to solve\)\. The default is 20/,
  )
  assert.throws(refused({ limit: null }), /limit takes a number, got null/)
  assert.throws(refused({ live: 1 }), /live takes true or false, got 1/)
  assert.throws(refused({ model: ['a'] }), /model takes a string, got \["a"\]/)
  assert.throws(refused({ windows: 10 }), /windows takes a list like \[10,20\], got 10/)
  assert.throws(refused({ windows: [10, 'a'] }), /windows\[1\] takes a number, got "a"/)
  assert.throws(refused({ sampling: { temprature: 1 } }), /no parameter sampling\.temprature.*sampling\.temperature/)
  assert.throws(refused({ sampling: 3 }), /sampling takes an object with temperature, stop, got 3/)
  assert.throws(refused('{"limit": 4'), /takes a JSON object like .*, got \{"limit": 4/)
  assert.throws(refused('[1]'), /takes a JSON object/)
})

test('names that every object has are unknown too', () => {
  assert.throws(() => given('{"toString": 1}', defaults), /no parameter toString/)
  assert.throws(() => given('{"__proto__": {"limit": 1}}', defaults), /no parameter __proto__/)
})
