import { type Command, Option } from 'commander'
import { type TracedRun, tracedRun } from '../training/tracedRun'

/** What the commands that write responses take of a training run. */
export const runOptions = (command: Command): Command =>
  command
    .option(
      '--run <folder>',
      "a training run: its model, its own task's items, prompts and verifier, and its evaluation's sampling as far as no option changes it",
    )
    .option('--checkpoint <name>', "the run's: best, last, or a name such as step-2400; best by default")
    .addOption(
      new Option('--split <name>', "which of the task's items; by default those that the run is evaluated on").choices([
        'validation',
        'test',
      ]),
    )

/** What a run decides, so that it cannot be asked for beside one. */
const DECIDED = ['problems', 'model', 'plain', 'answers', 'control', 'base']

const isGiven = (command: Command, name: string) => command.getOptionValueSource(name) === 'cli'

/** Names of the given options among those that `fits` says, as they are written. */
export const givenOptions = (command: Command, fits: (name: string) => boolean): string[] =>
  command.options.flatMap((option) => {
    const name = option.attributeName()
    return isGiven(command, name) && fits(name) ? [option.long!] : []
  })

/**
 * The run of `--run` with its sampling, changed by the options that were given; null without `--run`. Refuses, by name, options that
 * go with the other way only.
 */
export async function chosenRun(options: Record<string, unknown>, command: Command): Promise<TracedRun | null> {
  if (options.run === undefined) {
    const [lone] = givenOptions(command, (name) => name === 'checkpoint' || name === 'split')
    if (lone) throw new Error(`${lone} goes with --run FOLDER, the run that it is of`)
    return null
  }
  const other = givenOptions(command, (name) => DECIDED.includes(name))
  if (other.length > 0)
    throw new Error(
      `with --run the model and what it is asked are the run's: leave out ${other.join(', ')} (--checkpoint, --split and --limit choose among them)`,
    )
  const { checkpoint, split } = options as { checkpoint?: string; split?: 'validation' | 'test' }
  const run = await tracedRun(options.run as string, { checkpoint, split })
  const changed = Object.entries(run.sampling).map(([name, value]) => [
    name,
    isGiven(command, name) ? options[name] : value,
  ])
  return { ...run, sampling: Object.fromEntries(changed) }
}
