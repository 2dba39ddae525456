import type { Command } from 'commander'
import { rhythmOptions } from '../credit/rhythmOptions'
import { methodOptions, print } from './shared'

export function register(program: Command): void {
  program
    .command('options')
    .description('Print every parameter of the method as JSON: the preset, with changes.')
    .option('--preset <name>', 'v2 or v1', 'v2')
    .option('--options <file>', 'JSON of parameters')
    .option('--set <key=value...>', 'single parameters')
    .action((options) => print(JSON.stringify(rhythmOptions(methodOptions(options), options.preset), null, 2)))
}
