import path from 'node:path'
import { type Command, Option } from 'commander'
import { writeFileAtomically } from '../model/writeFileAtomically'
import { progress } from '../notebook/progress'
import type { Estimate } from '../tasks/passAtK'
import { evaluate } from '../training/evaluation'
import { parseJsonWithComments } from '../training/readConfig'
import { resolveTask } from '../training/resolveTask'
import { runCheckpoint } from '../training/runCheckpoint'
import { storedConfig } from '../training/runConfig'
import { RunFolder } from '../training/runFolder'
import { during, load, MODEL_HELP, precisionOption, print, realNumber, wholeNumber } from './shared'

export function register(program: Command): void {
  program
    .command('evaluate')
    .description("Measure a model on a task's held-out items: greedy accuracy and avg@k, with 95 % intervals.")
    .option(
      '--run <folder>',
      "a run: its task and its evaluation's settings, and its best checkpoint unless --model says otherwise",
    )
    .option('--checkpoint <name>', "the run's: best, last, or a name such as step-2400; best by default")
    .option('--model <model>', MODEL_HELP)
    .addOption(precisionOption())
    .option('--task <name>', 'a task by name, or the path of a module that exports one')
    .option('--task-options <json>', 'options of the task, e.g. {"counts": [4]}')
    .addOption(new Option('--split <name>', 'which items').choices(['validation', 'test']))
    .option('--items <n>', 'how many items', wholeNumber(1))
    .option('--samples <n>', 'k of avg@k', wholeNumber(1))
    .option('--temperature <t>', 'of the samples', realNumber)
    .option('--max-new-tokens <n>', 'most tokens of a response', wholeNumber(1))
    .option('--batch <n>', 'responses written together', wholeNumber(1))
    .option('--seed <n>', 'same seed, same responses', wholeNumber(0))
    .option('--output <file>', 'also write the result as JSON')
    .action(async (options) => {
      const config = options.run ? await storedConfig(new RunFolder(options.run)) : null
      if (options.run && !config) throw new Error(`${options.run} holds no run`)
      if (options.checkpoint && (options.model || !options.run))
        throw new Error('--checkpoint goes with --run FOLDER, the run that it is of, and not with --model')
      const name = options.model ?? (options.run ? await runCheckpoint(options.run, options.checkpoint) : null)
      if (!name) throw new Error('give --run with the folder of a run, or --model')
      const taskChoice = options.task ? chosenTask(options.task, options.taskOptions) : config?.task
      if (!taskChoice) throw new Error('give --task with the name of a task, or --run with the folder of a run')
      const { task } = await resolveTask(taskChoice)
      const model = await load(name, options.precision)
      const stored = config?.evaluation
      const choice = {
        split: options.split ?? stored?.split ?? 'test',
        items: options.items ?? stored?.items ?? 512,
        samples: options.samples ?? stored?.samples ?? 8,
        temperature: options.temperature ?? stored?.temperature ?? 1,
        maxNewTokens: options.maxNewTokens ?? stored?.maxNewTokens ?? 1024,
        batch: options.batch ?? stored?.batch ?? 256,
      }
      const bar = progress('evaluation', choice.items * (choice.samples + 1), { unit: 'responses' })
      const result = await during(bar, () =>
        evaluate(model, task, choice, {
          seed: options.seed ?? config?.seed ?? 0,
          dataSeed: config?.dataSeed ?? 0,
          onProgress: bar.callback,
        }),
      )
      const { greedy, average, passAtK, samples } = result
      print(`${name} on ${task.name}, ${result.items} items of the ${result.split} split, 95 % intervals`)
      print(`greedy ${percent(greedy)}`)
      print(`avg@${samples} ${percent(average)}`)
      print(`pass@${samples} ${percent(passAtK)}`)
      print(
        `mean reward ${result.reward.toFixed(3)}, ${result.length.toFixed(1)} tokens, ${(100 * result.truncated).toFixed(1)} % cut short`,
      )
      if (options.output)
        await writeFileAtomically(options.output, (write) =>
          write(Buffer.from(`${JSON.stringify({ model: name, task: task.name, ...choice, ...result }, null, 2)}\n`)),
        )
    })
}

function chosenTask(name: string, optionsText: string | undefined) {
  const options = (optionsText ? parseJsonWithComments(optionsText, '--task-options') : {}) as Record<string, unknown>
  return /[/\\]|\.[cm]?js$/.test(name) ? { module: path.resolve(name), options } : { name, options }
}

const percent = ({ value, low, high }: Estimate) =>
  `${(100 * value).toFixed(1)} % [${(100 * low).toFixed(1)}, ${(100 * high).toFixed(1)}]`
