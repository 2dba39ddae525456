// Sets up this checkout: `node kernels/setup.mjs [--cpu | --gpu]`. Every command of package.json calls it first. It has no
// dependencies, writes nothing outside the repository's folder, and can be stopped at any point and run again.
// environment.md says what is installed and why.
import { mkdirSync, realpathSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { endOrphan, SetupFailure } from './setup/children.mjs'
import { lockFolder } from './setup/lock.mjs'
import {
  findCompiler,
  findPython,
  npmProblem,
  platformProblems,
  probes,
  supported,
  systemProblems,
} from './setup/machine.mjs'
import { hashOf, readStamp, writeAtomically, writeStamp } from './setup/stamp.mjs'
import { allSteps, layout } from './setup/steps.mjs'

const root = realpathSync(join(dirname(fileURLToPath(import.meta.url)), '..'))

/** Writes lines, and progress: in place on a terminal, every 15 seconds as a line elsewhere. */
export function speaker(stream) {
  let last = Date.now()
  const say = (line) => {
    stream.write(`${stream.isTTY ? '\r\x1b[2K' : ''}${line}\n`)
    last = Date.now()
  }
  say.prefix = ''
  say.progress = (line) => {
    if (stream.isTTY) stream.write(`\r\x1b[2K${say.prefix} ${line}`.slice(0, (stream.columns || 80) + 5))
    else if (Date.now() - last >= 15_000) say(`${say.prefix} ${line}`)
  }
  return say
}

function isDone(step, at, machine) {
  const stamp = readStamp(step.stamp(at))
  if (!stamp) return false
  try {
    return stamp.hash === hashOf(step.inputs(at, machine)) && step.intact(at, machine, stamp)
  } catch (error) {
    if (error.code === 'ENOENT') return false // an input is not there yet: an earlier step makes it
    throw error
  }
}

/** Looks for all that the steps need before any of them starts, so that nobody waits minutes to learn what is missing. */
function findTools(steps, at, machine) {
  const problems = systemProblems(machine)
  const needs = new Set(steps.flatMap((step) => step.needs))
  const python = needs.has('python') ? findPython(machine) : {}
  const compiler = needs.has('compiler') ? findCompiler(machine) : {}
  problems.push(python.problem, compiler.problem, needs.has('npm') ? npmProblem(machine) : undefined)
  const disk = steps.reduce((sum, { disk }) => sum + (typeof disk === 'function' ? disk(at, machine) : disk), 0)
  const free = machine.freeMegabytes(at.root)
  if (free < disk) problems.push(`Set-up needs ${disk} MB on the disk of ${at.root}, and ${free} MB are free.`)
  refuse(problems.filter(Boolean))
  return { ...python, ...compiler }
}

function refuse(problems) {
  if (problems.length > 0) throw new SetupFailure(`${problems.join('\n')}\n${supported}`)
}

/**
 * Does the steps that are not done, in order. Says nothing when there are none. `accelerator` ('cpu' or 'gpu') is
 * remembered for later runs. Throws SetupFailure.
 * @param {{ folder?: string, machine?: typeof probes, accelerator?: string, steps?: import('./setup/steps.mjs').Step[],
 *   stream?: { write(text: string): unknown, isTTY?: boolean, columns?: number } }} options
 */
export async function setUp({
  folder = root,
  machine = probes,
  accelerator,
  steps = allSteps,
  stream = process.stderr,
} = {}) {
  refuse(platformProblems(machine))
  if (accelerator) writeAtomically(layout(folder).accelerator, `${accelerator}\n`)
  const pending = () => steps.filter((step) => !isDone(step, layout(folder), machine))
  if (pending().length === 0) return

  const say = speaker(stream)
  const unlock = await lockFolder(folder, (pid) =>
    say(`Another set-up of this folder runs (process ${pid}): waiting for it.`),
  )
  try {
    const at = layout(folder)
    mkdirSync(at.cache, { recursive: true })
    await endOrphan(at.cache, say)
    const todo = pending() // the other set-up may have done it all
    if (todo.length === 0) return
    const began = Date.now()
    const tools = findTools(todo, at, machine)
    for (const [index, step] of steps.entries()) {
      say.prefix = `[${index + 1}/${steps.length}]`
      // Asked anew: an earlier step can undo a later one (npm ci removes the binding).
      if (!isDone(step, layout(folder), machine)) await runStep(step, folder, machine, say, tools)
    }
    for (const name of ['pip', 'npm', 'tmp']) rmSync(join(at.cache, name), { recursive: true, force: true })
    say(`Set-up done in ${((Date.now() - began) / 1000).toFixed(0)} s.`)
  } finally {
    await unlock()
  }
}

async function runStep(step, folder, machine, say, tools) {
  const began = Date.now()
  say(`${say.prefix} ${step.title} …`)
  rmSync(step.stamp(layout(folder)), { force: true })
  const complete = { ...tools }
  if (step.needs.includes('compiler') && !complete.compiler)
    Object.assign(complete, findTools([step], layout(folder), machine))
  const hash = hashOf(step.inputs(layout(folder), machine)) // before: what changes meanwhile makes the stamp stale
  await step.run(layout(folder), machine, say, complete)
  const at = layout(folder)
  writeStamp(step.stamp(at), hash, step.details?.(at, machine))
  say(`${say.prefix} ${step.title}: ${((Date.now() - began) / 1000).toFixed(1)} s`)
}

/** Runs set-up as a command does: problems on standard error, and the exit code. */
export async function setUpOrExit(options) {
  try {
    await setUp(options)
  } catch (error) {
    if (!(error instanceof SetupFailure)) throw error
    const tty = process.stderr.isTTY ? '\r\x1b[2K' : ''
    process.stderr.write(`${tty}\nSet-up did not finish.\n${error.message}\n`)
    process.exit(error.exitCode)
  }
}

/** Takes --cpu and --gpu out of a command's arguments. */
export function takeAccelerator(args) {
  const asked = args.filter((arg) => arg === '--cpu' || arg === '--gpu')
  return { accelerator: asked.at(-1)?.slice(2), rest: args.filter((arg) => !asked.includes(arg)) }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { accelerator, rest } = takeAccelerator(process.argv.slice(2))
  if (rest.length > 0) {
    process.stderr.write(`Unknown: ${rest.join(' ')}. Usage: node kernels/setup.mjs [--cpu | --gpu]\n`)
    process.exit(2)
  }
  setUpOrExit({ accelerator })
}
