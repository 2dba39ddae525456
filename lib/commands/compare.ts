import path from 'node:path'
import { type Command, Option } from 'commander'
import { DEFAULT_BOOTSTRAP } from '../analysis/bootstrap'
import { writeSweepRecord } from '../analysis/sweepRecord'
import { SWEEP_MEASURES } from '../analysis/sweepRow'
import { sweepTables } from '../analysis/sweepTableSet'
import { writeTables } from '../analysis/tableFiles'
import { readSweep } from '../sweeps/readSweep'
import { thisMachine } from './collect'
import { print, realNumber, wholeNumber } from './shared'
import { sweepReport } from './sweepReport'

export function register(program: Command): void {
  program
    .command('compare')
    .description("What sweeps found: arms, paired differences and the power of their tests, the paper's values beside.")
    .argument('<folders...>', 'folders of sweeps, finished or not, or of their records')
    .option(
      '--baseline <arm>',
      'the arm that others are compared with, or axis=label: each with its counterpart that has this label; by default as the sweep says',
    )
    .addOption(new Option('--measure <name>', 'what is compared').choices([...SWEEP_MEASURES]).default('final'))
    .option('--threshold <percent>', 'also the steps until sampled accuracy reaches this', realNumber)
    .option('--output <folder>', 'write runs.json, which holds all that tables and figures need, and the tables')
    .option('--digits <n>', 'significant digits in the files of tables', wholeNumber(2), 6)
    .option('--replicates <n>', 'of the bootstrap', wholeNumber(1), DEFAULT_BOOTSTRAP.replicates)
    .action(async (folders: string[], { baseline, measure, threshold, output, digits, replicates }) => {
      for (const folder of folders) {
        const record = await readSweep(folder)
        const tables = sweepTables(record, {
          measure,
          baseline,
          threshold: threshold === undefined ? undefined : threshold / 100,
          bootstrap: { replicates },
        })
        print(sweepReport(record, tables))
        if (!output) continue
        const target = folders.length === 1 ? output : path.join(output, path.basename(path.resolve(folder)))
        const kept = { ...record, machine: record.machine ?? thisMachine() }
        const written = [
          writeSweepRecord(kept, target),
          ...(await writeTables({ ...tables }, target, { formats: ['csv', 'json'], digits })),
        ]
        print(`\n${target}: ${written.map((file) => path.basename(file)).join(', ')}`)
      }
    })
}
