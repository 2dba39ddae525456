import type { Command } from 'commander'
import { interrupt } from '../engine/cooperate'
import { deviceReport } from '../engine/tensorflow'
import { progress } from '../notebook/progress'
import { ConfigError, parseConfig, parseJsonWithComments, readConfig, withChanges } from '../training/readConfig'
import { storedConfig } from '../training/runConfig'
import { type MetricsLine, RunFolder } from '../training/runFolder'
import { type TrainResult, train } from '../training/train'
import type { TrainingConfig } from '../training/trainingConfig'
import { planLines, shortageText, trainingPlan } from '../training/trainingPlan'
import { during, print, realNumber, wholeNumber } from './shared'

export function register(program: Command): void {
  program
    .command('train')
    .description(
      'Train a decoder: supervised warm-up, GRPO with rhythm credit. A run that was stopped or killed goes on by itself.',
    )
    .argument('[config]', 'a configuration, JSON with comments (see data/configs); not needed to go on with a run')
    .requiredOption('--run <folder>', 'the folder of the run')
    .option(
      '--set <key=value...>',
      'changes to the configuration, e.g. seed=1 grpo.updates=4 grpo.credit.strategy=uniform',
    )
    .option('--plan', 'print the plan of memory and time, and end', false)
    .option(
      '--gpu-memory <gib>',
      'plan for a GPU with so much memory, e.g. 80, instead of the device at hand',
      realNumber,
    )
    .option(
      '--prompt-tokens <n>',
      'plan with prompts of so many tokens: neither the task nor the model is read, and nothing is downloaded for a model known by name',
      wholeNumber(1),
    )
    .option('--anyway', 'train although the plan needs more memory than there is', false)
    .action(async (file: string | undefined, { run, set = [], plan, anyway, gpuMemory, promptTokens }) => {
      if (!plan && (gpuMemory !== undefined || promptTokens !== undefined))
        throw new ConfigError(
          '--gpu-memory and --prompt-tokens go with --plan: a run has the device and the prompts that it has',
        )
      const config = await configuration(file, run, set)
      const planned = await trainingPlan(config, {
        promptTokens,
        ...(gpuMemory === undefined ? {} : { gpuBytes: gpuMemory * 2 ** 30 }),
      })
      for (const line of planLines(planned)) print(line)
      const shortage = shortageText(planned)
      if (shortage && !plan && !anyway) throw new ConfigError(`${shortage}; or --anyway`)
      if (shortage) print(`plan: ${shortage}`)
      if (plan) return
      const { device, tensorflow } = deviceReport()
      print(`${run}: training on ${device}, TensorFlow ${tensorflow}; Ctrl-C ends it after the step in progress`)
      const bar = progress('training', (config.supervised?.steps ?? 0) + (config.grpo?.steps ?? 0), { unit: 'steps' })
      const result = await during(bar, () =>
        train(config, {
          run,
          anyway: true,
          onStart: stopOnSignals,
          onStep: (line) => {
            const evaluated = evaluationText(line)
            if (evaluated) process.stderr.write(`\n${evaluated}\n`)
          },
          onProgress: (done, _total, note) => bar.update(done, note),
          onWarning: (text) => process.stderr.write(`rhythm: ${text}\n`),
        }),
      )
      for (const line of summary(result)) print(line)
    })
}

/** The file's configuration, or the run's own; with changes. */
async function configuration(file: string | undefined, run: string, set: readonly string[]): Promise<TrainingConfig> {
  if (file) return readConfig(file, set)
  const stored = await storedConfig(new RunFolder(run))
  if (!stored)
    throw new Error(`${run} holds no run yet: give a configuration, e.g. data/configs/countdown-laptop.jsonc`)
  return set.length === 0 ? stored : parseConfig(withChanges(parseJsonWithComments(JSON.stringify(stored), run), set))
}

/** The first signal ends the run after the step in progress, the second at once, to go on from the last checkpoint. */
function stopOnSignals(stop: (reason: string) => void): void {
  process.removeAllListeners('SIGINT')
  let signals = 0
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      signals++
      if (signals === 1) {
        stop(`the process was asked to end (${name})`)
        process.stderr.write('\nstopping after the step in progress; once more: stop now\n')
      } else if (signals === 2) interrupt()
      else process.exit(130)
    })
}

function evaluationText(line: MetricsLine): string | null {
  const percent = (name: string) => {
    const [mean, low, high] = ['', '_low', '_high'].map((end) => line[`${name}${end}`])
    if (typeof mean !== 'number') return null
    return `${(100 * mean).toFixed(1)} % [${(100 * Number(low)).toFixed(1)}, ${(100 * Number(high)).toFixed(1)}]`
  }
  const average = Object.keys(line).find((name) => /^eval\/avg@\d+$/.test(name))
  if (!average) return null
  return `step ${line.step}: greedy ${percent('eval/greedy')}, ${average.slice(5)} ${percent(average)}`
}

/** The numbers that matter at the end. */
function summary({ folder, state, step, steps, reason, checkpoint, best, metrics }: TrainResult): string[] {
  const evaluations = metrics.flatMap((line) => evaluationText(line) ?? [])
  const seconds = metrics.reduce((sum, line) => sum + Number(line['timing_s/step'] ?? 0), 0)
  return [
    `${folder}: ${state} at step ${step} of ${steps}${reason ? ` (${reason})` : ''}, ${(seconds / 60).toFixed(1)} minutes of steps`,
    ...(evaluations.length > 1 ? [`first  ${evaluations[0]}`] : []),
    ...(evaluations.length > 0 ? [`last   ${evaluations.at(-1)}`] : []),
    `weights: ${checkpoint}${best ? `; best (avg@k ${(100 * best.value).toFixed(1)} %): ${best.checkpoint}` : ''}`,
  ]
}
