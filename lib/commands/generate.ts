import type { Command } from 'commander'
import type { Precision } from '../engine/precision'
import { progress } from '../notebook/progress'
import { readProblems } from '../tasks/problems'
import { generateResponses } from '../traces/generateResponses'
import { problemRequests } from '../traces/makeTraceSet'
import { taskItems, taskRequests } from '../traces/taskItems'
import type { TracedRun } from '../training/tracedRun'
import { chosenRun, runOptions } from './runOptions'
import { during, load, MODEL_HELP, precisionOption, print, problemOptions, wholeNumber } from './shared'

export function register(program: Command): void {
  runOptions(problemOptions(program.command('generate')))
    .description(
      "Write responses to problems, or to the items of a training run's task: JSONL that `trace` reads. What was stopped is continued by the same command.",
    )
    .option('--model <model>', MODEL_HELP, 'smollm2-135m-instruct')
    .addOption(precisionOption())
    .requiredOption('--output <file>', 'JSONL file to write or continue')
    .option('--plain', 'plain text prompts, for models without a chat template', false)
    .option('--seed <n>', 'same seed, same responses', wholeNumber(0), 0)
    .option('--batch <n>', 'responses written together', wholeNumber(1), 8)
    .action(async (options, command: Command) => {
      const run = await chosenRun(options, command)
      const { requests, model, sampling } = run ? await ofRun(run, options) : await ofProblems(options)
      const bar = progress('responses', requests.length)
      const { made, alreadyThere } = await during(bar, () =>
        generateResponses(model, requests, options.output, { ...options, ...sampling, onProgress: bar.callback }),
      )
      print(
        `${options.output}: ${made} responses written${alreadyThere > 0 ? `, ${alreadyThere} were already there` : ''}`,
      )
    })
}

async function ofRun(run: TracedRun, { samples, precision }: { samples: number; precision: Precision }) {
  const { limit, ...sampling } = run.sampling
  const items = taskItems(run.task, limit)
  const model = await load(run.model, precision)
  return { model, requests: taskRequests(model, run.task, items, samples), sampling }
}

async function ofProblems(options: {
  problems?: string
  limit?: number
  model: string
  samples: number
  plain: boolean
  precision: Precision
}) {
  const problems = await readProblems(options.problems, { limit: options.limit })
  const answers = new Map(problems.map(({ id, answer }) => [id, answer]))
  const model = await load(options.model, options.precision)
  const requests = problemRequests(model, problems, options.samples, options.plain ? { plain: true } : {})
  const withAnswers = requests.map((request) => ({
    ...request,
    extra: { ...request.extra, answer: answers.get(request.extra!.problem as string) },
  }))
  return { model, requests: withAnswers, sampling: {} }
}
