import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { LaunchedJob } from './launcher'
import type { PlannedRun, SweepPlan } from './planSweep'
import { askFor, type SweepFolder } from './sweepFolder'

/** The process that makes a run: `rhythm train` on its configuration, which is written here. */
export async function jobOf(
  run: PlannedRun,
  { plan, folder, gpus, attempt }: { plan: SweepPlan; folder: SweepFolder; gpus: number; attempt: number },
): Promise<LaunchedJob> {
  const asked = await askFor(run)
  const readable = run.name.replace(/[^A-Za-z0-9_-]+/g, '-').slice(0, 80)
  const threads = String(plan.threads)
  return {
    id: `${shortHash(plan.folder)}-${readable}-${shortHash(run.name)}-${attempt}`,
    command: [process.execPath, commandLineTool(), 'train', asked, '--run', run.folder],
    workingDirectory: plan.folder,
    environment: {
      ...tensorFlowEnvironment(),
      TF_NUM_INTRAOP_THREADS: threads,
      TF_NUM_INTEROP_THREADS: threads,
      OMP_NUM_THREADS: threads,
    },
    resources: { cpus: plan.threads, gpus, threads: plan.threads },
    logFile: folder.logFile(run),
    stopFile: path.join(run.folder, 'stop'),
  }
}

/** What this process was given for TensorFlow and memory: a run elsewhere computes with the same. */
const tensorFlowEnvironment = () =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => /^(TF_|OMP_|GLIBC_TUNABLES$)/.test(name)),
  ) as Record<string, string>

const shortHash = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 8)

/** The built command line tool, also where this file is run from its source. */
function commandLineTool(): string {
  const built = path.join(__dirname, '..', 'cli.js')
  return existsSync(built) ? built : path.join(__dirname, '..', 'dist', 'cli.js')
}
