import { type Command, Option } from 'commander'
import { rhythmOptions } from '../credit/rhythmOptions'
import { progress } from '../notebook/progress'
import { readProblems } from '../tasks/problems'
import { makeControlSet, makeRereadSet } from '../traces/controlSet'
import { makeTraceSet, SET_HORIZONS } from '../traces/makeTraceSet'
import { openTraceSet, type TraceSet } from '../traces/openTraceSet'
import { ABLATION_WINDOWS } from '../traces/traceAll'
import { ANSWER_RULES } from '../traces/traceSetManifest'
import { chosenRun, givenOptions, runOptions } from './runOptions'
import {
  during,
  horizons,
  load,
  MODEL_HELP,
  methodOptions,
  noticeRetrace,
  print,
  problemOptions,
  wholeNumber,
  wholeNumbers,
} from './shared'

export function register(program: Command): void {
  runOptions(problemOptions(program.command('traces')))
    .description(
      "Make a trace set: responses to problems, or to the items of a training run's task, and their traces, with a manifest. What was stopped is continued by the same command.",
    )
    .requiredOption('--output <folder>', "the set's folder")
    .option('--model <model>', `${MODEL_HELP}; smollm2-135m-instruct by default, for a control the base set's`)
    .option('--plain', 'plain text prompts; by default only for models without a chat template')
    .option('--seed <n>', 'same seed, same responses; of a control: of the permutation', wholeNumber(0), 0)
    .option('--batch <n>', 'responses written together', wholeNumber(1), 36)
    .option('--preset <name>', "the paper's version: v2 or v1", 'v2')
    .option('--options <file>', 'JSON of parameters of the method, as `rhythm options` prints them')
    .option('--set <key=value...>', 'single parameters, e.g. rl.window=8')
    .option('--windows <list>', 'WAAD windows to keep series for', wholeNumbers, [...ABLATION_WINDOWS])
    .option('--horizons <list>', 'FAI horizons to keep series for, e.g. 10-100,0-end', horizons, [...SET_HORIZONS])
    .option('--map-cells <n>', 'side of the attention maps of local and global heads; 0: none', wholeNumber(0), 0)
    .addOption(
      new Option(
        '--answers <rule>',
        "what counts as a response's answer: what it marks with \\boxed{} or ####; lenient: where it marks nothing and was not cut off, its last number too. marked in a new set; a finished one can be given the other",
      ).choices(ANSWER_RULES),
    )
    .addOption(
      new Option(
        '--control <kind>',
        'trace the responses of --base again: with its model untrained (permuted), or with the one of --model',
      ).choices(['permuted', 'model']),
    )
    .option('--base <folder>', 'the finished set that the control is of')
    .action(async (options, command: Command) => {
      if (Boolean(options.control) !== Boolean(options.base))
        throw new Error('a control needs both --control KIND and --base FOLDER, the set that it is a control of')
      const run = await chosenRun(options, command)
      const bar = (total: number) => progress('traces', total)
      if (options.control) {
        refuseAllBut(['output', 'model', 'seed', 'control', 'base'], command)
        if (options.control === 'model' && !options.model)
          throw new Error('--control model needs --model, the one that traces the responses of --base')
        const base = await openTraceSet(options.base)
        const model = options.model ? await load(options.model) : undefined
        const shown = bar(base.responses.length)
        const reporting = { onTrace: noticeRetrace, onProgress: shown.callback }
        const set = await during(shown, () =>
          options.control === 'model'
            ? makeRereadSet(model!, options.base, options.output, reporting)
            : makeControlSet(options.base, options.output, { model, seed: options.seed, ...reporting }),
        )
        return print(summary(set))
      }
      const rhythm = methodOptions(options)
      rhythmOptions(rhythm, options.preset)
      if (!run) await readProblems(options.problems, { limit: options.limit })
      const model = await load(run?.model ?? options.model ?? 'smollm2-135m-instruct')
      const shown = bar(1)
      const { preset, windows, mapCells, problems, plain, samples, topK, topP, answers } = options
      const { limit, seed, temperature, maxNewTokens, batch } = run?.sampling ?? options
      const set = await during(shown, () =>
        makeTraceSet(model, options.output, {
          ...(run ? { task: run.task } : { problems, plain }),
          ...{ limit, samples, seed, temperature, topK, topP, maxNewTokens, batch },
          ...{ rhythm, preset, windows, horizons: options.horizons, mapCells, answers },
          onTrace: noticeRetrace,
          onProgress: shown.callback,
        }),
      )
      print(summary(set))
    })
}

/** A control has the problems, the sampling and the method of its base: an option that asks for others is refused, not ignored. */
function refuseAllBut(allowed: readonly string[], command: Command): void {
  const given = givenOptions(command, (name) => !allowed.includes(name))
  if (given.length > 0)
    throw new Error(`a control is made as its base set was: leave out ${given.join(', ')}, or make another base set`)
}

/** What is known of a finished set. */
function summary({ folder, manifest, responses, judgedBy }: TraceSet): string {
  const tokens = responses.reduce((sum, { ids, promptLength }) => sum + ids.length - promptLength, 0)
  const count = (correct: boolean | null) => responses.filter((response) => response.correct === correct).length
  const truncated = responses.filter((response) => response.truncated).length
  return (
    `${folder}: ${responses.length} traces of ${manifest.model.name}, ${tokens} response tokens, ${truncated} truncated; ` +
    `${count(true)} right, ${count(false)} wrong, ${count(null)} without an answer (answers: ${judgedBy})`
  )
}
