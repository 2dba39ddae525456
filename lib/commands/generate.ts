import type { Command } from 'commander'
import { progress } from '../notebook/progress'
import { analysisPrompt } from '../tasks/analysisPrompt'
import { readProblems } from '../tasks/problems'
import { generateResponses } from '../traces/generateResponses'
import { requestIds } from '../traces/openTraceSet'
import { during, load, MODEL_HELP, print, problemOptions, wholeNumber } from './shared'

export function register(program: Command): void {
  problemOptions(program.command('generate'))
    .description(
      'Write responses to problems: JSONL that `trace` reads. A stopped run is continued by the same command.',
    )
    .option('--model <model>', MODEL_HELP, 'smollm2-135m-instruct')
    .requiredOption('--output <file>', 'JSONL file to write or continue')
    .option('--plain', 'plain text prompts, for models without a chat template', false)
    .option('--seed <n>', 'same seed, same responses', wholeNumber(0), 0)
    .option('--batch <n>', 'responses written together', wholeNumber(1), 8)
    .action(async (options) => {
      const problems = await readProblems(options.problems, { limit: options.limit })
      const model = await load(options.model)
      const byId = new Map(problems.map((problem) => [problem.id, problem]))
      const requests = requestIds(
        problems.map(({ id }) => id),
        options.samples,
      ).map(({ id, problem }) => ({
        id,
        prompt: analysisPrompt(model, byId.get(problem)!, options.plain ? { plain: true } : {}),
        extra: { problem, answer: byId.get(problem)!.answer },
      }))
      const bar = progress('responses', requests.length)
      const { made, alreadyThere } = await during(bar, () =>
        generateResponses(model, requests, options.output, { ...options, onProgress: bar.callback }),
      )
      print(
        `${options.output}: ${made} responses written${alreadyThere > 0 ? `, ${alreadyThere} were already there` : ''}`,
      )
    })
}
