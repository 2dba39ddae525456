import { mkdir } from 'node:fs/promises'
import { rhythmOptions } from '../credit/rhythmOptions'
import { Interrupted } from '../engine/cooperate'
import type { LanguageModel } from '../model/languageModel'
import type { Horizon } from '../rhythm/headSeries'
import { whyTrace, writeTrace } from './traceFiles'
import { type TraceInput, tokenSequence } from './traceInput'
import { type TraceOptions, traceResponse } from './traceResponse'

/** The windows of the paper's ablation, in tokens. */
export const ABLATION_WINDOWS: readonly number[] = [5, 8, 10, 12, 20]
/** The horizons of the paper's ablations (Hlo with Hhi = 100, Hhi with Hlo = 10) and of its analyses. */
export const ABLATION_HORIZONS: readonly Horizon[] = [
  [0, null],
  [0, 100],
  [5, 100],
  [10, 100],
  [15, 100],
  [20, 100],
  [10, 50],
  [10, 150],
  [10, 200],
  [10, null],
]

/** What became of a set of traces. */
export interface TraceAllResult {
  made: string[]
  alreadyThere: string[]
  /** With what was wrong. */
  failed: { id: string; error: Error }[]
}

/**
 * Traces every input into `folder`, two files each. What is there, whole and made for the same tokens, model and options is not done
 * again; everything else is, so that a stopped run is continued by starting it again. An input that fails does not stop the rest.
 * Series for all windows and horizons of the paper's ablations are kept unless the options say otherwise, so that these
 * need no second forward pass. Throws `Interrupted` after the trace in progress was dropped.
 */
export async function traceAll(
  model: LanguageModel,
  inputs: readonly TraceInput[],
  folder: string,
  options: TraceOptions & { onTrace?: (id: string, why: string) => void } = {},
): Promise<TraceAllResult> {
  const { windows = ABLATION_WINDOWS, horizons = ABLATION_HORIZONS, mapCells = 256, onProgress } = options
  const { withSinkExcluded = false, withSentences = false } = options
  const chosen = rhythmOptions(options.rhythm, options.preset)
  await mkdir(folder, { recursive: true })
  const result: TraceAllResult = { made: [], alreadyThere: [], failed: [] }
  for (const [i, input] of inputs.entries()) {
    onProgress?.(i, inputs.length, input.id)
    try {
      const sequence = tokenSequence(model, input)
      const kept = { windows, horizons, mapCells, withSinkExcluded, withSentences }
      const request = { ...sequence, model: model.name, options: chosen, ...kept }
      const why = await whyTrace(folder, input.id, request)
      if (why === null) {
        result.alreadyThere.push(input.id)
        continue
      }
      options.onTrace?.(input.id, why)
      const trace = await traceResponse(model, sequence, {
        ...options,
        ...kept,
        onProgress: (done, total) => onProgress?.(i + done / (total + 1), inputs.length, input.id),
      })
      await writeTrace(folder, input.id, trace)
      result.made.push(input.id)
    } catch (error) {
      if (error instanceof Interrupted) throw error
      result.failed.push({ id: input.id, error: error as Error })
    }
  }
  onProgress?.(inputs.length, inputs.length, 'traced')
  return result
}
