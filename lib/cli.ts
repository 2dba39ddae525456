#!/usr/bin/env node
import { Command } from 'commander'
import * as analyze from './commands/analyze'
import * as change from './commands/change'
import * as collect from './commands/collect'
import * as compare from './commands/compare'
import * as device from './commands/device'
import * as evaluate from './commands/evaluate'
import * as exporting from './commands/export'
import * as generate from './commands/generate'
import * as gpuCheck from './commands/gpuCheck'
import * as options from './commands/options'
import * as perturb from './commands/perturb'
import * as sweep from './commands/sweep'
import * as trace from './commands/trace'
import * as traces from './commands/traces'
import * as train from './commands/train'
import { Interrupted, interrupt } from './engine/cooperate'

const program = new Command('rhythm')
  .description('The preplan-and-anchor rhythm of a language model: write responses, trace their attention.')
  .showHelpAfterError('(add --help for what the command takes)')

// In the order of `rhythm --help`. A command is a file of commands/ that exports `register`.
for (const command of [
  traces,
  perturb,
  analyze,
  generate,
  trace,
  options,
  exporting,
  device,
  gpuCheck,
  train,
  evaluate,
  change,
  collect,
  sweep,
  compare,
])
  command.register(program)

// The first Ctrl-C stops the work at its next pause, with what is done kept; a second one ends the process.
let interrupted = false
process.on('SIGINT', () => {
  if (interrupted) process.exit(130)
  interrupted = true
  interrupt()
})

program.parseAsync().catch((error: Error) => {
  process.stderr.write(`${error instanceof Interrupted ? error.message : `rhythm: ${error.message}`}\n`)
  process.exitCode = error instanceof Interrupted ? 130 : 1
})
