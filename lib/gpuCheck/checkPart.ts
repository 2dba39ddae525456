import type { CheckPrecision, CheckSize, MatmulRate, SpeedReport } from '../device/checkReport'
import { gpuInUse, listGpus } from '../device/nvidiaSmi'
import { peakRates } from '../device/peakRates'
import type { Precision } from '../engine/precision'
import { deviceReport } from '../engine/tensorflow'
import { writeSafetensors } from '../model/safetensors'
import { CHECK_PLANS, CHECKED_MODELS } from './checkShapes'
import { comparedQuantities } from './comparedQuantities'
import { matmulRates } from './matmulRates'
import { measureModel } from './measureModel'
import { DoesNotFit } from './speedSettings'

/** A part of the check, done by a process of its own: one that crashes or runs out of memory leaves the others alone. */
export type PartRequest =
  | { part: 'rates'; size: CheckSize; precision: CheckPrecision }
  | {
      part: 'quantities'
      size: CheckSize
      file: string
      precision?: Precision
      /** Of the weights. Default 1. */
      seed?: number
    }
  | { part: 'speed'; size: CheckSize; precision: CheckPrecision; model: string; measuredRate: number | null }

/** What each part gives. */
export interface PartResults {
  rates: MatmulRate[]
  /** The numbers are in the file; why sections of them are missing. */
  quantities: { errors: Record<string, string> }
  /** Why it was not measured, where the device is too small. */
  speed: { speed: SpeedReport } | { skipped: string }
}

/** Does a part in this process. */
export async function doPart<Request extends PartRequest>(
  request: Request,
  onProgress: (note: string) => void,
): Promise<PartResults[Request['part']]> {
  return PARTS[request.part](request as never, onProgress) as Promise<PartResults[Request['part']]>
}

const PARTS = {
  rates: async ({ size, precision }: Extract<PartRequest, { part: 'rates' }>, onProgress: (note: string) => void) =>
    matmulRates(CHECK_PLANS[size].matmul, deviceReport().device, precision, ({ size: n, flops }) =>
      onProgress(`${n} × ${n}: ${(flops / 1e12).toPrecision(3)} TFLOP/s`),
    ),

  quantities: async ({ size, file, precision, seed }: Extract<PartRequest, { part: 'quantities' }>) => {
    const { values, errors } = await comparedQuantities(CHECK_PLANS[size].compared, precision, seed)
    const tensors = Object.fromEntries(
      Object.entries(values).map(([name, data]) => [name, { shape: [data.length], data }]),
    )
    await writeSafetensors(file, tensors)
    return { errors }
  },

  speed: async (request: Extract<PartRequest, { part: 'speed' }>, onProgress: (note: string) => void) => {
    const { model, size, precision, measuredRate } = request
    const config = CHECKED_MODELS[model]
    if (!config) throw new Error(`no model ${model}; expected one of ${Object.keys(CHECKED_MODELS).join(', ')}`)
    const gpu = deviceReport().device === 'GPU' ? gpuInUse(listGpus()) : null
    try {
      const speed = await measureModel({
        name: model,
        config,
        step: CHECK_PLANS[size].step,
        precision,
        peak: gpu && peakRates(gpu.name),
        measuredRate,
        gpu: gpu?.index ?? null,
        onProgress,
      })
      return { speed }
    } catch (error) {
      if (error instanceof DoesNotFit) return { skipped: error.message }
      throw error
    }
  },
}
