import { existsSync } from 'node:fs'
import path from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { analyzeTraces, PERMUTED } from '../analysis/analyzeTraces'
import { scorePerturbation } from '../analysis/perturbation'
import { perturbationTable } from '../analysis/perturbationTable'
import { type RecordedTables, TABLE_FORMATS, TABLE_NAMES, type TableFormat, writeTables } from '../analysis/tableFiles'
import { progress } from '../notebook/progress'
import { analysisFigures, type Figure, saveFigure, saveHtml } from '../plots'
import { openTraceSet, type TraceSet } from '../traces/openTraceSet'
import { type PerturbedResponse, readRollouts } from '../traces/perturbSet'
import { analysisReport } from './analysisReport'
import { during, print, wholeNumber } from './shared'

export function register(program: Command): void {
  program
    .command('analyze')
    .description("The paper's analyses of a trace set: tables with intervals beside the paper's values, and figures.")
    .argument('<folder>', 'a finished trace set')
    .option('--name <text>', 'what the set is called in tables and figures; by default as its folder')
    .option('--control <folder>', 'its control: the same responses traced with permuted weights')
    .option(
      '--compare <set...>',
      'other trace sets to stand beside this one, of another model for instance: FOLDER or NAME=FOLDER',
    )
    .option('--rollouts <file>', 'roll-outs of `rhythm perturb`, for Table 1')
    .option('--output <folder>', 'where tables and figures go; nothing is written without it')
    .option('--formats <list>', 'of the tables', formats, [...TABLE_FORMATS])
    .option('--digits <n>', 'significant digits in the files; all by default', wholeNumber(2))
    .option('--leave-out <table...>', 'tables not to write', [])
    .option('--figures', 'write every figure as HTML and SVG')
    .addOption(
      new Option('--heads <choice>', "each trace's own heads, those chosen once over the set, or both")
        .choices(['own', 'calibrated', 'both'])
        .default('own'),
    )
    .option('--no-robustness', 'leave out how the lifts depend on the parameters')
    .option('--replicates <n>', 'of the bootstrap', wholeNumber(1), 2000)
    .option('--shuffles <n>', 'for p-values', wholeNumber(1), 1000)
    .option('--seed <n>', 'of bootstrap and shuffles', wholeNumber(0), 0)
    .action(async (folder: string, options) => {
      const { control, compare = [], rollouts, output, figures, digits, leaveOut } = options
      if (figures && !output) throw new Error('--figures needs --output FOLDER, where they go')
      const unknown = (leaveOut as string[]).find((name) => !TABLE_NAMES.includes(name as keyof RecordedTables))
      if (unknown) throw new Error(`--leave-out ${unknown}: the tables are ${TABLE_NAMES.join(', ')}`)
      const name = options.name ?? nameOf(folder)
      const otherFolders = namedFolders(compare, name)
      const set = await openTraceSet(folder)
      const permuted = control ? await controlOf(set, control) : undefined
      const others: Record<string, TraceSet> = {}
      for (const [other, from] of otherFolders) others[other] = await openTraceSet(from)
      const score = rollouts ? scorePerturbation(await rolloutsOf(set, rollouts)) : null
      const bar = progress('analysis', set.responses.length)
      const tables = await during(bar, () =>
        analyzeTraces(set.traces, {
          name,
          heads: HEADS[options.heads as keyof typeof HEADS],
          permuted: permuted?.traces,
          others: Object.fromEntries(Object.entries(others).map(([other, { traces }]) => [other, traces])),
          robustness: options.robustness,
          bootstrap: { replicates: options.replicates, seed: options.seed },
          shuffles: options.shuffles,
          count: set.responses.length,
          onProgress: bar.callback,
        }),
      )
      const perturbation = score ? perturbationTable(score) : []
      const perturbationByProblem = score?.perProblem ?? []
      print(analysisReport(tables, perturbation))
      const sets: Record<string, TraceSet> = { [name]: set, ...others }
      const rules = Object.entries(sets).map(([of, { judgedBy }]) => `${judgedBy} in ${of}`)
      print(`\nWhat counts as a response's answer (rhythm traces --answers): ${rules.join(', ')}`)
      if (!output) return
      const named: RecordedTables = { ...tables, perturbation, perturbationByProblem }
      const kept = Object.fromEntries(Object.entries(named).filter(([name]) => !leaveOut.includes(name)))
      const written = await writeTables(kept, output, { formats: options.formats, digits })
      print(`\n${output}: ${written.length} files of tables`)
      if (!figures) return
      const drawn = analysisFigures(tables, score && { table: perturbation, perProblem: score.perProblem })
      for (const [name, figure] of Object.entries(drawn)) await writeFigure(figure, path.join(output, 'figures', name))
      print(`${path.join(output, 'figures')}: ${Object.keys(drawn).join(', ')} as HTML and SVG`)
    })
}

/** `PATH.svg` at page width, with its title, and `PATH.html`, live. */
async function writeFigure(figure: Figure, name: string): Promise<void> {
  await saveFigure(figure, `${name}.svg`, { width: 'page', title: true })
  await saveHtml(figure, `${name}.html`)
}

const HEADS = { own: ['trace'], calibrated: ['calibrated'], both: ['trace', 'calibrated'] } as const

const nameOf = (folder: string) => path.basename(path.resolve(folder))

/** `NAME=FOLDER`, or `FOLDER` under its own name. Names tell sets apart in tables: two alike are refused. */
function namedFolders(texts: readonly string[], main: string): Map<string, string> {
  const folders = new Map<string, string>()
  for (const text of texts) {
    const at = existsSync(text) ? -1 : text.indexOf('=')
    const [name, folder] = at > 0 ? [text.slice(0, at), text.slice(at + 1)] : [nameOf(text), text]
    if (name === main || name === PERMUTED || folders.has(name))
      throw new Error(`two sets are named '${name}': give ${folder} another name, --compare NAME=${folder}`)
    folders.set(name, folder)
  }
  return folders
}

function formats(text: string): TableFormat[] {
  const list = text.split(',').map((part) => part.trim() as TableFormat)
  if (list.some((format) => !TABLE_FORMATS.includes(format)))
    throw new InvalidArgumentError(`expected a list of ${TABLE_FORMATS.join(', ')}.`)
  return list
}

/** The roll-outs, if they continue responses of this set. */
async function rolloutsOf(set: TraceSet, file: string): Promise<PerturbedResponse[]> {
  const rollouts = await readRollouts(file)
  if (rollouts.some(({ settings }) => settings.responses !== set.manifest.responses?.sha256))
    throw new Error(`${file} holds roll-outs of other responses than those in ${set.folder}`)
  return rollouts
}

/** The control, if it is one of this set: of the same responses, token for token. */
async function controlOf(set: TraceSet, folder: string): Promise<TraceSet> {
  const control = await openTraceSet(folder)
  const base = control.manifest.control?.base
  if (!base || control.manifest.control?.kind !== 'permuted')
    throw new Error(`${folder} is no control: make one with rhythm traces --control permuted --base ${set.folder}`)
  if (base.responses !== set.manifest.responses?.sha256)
    throw new Error(`${folder} is a control of other responses (of ${base.folder}), not of those in ${set.folder}`)
  return control
}
