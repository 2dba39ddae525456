import type { CheckPrecision, SpeedReport } from '../device/checkReport'
import { GpuMonitor, type GpuUse } from '../device/gpuMonitor'
import type { PeakRates } from '../device/peakRates'
import { deviceReport, tf } from '../engine/tensorflow'
import type { ModelConfig } from '../model/config'
import { generate } from '../model/generate'
import type { LanguageModel } from '../model/languageModel'
import { randomStream } from '../random/randomStream'
import { grpoStep } from '../training/grpoStep'
import { parameterCounts } from '../training/plan/parameterCounts'
import { scoreResponses } from '../training/scoreResponses'
import type { TrainingRun } from '../training/trainingRun'
import type { CheckedStep } from './checkShapes'
import { forwardFlops, gradientFlops } from './modelFlops'
import { disposeRun, randomRun } from './randomRun'
import { speedSettings } from './speedSettings'

export interface MeasuredModel {
  name: string
  config: ModelConfig
  step: CheckedStep
  /** Arithmetic of products on this device. */
  precision: CheckPrecision
  peak: PeakRates | null
  /** The fastest products measured, in floating-point operations a second; null: none were. */
  measuredRate: number | null
  /** nvidia-smi's number of the GPU to watch; null on a CPU. */
  gpu: number | null
  onProgress?: (note: string) => void
}

/**
 * Decoding, and a step of GRPO with rhythm credit as a run makes it, of a model with random weights: seconds by phase, tokens a second,
 * utilisation, and memory beside the plan. The first step is not counted. Throws DoesNotFit.
 */
export async function measureModel(measured: MeasuredModel): Promise<SpeedReport> {
  const { config: shape, step, gpu, onProgress = () => {} } = measured
  const precision = measured.precision === 'bf16' ? 'bf16' : 'float32'
  const { config, settings, peak: planned } = speedSettings(shape, step, { precision })
  const monitor = gpu === null ? null : new GpuMonitor({ gpu, milliseconds: 100 })
  try {
    // Whatever a device takes for itself, it takes now.
    tf.tidy(() => tf.ones([1]).add(1).dataSync())
    const empty = monitor ? await monitor.next() : { peakBytes: process.memoryUsage().rss }
    onProgress('weights')
    const run = randomRun(measured.name, shape, config, step)
    try {
      onProgress('decoding')
      const decoding = [await decode(run.model, step, 1, measured)]
      decoding.push(await decode(run.model, step, step.prompts * step.responses, measured))
      onProgress('a first step of GRPO')
      await grpoStep(run, config.grpo!, false)
      run.state.phaseStep++
      onProgress('a step of GRPO')
      const before = monitor ? await monitor.next() : null
      const { metrics, tokens } = await grpoStep(run, config.grpo!, false)
      const during = monitor ? await monitor.next() : null
      const seconds = Object.fromEntries(Object.entries(metrics).filter(([name]) => name.startsWith('timing_s/')))
      const total = Object.values(seconds).reduce((sum, s) => sum + s, 0)
      onProgress('the cost of observing')
      const observing = await observingSeconds(run, step)
      const counts = parameterCounts(shape, config.lora)
      const update = seconds['timing_s/update_actor']!
      return {
        model: measured.name,
        parameters: counts.all,
        trained: counts.trained,
        precision: measured.precision,
        settings,
        decoding,
        step: {
          responses: step.prompts * step.responses,
          responseTokens: step.responseTokens,
          promptTokens: step.promptTokens,
          seconds,
          total,
          observing,
          creditShare: (seconds['timing_s/credit']! + observing) / total,
        },
        training: {
          tokensPerSecond: tokens / update,
          ...utilizations(updateFlops(shape, step, config.lora !== null) / update, measured),
        },
        memory: {
          plannedBytes: planned.bytes,
          plannedMoment: planned.moment,
          measuredBytes: measuredBytes(empty, [before, during]),
          gpuUtilization: during?.utilization ?? null,
        },
      }
    } finally {
      disposeRun(run)
    }
  } finally {
    monitor?.stop()
  }
}

/** What the process needed at most beyond `empty`: of a GPU by what was seen, of a CPU by what the system counted. */
function measuredBytes(empty: Pick<GpuUse, 'peakBytes'> | null, seen: readonly (GpuUse | null)[]): number | null {
  if (empty === null) return null
  if (deviceReport().device === 'CPU') return process.resourceUsage().maxRSS * 1024 - empty.peakBytes
  const peaks = seen.flatMap((use) => (use ? [use.peakBytes] : []))
  return peaks.length === 0 ? null : Math.max(...peaks) - empty.peakBytes
}

async function decode(
  model: LanguageModel,
  { promptTokens, responseTokens }: CheckedStep,
  batch: number,
  measured: MeasuredModel,
): Promise<SpeedReport['decoding'][number]> {
  const { vocabSize } = model.config
  const tokens = Math.ceil(responseTokens / 2)
  const prompts = Array.from({ length: batch }, (_, i) =>
    Array.from({ length: promptTokens }, (_, k) => (7 * i + k) % vocabSize),
  )
  // Seconds of the tokens after the first, which is ready when the prompts have been read.
  let [first, last] = [0, 0]
  const write = () =>
    generate(model, prompts, {
      maxNewTokens: tokens,
      temperature: 1,
      stopTokens: [],
      onToken: ({ sequence }) => {
        if (sequence !== batch - 1) return
        last = performance.now()
        first ||= last
      },
    })
  // The first time also compiles and loads: code of JavaScript, and a GPU's kernels.
  let seconds = Number.POSITIVE_INFINITY
  for (let i = 0; i < 3; i++) {
    ;[first, last] = [0, 0]
    await write()
    if (i > 0) seconds = Math.min(seconds, (last - first) / 1000)
  }
  const flops = batch * forwardFlops(model.config, promptTokens, tokens - 1, tokens - 1)
  return {
    batch,
    tokens: tokens - 1,
    tokensPerSecond: (batch * (tokens - 1)) / seconds,
    ...utilizations(flops / seconds, measured),
  }
}

/** What the gradients of one step need: there and back through all responses, predictions at response tokens only. */
function updateFlops(shape: ModelConfig, step: CheckedStep, lora: boolean): number {
  const read = step.promptTokens + step.responseTokens - 1
  return step.prompts * step.responses * gradientFlops(forwardFlops(shape, 0, read, step.responseTokens), lora)
}

function utilizations(flops: number, { peak, precision, measuredRate }: MeasuredModel) {
  const most = peak === null ? null : peak[precision]
  return {
    utilization: most === null ? null : flops / most,
    shareOfMeasured: measuredRate === null ? null : flops / measuredRate,
  }
}

/** Seconds that observers add to the pass over a step's responses: the best of two passes with them less the best of two without. */
async function observingSeconds(run: TrainingRun, step: CheckedStep): Promise<number> {
  const stream = randomStream(5)
  const length = step.promptTokens + step.responseTokens
  const sequences = Array.from({ length: step.prompts * step.responses }, () => ({
    ids: Array.from({ length }, () => stream.below(run.model.config.vocabSize)),
    promptLength: step.promptTokens,
  }))
  const times = { plain: Number.POSITIVE_INFINITY, observed: Number.POSITIVE_INFINITY }
  for (const kind of ['plain', 'observed', 'plain', 'observed'] as const) {
    const started = performance.now()
    await scoreResponses(run.model, sequences, {
      batch: step.microBatch,
      rhythm: kind === 'observed' ? run.rhythm : null,
    })
    times[kind] = Math.min(times[kind], (performance.now() - started) / 1000)
  }
  return Math.max(0, times.observed - times.plain)
}
