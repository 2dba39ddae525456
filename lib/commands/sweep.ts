import { totalmem } from 'node:os'
import path from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { clockTime } from '../notebook/progress'
import { localSlots, threadsOfEach } from '../notebook/sweep'
import { sweepDisplay } from '../notebook/sweepDisplay'
import { estimateSweep, type SweepEstimate } from '../sweeps/estimateSweep'
import type { Launcher } from '../sweeps/launcher'
import { LocalLauncher } from '../sweeps/localLauncher'
import { planSweep, type SweepPlan } from '../sweeps/planSweep'
import { checkThreads, runSweep } from '../sweeps/runSweep'
import { readSweepFile } from '../sweeps/sweepFile'
import { checkBegun, SweepFolder } from '../sweeps/sweepFolder'
import { print, wholeNumber } from './shared'

export function register(program: Command): void {
  program
    .command('sweep')
    .description(
      'Train a grid of configurations × seeds. A sweep that was stopped or killed goes on by the same command.',
    )
    .argument('[file]', 'a sweep file, JSON with comments (see data/configs/sweeps); not needed to go on with a sweep')
    .requiredOption('--run <folder>', 'the folder of the sweep')
    .addOption(new Option('--on <where>', 'where its runs happen').choices(['local', 'ray']).default('local'))
    .option(
      '--ray-address <url>',
      "the dashboard of Ray's head; by default RAY_API_SERVER_ADDRESS, else http://127.0.0.1:8265",
    )
    .option(
      '--slots <n>',
      'runs at a time; by default one for each core, one on a GPU, on Ray as many as fit',
      wholeNumber(1),
    )
    .option(
      '--threads <n>',
      'threads of each run, fixed once a sweep has begun; by default the cores shared out, on Ray 1',
      wholeNumber(1),
    )
    .option('--gpus <n>', 'GPUs of each run', wholeNumber(0), 0)
    .option('--retry', 'begin failed runs again, from their last checkpoints', false)
    .option('--plan', 'print what there is to do, and end', false)
    .option('--seeds <list>', "instead of the file's seeds, e.g. 0-7 or 0,3,5", seedList)
    .option('--warmup-seeds <list>', "instead of the file's seeds of the warm-up", seedList)
    .option('--set <key=value...>', 'changes to the base configuration, e.g. grpo.steps=60')
    .option('--warmups <folder>', 'where warm-ups lie, to share them among sweeps; by default in that of the sweep')
    .option('--reuse <folder...>', 'other sweeps whose finished runs count where they are the same run')
    .action(async (file: string | undefined, options) => {
      const plan = await planned(file, options)
      const { reuse } = options
      const launcher = await launcherOf(options, plan.threads)
      await checkThreads(plan, new SweepFolder(plan.folder))
      await checkBegun(plan)
      for (const line of await planText(plan, await estimateSweep(plan, { slots: launcher.slots, reuse }), launcher))
        print(line)
      if (options.plan) return
      const display = sweepDisplay()
      const result = await runSweep(plan, {
        launcher,
        retry: options.retry,
        reuse,
        gpus: options.gpus,
        every: options.on === 'local' ? 500 : 2000,
        onStart: stopOnSignals,
        onUpdate: display.update,
        onEvent: display.event,
      })
      for (const run of result.view.runs) if (run.state === 'failed') print(`${run.name} failed: ${run.message}`)
      print(
        `${plan.folder}: ${result.state}${result.reason ? ` (${result.reason})` : ''}; ` +
          (result.state === 'finished'
            ? `rhythm compare ${options.run} shows it`
            : 'the same command goes on with it') +
          (result.view.counts.failed > 0 ? ', --retry with what failed too' : ''),
      )
      if (result.state !== 'finished') process.exitCode = result.state === 'failed' ? 1 : 130
    })
}

interface SweepOptions {
  run: string
  on: 'local' | 'ray'
  rayAddress?: string
  slots?: number
  threads?: number
  gpus: number
  seeds?: number[]
  warmupSeeds?: number[]
  set?: string[]
  warmups?: string
}

