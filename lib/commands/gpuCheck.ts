import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { type Command, Option } from 'commander'
import { doPart, type PartRequest } from '../gpuCheck/checkPart'
import type { PartLine } from '../gpuCheck/partProcess'
import { runGpuCheck } from '../gpuCheck/runCheck'
import { workspaceRoot } from '../model/workspace'
import { writeFileAtomically } from '../model/writeFileAtomically'
import { print } from './shared'

export function register(program: Command): void {
  program
    .command('gpu-check')
    .description(
      'Check the device: rates of matrix products, agreement with the CPU, speed, utilisation and memory of training. Under 10 minutes, no network; without a GPU the same at small size.',
    )
    .option('--output <file>', 'the report, JSON; by default data/reports/gpu-check.json of the repository')
    .addOption(
      new Option('--size <size>', 'full for a GPU, small for a CPU; by default by the device').choices([
        'full',
        'small',
        'tiny',
      ]),
    )
    .option('--models <names>', 'qwen3-0.6b,qwen3-4b or small-17m; by default by the size', (text) => text.split(','))
    .addOption(new Option('--part <request>', 'one part, as the command asks itself for it').hideHelp())
    .action(async ({ output, size, models, part }) => {
      if (part) return printPart(JSON.parse(part))
      const report = await runGpuCheck({ size, models, onLine: print })
      const file = path.resolve(output ?? path.join(workspaceRoot(), 'data', 'reports', 'gpu-check.json'))
      mkdirSync(path.dirname(file), { recursive: true })
      await writeFileAtomically(file, (write) => write(Buffer.from(`${JSON.stringify(report, null, 2)}\n`)))
      const failed = report.parts.filter(({ state }) => state === 'failed')
      print(
        `${file}: ${report.parts.length - failed.length} of ${report.parts.length} parts, ${report.seconds.toFixed(0)} s`,
      )
      if (failed.length > 0) {
        print(`failed: ${failed.map(({ part: name }) => name).join(', ')}`)
        process.exitCode = 1
      }
    })
}

async function printPart(request: PartRequest): Promise<void> {
  const line = (value: PartLine) => print(JSON.stringify(value))
  line({ result: await doPart(request, (note) => line({ note })) })
}
