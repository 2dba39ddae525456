import type { Command } from 'commander'
import { rhythmOptions } from '../credit/rhythmOptions'
import { progress } from '../notebook/progress'
import { ABLATION_HORIZONS, ABLATION_WINDOWS, traceAll } from '../traces/traceAll'
import { readTraceInput } from '../traces/traceInput'
import {
  during,
  horizons,
  load,
  MODEL_HELP,
  methodOptions,
  noticeRetrace,
  precisionOption,
  print,
  wholeNumber,
  wholeNumbers,
} from './shared'

export function register(program: Command): void {
  program
    .command('trace')
    .description(
      'Trace the attention of responses: FOLDER/<id>.json and FOLDER/<id>.series.safetensors for each. A stopped run is continued.',
    )
    .option('--model <model>', MODEL_HELP, 'smollm2-135m-instruct')
    .addOption(precisionOption())
    .requiredOption(
      '--input <file>',
      'JSONL; lines {"id", "ids", "promptLength"}, {"id", "prompt", "response"} or {"id", "messages", "response"}',
    )
    .requiredOption('--output <folder>', 'where the trace files go')
    .option('--preset <name>', "the paper's version: v2 or v1", 'v2')
    .option(
      '--options <file>',
      "JSON of parameters of the method, as `rhythm options` prints them; what it leaves out is the preset's",
    )
    .option('--set <key=value...>', 'single parameters, e.g. rl.window=8 credit.topShare=0.2 analysis.layers=middle')
    .option('--windows <list>', 'WAAD windows to keep series for', wholeNumbers, [...ABLATION_WINDOWS])
    .option('--horizons <list>', 'FAI horizons to keep series for, e.g. 10-100,0-end', horizons, [...ABLATION_HORIZONS])
    .option('--map-cells <n>', 'side of the attention maps of local and global heads; 0: none', wholeNumber(0), 256)
    .action(async (options) => {
      const rhythm = methodOptions(options)
      rhythmOptions(rhythm, options.preset)
      const inputs = await readTraceInput(options.input)
      const model = await load(options.model, options.precision)
      const bar = progress('traces', inputs.length)
      const result = await during(bar, () =>
        traceAll(model, inputs, options.output, {
          rhythm,
          preset: options.preset,
          windows: options.windows,
          horizons: options.horizons,
          mapCells: options.mapCells,
          onProgress: bar.callback,
          onTrace: noticeRetrace,
        }),
      )
      for (const { id, error } of result.failed) process.stderr.write(`trace '${id}' failed: ${error.message}\n`)
      const there = result.alreadyThere.length > 0 ? `, ${result.alreadyThere.length} were already there` : ''
      print(
        `${options.output}: ${result.made.length} traces made${there}${result.failed.length > 0 ? `, ${result.failed.length} failed` : ''}`,
      )
      if (result.failed.length > 0) process.exitCode = 1
    })
}
