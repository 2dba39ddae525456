import path from 'node:path'
import { type Command, Option } from 'commander'
import { type PerturbationScore, scorePerturbation } from '../analysis/perturbation'
import { progress } from '../notebook/progress'
import { checkModel, modelOfSet } from '../traces/controlSet'
import { openTraceSet } from '../traces/openTraceSet'
import { perturbSet, readRollouts } from '../traces/perturbSet'
import { during, load, print, wholeNumber } from './shared'

export function register(program: Command): void {
  program
    .command('perturb')
    .description(
      'Table 1: force other tokens where FAI is highest and lowest in the traces of a set, and continue. A stopped run is continued.',
    )
    .argument('<folder>', 'a finished trace set')
    .option('--model <model>', 'where the model of the set is now; by default as the manifest names it')
    .option('--output <file>', 'JSONL of roll-outs; FOLDER/perturbation.jsonl by default')
    .option('--limit <n>', 'only so many responses', wholeNumber(1))
    .option('--positions <n>', 'positions of each kind', wholeNumber(1), 5)
    .option('--candidates <k>', 'among the k likeliest tokens', wholeNumber(1), 5)
    .option('--tokens <n>', 'tokens of a continuation', wholeNumber(1), 48)
    .option(
      '--following <n>',
      'response tokens that must follow a position; as many as a continuation by default',
      wholeNumber(0),
    )
    .addOption(
      new Option('--block <name>', 'whose FAI ranks positions').choices(['analysis', 'rl']).default('analysis'),
    )
    .addOption(new Option('--match <what>', 'bottom positions as uncertain as the top ones').choices(['entropy']))
    .option('--batch <n>', 'continuations written together', wholeNumber(1), 64)
    .action(async (folder, options) => {
      const { limit, positions, candidates, tokens, following, block, match, batch: rowsAtOnce } = options
      const output = options.output ?? path.join(folder, 'perturbation.jsonl')
      const set = await openTraceSet(folder)
      const model = options.model ? await load(options.model) : await modelOfSet(set)
      await checkModel(set, model)
      const bar = progress('responses', Math.min(limit ?? set.responses.length, set.responses.length))
      const { made, alreadyThere } = await during(bar, () =>
        perturbSet(model, set, output, {
          ...{ limit, positions, candidates, tokens, following, block, match, rowsAtOnce },
          onProgress: bar.callback,
        }),
      )
      print(`${output}: ${made} responses perturbed${alreadyThere > 0 ? `, ${alreadyThere} were already there` : ''}`)
      print(scoreLines(scorePerturbation((await readRollouts(output)).slice(0, limit))))
    })
}

function scoreLines({ top, bottom, probability, problems, paper }: PerturbationScore): string {
  const shown = (value: number | null, digits: number, scale = 1) =>
    value === null ? 'undefined' : (value * scale).toFixed(digits)
  const line = (name: string, { value, low, high }: PerturbationScore['top'], own: number, digits: number, scale = 1) =>
    `${name.padEnd(22)} ${shown(value, digits, scale)} [${shown(low, digits, scale)}, ${shown(high, digits, scale)}]   paper ${shown(own, digits, scale)}`
  return [
    `${problems} problems, 95 % intervals over problems; paper: ${paper.setting}`,
    'Jaccard similarity of content words: those that are not among the English stop words of the package `stopword`, and numbers',
    line('Jaccard, top FAI', top, paper.top, 3),
    line('Jaccard, bottom FAI', bottom, paper.bottom, 3),
    line('Pr(top < bottom), %', probability, paper.probability, 2, 100),
  ].join('\n')
}
