import { cp, mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import type { CreditStrategy } from '../credit/creditStrategy'
import { rhythmOptions } from '../credit/rhythmOptions'
import { LanguageModel } from '../model/languageModel'
import { saveModel } from '../model/loadModel'
import { modelFingerprint } from '../model/modelFingerprint'
import type { Task } from '../tasks/task'
import { AdamW } from './adamw'
import {
  checkpointFolder,
  checkpointSteps,
  initialState,
  readTrainerState,
  restoreOptimizer,
  type TrainerState,
} from './checkpoint'
import { Gradients } from './gradients/gradients'
import { LoraGradients } from './gradients/loraGradients'
import { newAdapters, readAdapters, saveTrainedAdapters, trainedAdapters } from './loraRun'
import { ConfigError } from './readConfig'
import { resolveTask } from './resolveTask'
import { resumedConfig, storeConfig, storedConfig } from './runConfig'
import type { RunFolder } from './runFolder'
import { ItemOrder, runSeed } from './runStreams'
import type { StopRequest } from './stopRequest'
import { initialModel, ownModel, productsOf } from './trainedModel'
import type { TrainingConfig } from './trainingConfig'
import type { TrainingRun } from './trainingRun'
import { type ResolvedStrategy, resolveStrategy } from './userModule'

export interface OpenRunOptions {
  /** Credit written by the caller, instead of the configuration's. */
  credit?: CreditStrategy
  /** Task made by the caller, instead of the configuration's. */
  task?: Task<unknown>
  /** Told of a checkpoint that could not be read and was passed over. */
  onWarning: (text: string) => void
}

/** Tokenizer and templates of the model being trained, from where checkpoints copy them. */
const TEXT_FOLDER = 'tokenizer'
/** The policy that GRPO began with, kept where the loss has a KL term. */
const REFERENCE_FOLDER = 'reference'

/**
 * Begins a run in its folder, or takes it up at its last whole checkpoint: what was recorded later is forgotten, to be made
 * again to the same bits. `given` null: the configuration that the folder holds.
 */
export async function openRun(
  folder: RunFolder,
  given: TrainingConfig | null,
  stop: StopRequest,
  options: OpenRunOptions,
): Promise<TrainingRun> {
  const stored = await storedConfig(folder)
  const written = given ?? stored
  if (!written) throw new ConfigError(`${folder.folder} holds no run yet: give a configuration`)
  const credit = await resolveStrategy(written.grpo?.credit.strategy ?? 'uniform', options.credit)
  const { task, hash } = await resolveTask(written.task, options.task)
  // Adapters are nothing without the model that they adapt, which lies outside of the run's folder.
  const base = written.lora ? await initialModel(written.model, written.seed, folder.folder, productsOf(written)) : null
  try {
    const hashes = { credit: credit.hash, task: hash, model: base && (await modelFingerprint(base)) }
    const config = await agreedConfig(folder, stored, written, hashes)
    return await begunRun(folder, config, base, credit, task, stop, options)
  } catch (error) {
    base?.dispose()
    throw error
  }
}

/** The configuration that the run begins or goes on with, stored in its folder. Throws if code or model behind it has changed. */
async function agreedConfig(
  folder: RunFolder,
  stored: TrainingConfig | null,
  written: TrainingConfig,
  now: Record<string, string | null>,
): Promise<TrainingConfig> {
  const hashes = { ...written.hashes }
  for (const [name, found] of Object.entries(now)) {
    if (hashes[name] && hashes[name] !== found)
      throw new ConfigError(
        `the ${name} that this configuration was run with has changed (hash ${hashes[name].slice(0, 12)}, now ${found?.slice(0, 12) ?? 'none given'}): use it unchanged, or begin a new run`,
      )
    if (found) hashes[name] = found
  }
  const complete = { ...written, hashes }
  const config = stored ? resumedConfig(stored, complete, folder.folder) : complete
  await storeConfig(folder, config)
  return config
}

async function begunRun(
  folder: RunFolder,
  config: TrainingConfig,
  base: LanguageModel | null,
  credit: ResolvedStrategy,
  task: Task<unknown>,
  stop: StopRequest,
  options: OpenRunOptions,
): Promise<TrainingRun> {
  const text = path.join(folder.folder, TEXT_FOLDER)
  const found = await lastCheckpoint(folder, config, base, options.onWarning)
  await folder.rewind(found?.state.step ?? -1)
  const model = found?.model ?? base ?? (await initialModel(config.model, config.seed, text, productsOf(config)))
  const state = found?.state ?? initialState(config)
  const adapters = found?.adapters ?? (config.lora ? newAdapters(model, config.lora, config.seed) : null)
  const gradients = adapters ? new LoraGradients(adapters) : new Gradients(model.weights)
  const optimizer = newOptimizer(config, state.phase)
  if (found) await restoreOptimizer(found.folder, optimizer, gradients.entries(), state.updates)
  gradients.zero()
  const { grpo } = config
  return {
    config,
    model,
    adapters,
    gradients,
    optimizer,
    task,
    order: new ItemOrder(config.seed, task.items('train', config.dataSeed).length),
    credit,
    rhythm: rhythmOptions(
      grpo
        ? { rl: grpo.credit.rl, credit: grpo.credit.options, excludeSink: grpo.credit.excludeSink, seed: config.seed }
        : {},
      grpo?.credit.preset,
    ),
    reference: null,
    state,
    stop,
  }
}

/** Frees what `openRun` made. */
export function closeRun(run: TrainingRun): void {
  run.gradients.dispose()
  run.optimizer.dispose()
  run.adapters?.dispose()
  run.model.dispose()
  run.reference?.dispose()
}

/** Enters GRPO: a new optimizer, and the reference policy where the loss needs one. */
export async function enterGrpo(run: TrainingRun, folder: RunFolder): Promise<void> {
  const { state, config } = run
  const grpo = config.grpo!
  const reference = path.join(folder.folder, REFERENCE_FOLDER)
  if (state.phase !== 'grpo') {
    run.optimizer.dispose()
    run.optimizer = newOptimizer(config, 'grpo')
    Object.assign(state, { phase: 'grpo', phaseStep: 0, updates: 0, nonFiniteUpdates: 0 })
  }
  if (grpo.klCoefficient === 0) return
  if (state.phaseStep === 0) {
    const trained = trainedAdapters(run)
    await (trained ? saveTrainedAdapters(trained, reference) : saveModel(run.model, reference, { replace: true }))
  }
  run.reference = await ownModel(reference, reference, productsOf(config) === 'none' ? 'none' : 'alone')
}

function newOptimizer(config: TrainingConfig, phase: TrainerState['phase']): AdamW {
  const { beta1, beta2, epsilon, weightDecay, decay, state } = config[phase]!.optimizer
  const seed = runSeed(config.seed, 'rounding', Number(phase === 'grpo'))
  return new AdamW({ beta1, beta2, epsilon, weightDecay, decay, state, seed })
}

/** The newest checkpoint that can be read. Throws if there are some and none can. */
async function lastCheckpoint(
  folder: RunFolder,
  config: TrainingConfig,
  base: LanguageModel | null,
  onWarning: (text: string) => void,
) {
  const steps = (await checkpointSteps(folder.checkpoints)).reverse()
  const problems: string[] = []
  for (const step of steps) {
    const at = checkpointFolder(folder.checkpoints, step)
    try {
      const state = await readTrainerState(at)
      const { lora } = config
      if (lora && base) return { state, folder: at, model: base, adapters: await readAdapters(base, lora, at) }
      const found = await ownModel(at, at, productsOf(config))
      // The checkpoint may be removed later; what goes into the next ones stays.
      const text = path.join(folder.folder, TEXT_FOLDER)
      await copyTextFiles(at, text)
      const { name, weights, tokenizer, chatTemplate } = found
      const model = new LanguageModel(name, found.config, weights, tokenizer, chatTemplate, text)
      return { state, folder: at, model, adapters: null }
    } catch (error) {
      problems.push(`${at} cannot be read and is passed over: ${(error as Error).message}`)
      onWarning(problems.at(-1)!)
    }
  }
  if (problems.length > 0) throw new Error(`no checkpoint of ${folder.folder} can be read: ${problems.join('; ')}`)
  return null
}

async function copyTextFiles(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const name of await readdir(from))
    if (!/^(config\.json|model.*\.safetensors.*|optimizer\.safetensors|trainer_state\.json|\..*)$/.test(name))
      await cp(path.join(from, name), path.join(to, name), { recursive: true })
}
