import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import type { LanguageModel } from '../model/languageModel'
import { saveModel } from '../model/loadModel'
import { SafetensorsFile, writeSafetensors } from '../model/safetensors'
import { syncFolder, temporaryName, writeFileAtomically } from '../model/writeFileAtomically'
import type { HeadGroups } from '../rhythm/headGroups'
import type { AdamW, Parameter } from './adamw'
import { saveTrainedAdapters, type TrainedAdapters } from './loraRun'
import type { TrainingConfig } from './trainingConfig'

/** What a run must know, beside weights and optimizer, to go on to the same bits. All random streams follow from seed and step. */
export interface TrainerState {
  /** Steps made, warm-up included. */
  step: number
  phase: 'supervised' | 'grpo'
  phaseStep: number
  /** Updates made by the optimizer of this phase. */
  updates: number
  /** Calibrated head groups, and the GRPO step whose rollouts gave them. */
  heads: { groups: HeadGroups; step: number } | null
  /** Updates in a row that were skipped because a number was not finite. */
  nonFiniteUpdates: number
  /** Tokens read and written in training so far. */
  tokens: number
  /** The best evaluation so far. */
  best: { step: number; value: number } | null
}

/** Where a run begins. */
export function initialState(config: Pick<TrainingConfig, 'supervised'>): TrainerState {
  const phase = config.supervised ? 'supervised' : 'grpo'
  return { step: 0, phase, phaseStep: 0, updates: 0, heads: null, nonFiniteUpdates: 0, tokens: 0, best: null }
}

const STATE = 'trainer_state.json'
const OPTIMIZER = 'optimizer.safetensors'

export const checkpointFolder = (checkpoints: string, step: number) => path.join(checkpoints, `step-${step}`)

/**
 * Saves `checkpoints/step-N`: a Hugging Face folder with `optimizer.safetensors` and `trainer_state.json` beside the weights; where
 * adapters are trained, they alone in peft's layout, with the name of their base.
 * It appears whole or not at all: an error, a full disk for one, leaves the older checkpoints as they are.
 */
export async function saveCheckpoint(
  checkpoints: string,
  model: LanguageModel,
  optimizer: AdamW,
  state: TrainerState,
  trained: TrainedAdapters | null = null,
): Promise<string> {
  const target = checkpointFolder(checkpoints, state.step)
  const temporary = temporaryName(target)
  try {
    await mkdir(temporary)
    await (trained ? saveTrainedAdapters(trained, temporary) : saveModel(model, temporary, { replace: true }))
    const { tensors } = optimizer.state()
    await writeSafetensors(
      path.join(temporary, OPTIMIZER),
      Object.fromEntries(tensors.map(({ name, ...tensor }) => [name, tensor])),
      {},
    )
    await writeFileAtomically(path.join(temporary, STATE), (write) =>
      write(Buffer.from(`${JSON.stringify(state, null, 2)}\n`)),
    )
    // A damaged checkpoint of the same step, from which this run did not resume, makes way.
    const damaged = existsSync(target) ? temporaryName(target) : null
    if (damaged) await rename(target, damaged)
    await rename(temporary, target)
    await syncFolder(checkpoints)
    if (damaged) await rm(damaged, { recursive: true, force: true })
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    throw error
  }
  return target
}

/** The steps that have a whole checkpoint, ascending. */
export async function checkpointSteps(checkpoints: string): Promise<number[]> {
  const names = await readdir(checkpoints).catch(() => [] as string[])
  return names
    .flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .filter((step) => existsSync(path.join(checkpointFolder(checkpoints, step), STATE)))
    .sort((a, b) => a - b)
}

export async function readTrainerState(folder: string): Promise<TrainerState> {
  return JSON.parse(await readFile(path.join(folder, STATE), 'utf8')) as TrainerState
}

/** Fills the optimizer from a checkpoint's folder. */
export async function restoreOptimizer(
  folder: string,
  optimizer: AdamW,
  parameters: readonly Pick<Parameter, 'name' | 'weight'>[],
  updates: number,
): Promise<void> {
  if (updates === 0) return optimizer.restore(0, parameters, async () => new Float32Array(0))
  const file = await SafetensorsFile.open(path.join(folder, OPTIMIZER))
  try {
    await optimizer.restore(updates, parameters, (name) => file.readFloat32(name))
  } finally {
    await file.close()
  }
}

/** Removes what a kill left half-written, and all checkpoints but the newest `keep` and those of `protectedSteps`. */
export async function pruneCheckpoints(
  checkpoints: string,
  keep: number,
  protectedSteps: readonly number[],
): Promise<void> {
  const steps = await checkpointSteps(checkpoints)
  const kept = new Set([...steps.slice(-keep), ...protectedSteps])
  for (const step of steps)
    if (!kept.has(step)) await rm(checkpointFolder(checkpoints, step), { recursive: true, force: true })
  for (const name of await readdir(checkpoints))
    if (/^\..*\.tmp$/.test(name)) await rm(path.join(checkpoints, name), { recursive: true, force: true })
}