/** The plan of the file, or of the sweep that the folder holds. */
async function planned(file: string | undefined, options: SweepOptions): Promise<SweepPlan> {
  const { run, seeds, warmupSeeds, set } = options
  const folder = new SweepFolder(run)
  const recorded = await folder.read()
  const shared = options.on === 'ray' ? 1 : threadsOfEach(options.slots ?? localSlots())
  const threads = options.threads ?? recorded?.threads ?? shared
  if (file) {
    const known = recorded && path.resolve(run, recorded.warmupsFolder)
    const sweep = readSweepFile(file, { seeds, warmupSeeds, set })
    return planSweep(sweep, { run, threads, warmups: options.warmups ?? known ?? undefined })
  }
  const before = await folder.readSweep()
  if (set || warmupSeeds) throw new Error('--set and --warmup-seeds change a sweep file: give the file with them')
  return planSweep(
    { ...before.sweep, seeds: seeds ?? before.sweep.seeds },
    { run, threads, warmups: options.warmups ?? before.warmupsFolder },
  )
}

async function launcherOf({ on, rayAddress, slots, gpus }: SweepOptions, threads: number): Promise<Launcher> {
  if (on === 'local') return new LocalLauncher(slots ?? localSlots())
  const { connectRay } = await import('../sweeps/rayLauncher')
  return connectRay({ address: rayAddress, resources: { cpus: threads, gpus }, slots })
}

async function planText(plan: SweepPlan, estimate: SweepEstimate, launcher: Launcher): Promise<string[]> {
  const { warmups, cells, seconds, source, bytes } = estimate
  const { sweep, threads } = plan
  const extra = [
    ...(cells.reused > 0 ? [`${cells.reused} of other sweeps`] : []),
    ...(cells.begun > 0 ? [`${cells.begun} begun`] : []),
    ...(cells.failed > 0 ? [`${cells.failed} failed before`] : []),
  ]
  const axes = sweep.axes.map(({ name, values }) => `${name} (${values.map(({ label }) => label).join(', ')})`)
  const { trainingPlan } = await import('../training/trainingPlan')
  const memory = (await trainingPlan(sweep.base)).peakBytes + 0.4e9
  const atOnce = launcher.slots * memory
  return [
    `${sweep.name}: ${axes.join(' × ') || 'no axis'} × ${sweep.seeds.length} seeds`,
    ...(warmups.total > 0
      ? [`warm-ups: ${warmups.total}, ${warmups.done} of them done, in ${plan.warmupsFolder}`]
      : []),
    `cells: ${cells.total}, ${cells.done} of them done${extra.length > 0 ? ` (${extra.join(', ')})` : ''}, in ${plan.folder}`,
    `${launcher.name}: ${launcher.slots} runs at a time, each with ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
    seconds === null
      ? 'time: not known'
      : `time: about ${clockTime(seconds)} (${source}); disk: about ${Math.ceil(bytes / 1e6)} MB more`,
    ...(launcher.name === 'local' && atOnce > 0.9 * totalmem()
      ? [
          `memory: ${launcher.slots} runs need about ${(atOnce / 1e9).toFixed(1)} GB, this machine has ` +
            `${(totalmem() / 1e9).toFixed(1)} GB: give fewer --slots`,
        ]
      : []),
  ]
}

/** The first signal ends the runs after their steps in progress, the second at once, the third the sweep without them. */
function stopOnSignals(stop: (reason: string) => void): void {
  process.removeAllListeners('SIGINT')
  let signals = 0
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      signals++
      if (signals > 2) process.exit(130)
      stop(`the sweep was asked to end (${name})`)
      process.stderr.write(
        signals === 1
          ? '\nstopping after the steps in progress; once more: stop now\n'
          : '\nstopping now; once more: leave the runs behind\n',
      )
    })
}

function seedList(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const match = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part)
    const [from, to] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])]
    if (!match || to < from) throw new InvalidArgumentError('expected seeds such as 0-7 or 0,3,5.')
    return Array.from({ length: to - from + 1 }, (_, i) => from + i)
  })
}
