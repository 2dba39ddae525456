// `npm run reproduce`: runs the notebooks from top to bottom without a browser and keeps them, executed, as .ipynb and HTML.
import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

const usage = `Usage: npm run reproduce -- [--notebook 01]... [--parameters '{"name": value}'] [--output FOLDER]
  --notebook    only notebooks whose file name begins with this; may be repeated
  --parameters  JSON object that overrides the notebook's parameters (for one notebook)
  --output      where the reports go (data/reports)
`

/** What the command line asks for: `{ notebooks, parameters, output }`, or `{ problem }`. */
export function readRequest(args, { root, variables = process.env }) {
  let values
  try {
    values = parseArgs({
      args,
      options: {
        notebook: { type: 'string', multiple: true, default: [] },
        parameters: { type: 'string' },
        output: { type: 'string', default: join(root, 'data', 'reports') },
      },
    }).values
  } catch (error) {
    return { problem: `${error.message}\n${usage}` }
  }
  const all = readdirSync(join(root, 'notebooks'))
    .filter((name) => name.endsWith('.ipynb'))
    .sort()
  const strange = values.notebook.find((start) => !all.some((name) => name.startsWith(start)))
  if (strange !== undefined)
    return { problem: `No notebook begins with ${strange}. There are: ${all.join(', ')}\n${usage}` }
  const chosen = all.filter(
    (name) => values.notebook.length === 0 || values.notebook.some((start) => name.startsWith(start)),
  )
  if (chosen.length === 0) return { problem: 'notebooks/ holds no notebook.\n' }
  if (values.parameters !== undefined) {
    let parsed
    try {
      parsed = JSON.parse(values.parameters)
    } catch (error) {
      return { problem: `--parameters is not JSON (${error.message}): ${values.parameters}\n` }
    }
    if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed))
      return { problem: `--parameters must be a JSON object, got ${values.parameters}\n` }
    if (chosen.length > 1) return { problem: `--parameters is for one notebook: name it with --notebook.\n` }
  }
  return {
    notebooks: chosen,
    parameters: values.parameters ?? variables.RHYTHM_PARAMETERS,
    output: resolve(variables.INIT_CWD ?? root, values.output),
  }
}

/** Runs one notebook; resolves to `{ code, headlines, files, seconds }`. */
function execute(name, request, { root, python, env }) {
  const script = join(root, 'kernels', 'execute_notebook.py')
  const began = Date.now()
  const tty = process.stderr.isTTY
  const variables = request.parameters === undefined ? env : { ...env, RHYTHM_PARAMETERS: request.parameters }
  const child = spawn(python, [script, join(root, 'notebooks', name), request.output], {
    cwd: root,
    env: variables,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const headlines = []
  const files = []
  let problem
  createInterface(child.stdout).on('line', (line) => {
    const event = JSON.parse(line)
    if (event.cell) {
      const text = `${name}: cell ${event.cell} of ${event.cells}, ${Math.round((Date.now() - began) / 1000)} s`
      process.stderr.write(tty ? `\r\x1b[2K${text}` : `${text}\n`)
    }
    if (event.headline) headlines.push(event.headline)
    if (event.file) files.push(event.file)
    if (event.error) problem = event.error
  })
  const pass = (signal) => child.kill(signal)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, pass)
  return new Promise((done, fail) => {
    child.on('error', fail)
    child.on('close', (code, signal) => {
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(name, pass)
      if (tty) process.stderr.write('\r\x1b[2K')
      const exit = code ?? (signal === 'SIGINT' ? 130 : 143)
      done({ code: exit, headlines, files, problem, seconds: (Date.now() - began) / 1000 })
    })
  })
}

export async function reproduce(args, place) {
  const request = readRequest(args, place)
  if (request.problem) {
    process.stderr.write(request.problem)
    return 2
  }
  mkdirSync(request.output, { recursive: true })
  let failures = 0
  for (const name of request.notebooks) {
    const { code, headlines, files, problem, seconds } = await execute(name, request, place)
    process.stdout.write(
      `\n${name}: ${code === 0 ? `done in ${seconds.toFixed(0)} s` : `FAILED after ${seconds.toFixed(0)} s`}\n`,
    )
    for (const line of headlines) process.stdout.write(`  ${line}\n`)
    for (const file of files) process.stdout.write(`  ${relative(process.env.INIT_CWD ?? process.cwd(), file)}\n`)
    if (problem) process.stdout.write(`${problem}\n`)
    if (code >= 128) return code
    if (code !== 0) failures++
  }
  if (failures > 0) process.stdout.write(`\n${failures} of ${request.notebooks.length} notebooks failed.\n`)
  return failures > 0 ? 1 : 0
}
