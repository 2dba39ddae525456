import { copyFile, readFile } from 'node:fs/promises'
import path from 'node:path'
import type { LanguageModel } from '../model/languageModel'
import { loadModel } from '../model/loadModel'
import { modelFingerprint } from '../model/modelFingerprint'
import { permuteWeights } from '../model/permuteWeights'
import { fillTraceSet } from './fillTraceSet'
import { describeModel } from './makeTraceSet'
import { type AnswerVerifier, openTraceSet, type TraceSet } from './openTraceSet'
import { ownPackage, type TraceSetControl, type TraceSetManifest, traceSetFiles } from './traceSetManifest'

export interface ControlSetOptions {
  /** The base set's model. Default: loaded by the name in its manifest. */
  model?: LanguageModel
  /** Of the permutation. Default 0. */
  seed?: number
  verify?: AnswerVerifier
  signal?: AbortSignal
  onProgress?: (done: number, total: number, note?: string) => void
  /** Called before a response is traced, with the reason; see `TraceSetOptions`. */
  onTrace?: (id: string, why: string) => void
}

/**
 * The control that the paper lacks: traces the responses of a finished set, token for token, with the same model untrained (each weight
 * matrix's values permuted, `permuteWeights`), with the same options, as a trace set of its own whose manifest names the base.
 * Its answers are judged as the base's. Resumable as `makeTraceSet` is. Throws if the model is not the one that wrote the base set.
 */
export async function makeControlSet(
  baseFolder: string,
  folder: string,
  options: ControlSetOptions = {},
): Promise<TraceSet> {
  const { seed = 0, signal, onProgress } = options
  const base = await openBase(baseFolder)
  const trained = await modelOfBase(base, options)
  onProgress?.(0, base.responses.length, 'permuting weights')
  const model = await permuteWeights(trained, seed, { signal })
  try {
    return await traceAgain(model, base, folder, { kind: 'permuted', seed }, options)
  } finally {
    model.dispose()
  }
}

/**
 * Traces the responses of a finished set, token for token, with another model that reads the same tokens (a checkpoint before or after
 * training), as a trace set of its own whose manifest names the base: what differs between the two is the model alone.
 * Resumable as `makeTraceSet` is. Throws if the model has another vocabulary than the base's.
 */
export async function makeRereadSet(
  model: LanguageModel,
  baseFolder: string,
  folder: string,
  options: Omit<ControlSetOptions, 'model' | 'seed'> = {},
): Promise<TraceSet> {
  const base = await openBase(baseFolder)
  const { name, config } = base.manifest.model
  if (model.config.vocabSize !== config.vocabSize)
    throw new Error(
      `${model.name} has a vocabulary of ${model.config.vocabSize}, ${name}, which wrote ${baseFolder}, one of ${config.vocabSize}: it would read other tokens`,
    )
  return traceAgain(model, base, folder, { kind: 'model', seed: 0 }, options)
}

async function openBase(folder: string): Promise<TraceSet> {
  const base = await openTraceSet(folder)
  if (base.manifest.control) throw new Error(`${folder} is a control itself; name the set that it is a control of`)
  return base
}

async function traceAgain(
  model: LanguageModel,
  base: TraceSet,
  folder: string,
  control: Pick<TraceSetControl, 'kind' | 'seed'>,
  { signal, onProgress, onTrace, verify }: ControlSetOptions,
): Promise<TraceSet> {
  const relative = path.relative(path.resolve(folder), path.resolve(base.folder)).split(path.sep).join('/')
  const plan: TraceSetManifest = {
    ...base.manifest,
    package: ownPackage(),
    model: await describeModel(model, signal),
    control: { ...control, base: { folder: relative, responses: base.manifest.responses!.sha256 } },
    responses: null,
    traces: null,
  }
  const lines = await readFile(traceSetFiles(base.folder).problems, 'utf8')
  return fillTraceSet(model, folder, plan, {
    ...{ signal, onProgress, onTrace, verify, answers: base.manifest.answers },
    problemLines: lines,
    writing: 0,
    respond: (file) => copyFile(traceSetFiles(base.folder).responses, file),
  })
}

/** The model that a set was traced with, permuted again if the set is a control. The caller disposes a control's. */
export async function modelOfSet(
  set: TraceSet,
  options: Pick<ControlSetOptions, 'signal'> = {},
): Promise<LanguageModel> {
  const { control } = set.manifest
  if (!control || control.kind === 'model') return modelOfBase(set, options)
  const base = await openTraceSet(path.join(set.folder, control.base.folder))
  const model = await permuteWeights(await modelOfBase(base, options), control.seed, options)
  await checkModel(set, model, options.signal)
  return model
}

async function modelOfBase(
  set: TraceSet,
  options: Pick<ControlSetOptions, 'model' | 'signal'>,
): Promise<LanguageModel> {
  const model = options.model ?? (await loadModel(set.manifest.model.name, { signal: options.signal }))
  await checkModel(set, model, options.signal)
  return model
}

/** Throws unless the model has the weights that the set was traced with. */
export async function checkModel(set: TraceSet, model: LanguageModel, signal?: AbortSignal): Promise<void> {
  const { name, fingerprint } = set.manifest.model
  if ((await modelFingerprint(model, signal)) !== fingerprint)
    throw new Error(
      `${model.name} is not the model of ${set.folder}: ${name} had other weights when the set was made. Give that model`,
    )
}
