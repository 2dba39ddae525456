import type { Command } from 'commander'
import { deviceReport, memory } from '../engine/tensorflow'
import { print } from './shared'

export function register(program: Command): void {
  program
    .command('device')
    .description('Print which device and TensorFlow this machine uses, and the memory held.')
    .action(() => print(JSON.stringify({ ...deviceReport(), ...memory() }, null, 2)))
}
