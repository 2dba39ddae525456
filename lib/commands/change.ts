import path from 'node:path'
import { type Command, Option } from 'commander'
import { changeTables, type ReadRuns } from '../analysis/changeTables'
import { type CheckpointMeasures, checkpointMeasures, settingName } from '../analysis/checkpointMeasures'
import { writeTables } from '../analysis/tableFiles'
import { symbolClass, type TokenClassFunction } from '../analysis/tokenClass'
import { progress } from '../notebook/progress'
import { rhythmChanges, saveFigure } from '../plots'
import type { Horizon } from '../rhythm/headSeries'
import { makeRereadSet } from '../traces/controlSet'
import { makeTraceSet } from '../traces/makeTraceSet'
import type { TraceSet } from '../traces/openTraceSet'
import { storedConfig } from '../training/runConfig'
import { RunFolder } from '../training/runFolder'
import { tracedRun } from '../training/tracedRun'
import { changeReport } from './changeReport'
import { during, horizons, load, noticeRetrace, print, wholeNumber } from './shared'

/** Windows and horizons whose lifts are shown beside the chosen ones. */
const WINDOWS = [5, 10]
const LATER: Horizon = [4, null]

export function register(program: Command): void {
  program
    .command('change')
    .description(
      'Does training change the rhythm? Traces a checkpoint before and one after training on the same items, and compares them: lifts, peaks, spans, head groups, entropy, paired by item and run. What was stopped is continued by the same command.',
    )
    .argument('<runs...>', 'folders of training runs of one task')
    .option('--from <checkpoint>', 'before; by default the last of the supervised warm-up')
    .option('--to <checkpoint>', 'after: best, last, or a name such as step-2500', 'last')
    .addOption(
      new Option('--split <name>', "which of the task's items").choices(['validation', 'test']).default('test'),
    )
    .option('--limit <n>', 'items; by default as many as the run is evaluated on', wholeNumber(1))
    .option('--window <n>', 'of WAAD, in tokens', wholeNumber(1), 10)
    .option('--horizon <h>', 'of FAI, e.g. 0-end', (text) => horizons(text)[0]!, [0, null] as Horizon)
    .option('--traces <folder>', 'where the trace sets go', path.join('data', 'traces', 'change'))
    .option('--output <folder>', 'write the tables (JSON, CSV) and a figure')
    .option('--digits <n>', 'significant digits in the files of tables', wholeNumber(2), 5)
    .option('--replicates <n>', 'of the bootstrap', wholeNumber(1), 2000)
    .action(async (runs: string[], options) => {
      const names = runs.map((run) => path.basename(path.resolve(run)))
      const twin = names.find((name, i) => names.indexOf(name) < i)
      if (twin) throw new Error(`two runs are named ${twin}: each needs a folder name of its own`)
      const found: ReadRuns = { own: [], same: [] }
      for (const [i, run] of runs.entries()) {
        const sets = await setsOf(run, names[i]!, options)
        const [before, after, reread] = [
          await read(sets[0], options),
          await read(sets[1], options),
          await read(sets[2], options),
        ]
        found.own.push({ run: names[i]!, before, after })
        found.same.push({ run: names[i]!, before, after: reread })
      }
      const bar = progress('comparing', 1)
      const comparing = { bootstrap: { replicates: options.replicates }, onProgress: bar.callback }
      const tables = await during(bar, () => changeTables(found, { setting: settingName(options), ...comparing }))
      print(changeReport(tables))
      if (!options.output) return
      const written = await writeTables({ ...tables }, options.output, {
        formats: ['csv', 'json'],
        digits: options.digits,
      })
      const figure = path.join(options.output, 'change.svg')
      await saveFigure(rhythmChanges(tables.change), figure, { width: 'page', title: true })
      print(`\n${options.output}: ${[...written, figure].map((file) => path.basename(file)).join(', ')}`)
    })
}

interface ChangeOptions {
  from?: string
  to: string
  split: 'validation' | 'test'
  limit?: number
  window: number
  horizon: Horizon
  traces: string
}

/** What the checkpoint before wrote, what the one after wrote, and what the one before wrote as the one after reads it. */
async function setsOf(run: string, name: string, options: ChangeOptions): Promise<[TraceSet, TraceSet, TraceSet]> {
  const { split, limit, traces } = options
  const checkpoints = [options.from ?? (await afterWarmUp(run)), options.to]
  const [before, after] = await Promise.all(checkpoints.map((checkpoint) => tracedRun(run, { checkpoint, split })))
  if (before!.model === after!.model)
    throw new Error(`${run}: ${before!.model} would be compared with itself: choose others by --from and --to`)
  const at = (...parts: string[]) => path.join(traces, [name, ...parts].join('-'))
  const [first, second] = [before!, after!].map(({ model }) => path.basename(model)) as [string, string]
  const kept = {
    windows: [...new Set([options.window, ...WINDOWS])],
    horizons: [options.horizon, LATER],
    ...{ withSinkExcluded: false, withSentences: false, onTrace: noticeRetrace },
  }
  const made: TraceSet[] = []
  for (const [one, folder] of [[before!, at(first)] as const, [after!, at(second)] as const]) {
    const model = await load(one.model)
    const bar = progress(path.basename(folder), 1)
    const asked = { ...one.sampling, limit: limit ?? one.sampling.limit, task: one.task, ...kept }
    made.push(await during(bar, () => makeTraceSet(model, folder, { ...asked, onProgress: bar.callback })))
    if (one === after) {
      const reading = progress(`${first} read by ${second}`, 1)
      const target = at(first, 'read-by', second)
      const report = { onTrace: noticeRetrace, onProgress: reading.callback }
      made.push(await during(reading, () => makeRereadSet(model, made[0]!.folder, target, report)))
    }
    model.dispose()
  }
  return made as [TraceSet, TraceSet, TraceSet]
}

/** The name of the checkpoint with which a run's supervised warm-up ended. */
async function afterWarmUp(run: string): Promise<string> {
  const config = await storedConfig(new RunFolder(run))
  if (!config?.supervised || !config.grpo)
    throw new Error(`${run} is no run with a warm-up and GRPO: give the checkpoint before training by --from`)
  return `step-${config.supervised.steps}`
}

async function read(set: TraceSet, options: ChangeOptions): Promise<CheckpointMeasures> {
  const { window, horizon } = options
  const others = [...WINDOWS.map((w) => ({ window: w, horizon })), { window, horizon: LATER }]
  const main = settingName(options)
  const bar = progress(`measuring ${path.basename(set.folder)}`, 1)
  return during(bar, () =>
    checkpointMeasures(set.traces, {
      ...{ window, horizon, tokenClass: classesFor(set), count: set.responses.length },
      variations: others.filter((other) => settingName(other) !== main),
      onProgress: bar.callback,
    }),
  )
}

/** Characters are classes of their own where they are the tokens. */
const classesFor = ({ manifest }: TraceSet): TokenClassFunction | undefined =>
  manifest.model.config.vocabSize <= 256 ? symbolClass : undefined
