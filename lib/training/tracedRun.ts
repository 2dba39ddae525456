import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { TaskSource } from '../traces/taskItems'
import { resolveTask } from './resolveTask'
import { runCheckpoint } from './runCheckpoint'
import { storedConfig } from './runConfig'
import { RunFolder } from './runFolder'
import type { EvaluationChoice } from './trainingConfig'
import { hashOf } from './userModule'

export interface TracedRunOptions {
  /** `best` (default), `last`, or a name such as `step-2400`. */
  checkpoint?: string
  /** Which items. Default: those that the run is evaluated on, `test` where it is not. */
  split?: EvaluationChoice['split']
}

/** A run as what responds to the items of its own task: for `loadModel`, and for `makeTraceSet`. */
export interface TracedRun {
  /** The checkpoint's folder. */
  model: string
  task: TaskSource
  /** How the run is evaluated: how many items, and how its responses are sampled. */
  sampling: { limit: number; temperature: number; maxNewTokens: number; batch: number; seed: number }
}

/**
 * Reads from a run's folder what it takes to ask one of its checkpoints its own task: items, prompts and verifier, and the sampling of its
 * evaluation (of GRPO's rollouts in a run without one). Throws on a folder without a run or such a checkpoint, and where
 * the task was code that has changed or is not in the folder.
 */
export async function tracedRun(run: string, options: TracedRunOptions = {}): Promise<TracedRun> {
  const folder = new RunFolder(run)
  const config = await storedConfig(folder)
  if (!config) throw new Error(`${run} holds no run: it has no config.json`)
  const shown = path.relative(process.cwd(), folder.folder) || '.'
  const model = await runCheckpoint(shown, options.checkpoint)
  const { task, hash } = await resolveTask(config.task)
  const begun = config.hashes.task ?? null
  if (begun !== null && begun !== hash)
    throw new Error(
      `${run}: the task that the run was trained on ${hash ? 'has changed' : 'was an object of its caller'} (hash ${begun.slice(0, 12)}, ` +
        `now ${hash?.slice(0, 12) ?? 'none'}): give it back unchanged, or give the task to makeTraceSet in a cell`,
    )
  const { evaluation, grpo } = config
  const stored = await readFile(path.join(folder.folder, 'config.json'), 'utf8')
  const { temperature = 1, maxNewTokens = 1024 } = evaluation ?? grpo ?? {}
  return {
    model,
    task: {
      ...{ task, hash, split: options.split ?? evaluation?.split ?? 'test', dataSeed: config.dataSeed },
      choice: (JSON.parse(stored) as { task: Record<string, unknown> }).task,
      run: { folder: shown, checkpoint: path.basename(model), config: hashOf(stored) },
    },
    sampling: {
      ...{ limit: evaluation?.items ?? 512, temperature, maxNewTokens, seed: config.seed },
      batch: evaluation?.batch ?? grpo?.rolloutBatch ?? 36,
    },
  }
}
