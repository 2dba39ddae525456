import { copyFile, readFile } from 'node:fs/promises'
import path from 'node:path'
import type { LanguageModel } from '../model/languageModel'
import { loadModel } from '../model/loadModel'
import { modelFingerprint } from '../model/modelFingerprint'
import { permuteWeights } from '../model/permuteWeights'
import { fillTraceSet } from './fillTraceSet'
import { describeModel } from './makeTraceSet'
import { type AnswerVerifier, openTraceSet, type TraceSet } from './openTraceSet'
import { ownPackage, type TraceSetManifest, traceSetFiles } from './traceSetManifest'

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
  const { seed = 0, signal, onProgress, onTrace, verify } = options
  const base = await openTraceSet(baseFolder)
  if (base.manifest.control) throw new Error(`${baseFolder} is a control itself; name the set that it is a control of`)
  const trained = await modelOfBase(base, options)
  onProgress?.(0, base.responses.length, 'permuting weights')
  const model = await permuteWeights(trained, seed, { signal })
  try {
    const relative = path.relative(path.resolve(folder), path.resolve(baseFolder)).split(path.sep).join('/')
    const plan: TraceSetManifest = {
      ...base.manifest,
      package: ownPackage(),
      model: await describeModel(model, signal),
      control: { kind: 'permuted', seed, base: { folder: relative, responses: base.manifest.responses!.sha256 } },
      responses: null,
      traces: null,
    }
    const lines = await readFile(traceSetFiles(baseFolder).problems, 'utf8')
    return await fillTraceSet(model, folder, plan, {
      ...{ signal, onProgress, onTrace, verify, answers: base.manifest.answers },
      problemLines: lines,
      writing: 0,
      respond: (file) => copyFile(traceSetFiles(baseFolder).responses, file),
    })
  } finally {
    model.dispose()
  }
}

/** The model that a set was traced with, permuted again if the set is a control. The caller disposes a control's. */
export async function modelOfSet(
  set: TraceSet,
  options: Pick<ControlSetOptions, 'signal'> = {},
): Promise<LanguageModel> {
  const { control } = set.manifest
  if (!control) return modelOfBase(set, options)
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
