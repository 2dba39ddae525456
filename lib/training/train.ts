import { hostname } from 'node:os'
import path from 'node:path'
import type { CreditStrategy } from '../credit/creditStrategy'
import { GpuMonitor } from '../device/gpuMonitor'
import { gpuInUse, listGpus } from '../device/nvidiaSmi'
import { Interrupted } from '../engine/cooperate'
import { deviceReport, memory } from '../engine/tensorflow'
import type { Task } from '../tasks/task'
import { checkpointFolder, pruneCheckpoints, saveCheckpoint } from './checkpoint'
import { DemonstrationBatches, demonstrationSource } from './demonstrations'
import { evaluate, evaluationMetrics } from './evaluation'
import { grpoStep } from './grpoStep'
import { trainedAdapters } from './loraRun'
import { closeRun, enterGrpo, openRun } from './openRun'
import { ConfigError, parseConfig, readConfig } from './readConfig'
import { storedConfig } from './runConfig'
import { type MetricsLine, type RolloutRecord, RunFolder, type RunState } from './runFolder'
import { lockRun } from './runLock'
import { StopRequest } from './stopRequest'
import { supervisedStep } from './supervisedStep'
import type { TrainingConfig, TrainingConfigInput } from './trainingConfig'
import { shortageText, trainingPlan } from './trainingPlan'
import type { StepResult, TrainingRun } from './trainingRun'

export interface TrainOptions {
  /** The run's folder: begun there, or taken up from its last checkpoint. */
  run: string
  /** A credit strategy written by the caller. It ends with this process; a run that others resume names a module. */
  credit?: CreditStrategy
  /** A task made by the caller, likewise. */
  task?: Task<unknown>
  /** Aborting ends the run after the step in progress, with a checkpoint. */
  signal?: AbortSignal
  /** Given a function that does what aborting `signal` does, with a reason. */
  onStart?: (stop: (reason: string) => void) => void
  /** After each step, with the rollouts that were recorded in it. */
  onStep?: (line: MetricsLine, rollouts: readonly RolloutRecord[]) => void
  onProgress?: (done: number, total: number, note?: string) => void
  onWarning?: (text: string) => void
  /** Watches the GPU for the metrics; the run stops it. Default: nvidia-smi, where TensorFlow computes on a GPU. */
  gpuMonitor?: GpuMonitor | null
  /** Train although the plan needs more memory than there is. Default false: such a run is refused. */
  anyway?: boolean
}

export interface TrainResult {
  folder: string
  /** `stopped`: it was asked to end early and can be taken up again. */
  state: 'finished' | 'stopped'
  step: number
  steps: number
  /** Why it stopped. */
  reason: string | null
  /** Folder of the last checkpoint, which `loadModel` opens. */
  checkpoint: string
  /** The best evaluation and its checkpoint; null without evaluation. */
  best: { step: number; value: number; checkpoint: string } | null
  /** The run's metrics, from its first step on. */
  metrics: MetricsLine[]
}

/**
 * Trains: supervised warm-up, GRPO with rhythm credit, or one after the other, as the configuration says (an object, the path of a file, or null: the
 * one that the run folder holds). The run goes on from its last checkpoint, to the same bits as without interruption.
 * A stop file, an abort or an interrupt ends it after the step in progress with a checkpoint.
 * Throws ConfigError on configurations, and on runs that by their plan do not fit into memory, an Error if another process trains in the
 * folder, on errors of a strategy or task, after too many updates that are not finite, and on a full disk; the last checkpoint stays good in every case.
 */
export async function train(config: TrainingConfigInput | string | null, options: TrainOptions): Promise<TrainResult> {
  const { onWarning = (text: string) => process.emitWarning(text) } = options
  const complete = typeof config === 'string' ? readConfig(config) : config === null ? null : parseConfig(config)
  const folder = new RunFolder(options.run)
  const release = await lockRun(folder.folder)
  try {
    await folder.prepare()
    const asked = complete ?? (await storedConfig(folder))
    if (asked && !options.anyway) await checkFits(asked, options.task, onWarning)
    const stop = new StopRequest(folder.stopFile, options.signal)
    options.onStart?.((reason) => stop.request(reason))
    const run = await openRun(folder, complete, stop, { ...options, onWarning })
    const training = new Training(run, folder, options)
    try {
      return await training.go()
    } catch (error) {
      // A folder that cannot be written to must not hide why.
      const state = error instanceof Interrupted ? 'stopped' : 'failed'
      await training.writeState(state, (error as Error).message).catch(() => {})
      throw error
    } finally {
      training.end()
      closeRun(run)
    }
  } finally {
    await release()
  }
}

/** Before anything large is allocated: a process that runs out of memory is killed, and a notebook's kernel with it. */
async function checkFits(
  config: TrainingConfig,
  task: Task<unknown> | undefined,
  onWarning: (text: string) => void,
): Promise<void> {
  let shortage: string | null
  try {
    shortage = shortageText(await trainingPlan(config, { task, time: false }))
  } catch (error) {
    // A run that is taken up again needs less than its plan reads: not the model that it began with, nor its demonstrations.
    onWarning(
      `whether the run fits into memory is not known, since it could not be planned: ${(error as Error).message}`,
    )
    return
  }
  if (shortage) throw new ConfigError(`${shortage}; or give anyway: true`)
}

class Training {
  private readonly startedAt = new Date().toISOString()
  private readonly total: number
  private lastCheckpoint = -1
  private readonly gpu: GpuMonitor | null

  constructor(
    private readonly run: TrainingRun,
    private readonly folder: RunFolder,
    private readonly options: TrainOptions,
  ) {
    this.total = (run.config.supervised?.steps ?? 0) + (run.config.grpo?.steps ?? 0)
    this.lastCheckpoint = run.state.step > 0 ? run.state.step : -1
    this.gpu = options.gpuMonitor === undefined ? newGpuMonitor() : options.gpuMonitor
  }

  end(): void {
    this.gpu?.stop()
  }

  async go(): Promise<TrainResult> {
    const { run } = this
    const { config, state } = run
    await this.writeState('running')
    if (config.supervised && state.phase === 'supervised') await this.supervised()
    if (config.grpo && (await run.stop.asked()) === null) await this.grpo()
    if (this.lastCheckpoint !== state.step) await this.checkpoint()
    const finished = state.step === this.total
    await this.writeState(finished ? 'finished' : 'stopped')
    const at = (step: number) => checkpointFolder(this.folder.checkpoints, step)
    return {
      folder: this.folder.folder,
      state: finished ? 'finished' : 'stopped',
      step: state.step,
      steps: this.total,
      reason: finished ? null : run.stop.reason,
      checkpoint: at(state.step),
      best: state.best && { ...state.best, checkpoint: at(state.best.step) },
      metrics: this.folder.readMetrics(),
    }
  }

  async writeState(state: RunState['state'], error?: string): Promise<void> {
    const { device } = deviceReport()
    await this.folder.writeJson('state.json', {
      state,
      step: this.run.state.step,
      steps: this.total,
      device,
      pid: process.pid,
      host: hostname(),
      startedAt: this.startedAt,
      changedAt: new Date().toISOString(),
      ...(error ? { error } : {}),
    } satisfies RunState)
  }

  private async supervised(): Promise<void> {
    const { run } = this
    const { config, model, task } = run
    const choice = config.supervised!
    const source = demonstrationSource(task, choice.demonstrations, config.seed)
    const batches = new DemonstrationBatches(model, choice, config.seed, source)
    if ('from' in config.model) await this.firstEvaluation()
    await this.steps(choice.steps, choice.evaluateEvery, () => supervisedStep(run, choice, batches))
  }

  private async grpo(): Promise<void> {
    const { run } = this
    const choice = run.config.grpo!
    await enterGrpo(run, this.folder)
    await this.firstEvaluation()
    const { every } = run.config.rollouts
    await this.steps(choice.steps, choice.evaluateEvery, () => {
      const recorded = every > 0 && (run.state.phaseStep === 0 || (run.state.phaseStep + 1) % every === 0)
      return grpoStep(run, choice, recorded)
    })
  }

  /** Before the first step of a run. After warm-up there has just been one. */
  private async firstEvaluation(): Promise<void> {
    const { state } = this.run
    if (state.step > 0 || !this.run.config.evaluation) return
    const line = { step: 0, phase: state.phase, phaseStep: 0, ...(await this.evaluation()) }
    this.folder.appendMetrics(line)
    this.options.onStep?.(line, [])
  }

  private async steps(steps: number, evaluateEvery: number, step: () => Promise<StepResult>): Promise<void> {
    const { run, folder, options } = this
    const { state, config } = run
    while (state.phaseStep < steps && (await run.stop.asked()) === null) {
      const started = performance.now()
      const { metrics, tokens, rollouts } = await step()
      const seconds = (performance.now() - started) / 1000
      const gpu = gpuMetrics(this.gpu)
      state.step++
      state.phaseStep++
      state.tokens += tokens
      const last = state.phaseStep === steps
      const evaluationDue = config.evaluation && (last || (evaluateEvery > 0 && state.phaseStep % evaluateEvery === 0))
      const evaluation = evaluationDue ? await this.evaluation() : {}
      const line: MetricsLine = {
        step: state.step,
        phase: state.phase,
        phaseStep: state.phaseStep,
        ...metrics,
        num_tokens: state.tokens,
        ...evaluation,
        'timing_s/step': seconds,
        'perf/throughput': tokens / seconds,
        'memory/resident_gb': memory().residentBytes / 1e9,
        ...gpu,
      }
      if (rollouts.length > 0) await folder.writeRollouts(state.step, rollouts)
      folder.appendMetrics(line)
      if (state.nonFiniteUpdates >= config.maxNonFiniteUpdates)
        throw new Error(
          `${state.nonFiniteUpdates} updates in a row had a loss or gradient that is not finite: lower the learning rate. ` +
            'The weights are still those before them; the last checkpoint is good',
        )
      const best = state.best?.step === state.step
      if (last || best || state.phaseStep % config.checkpoints.every === 0) await this.checkpoint()
      // What was seen meanwhile is no part of the next step.
      if (evaluationDue) this.gpu?.take()
      options.onStep?.(line, rollouts)
      options.onProgress?.(state.step, this.total, note(line))
    }
  }

  private async evaluation(): Promise<Record<string, number>> {
    const { run } = this
    const { config, state } = run
    const started = performance.now()
    const result = await run.stop.finishing(() =>
      evaluate(run.model, run.task, config.evaluation!, { seed: config.seed, dataSeed: config.dataSeed }),
    )
    const value = result.average.value
    if (state.step > 0 && (!state.best || value > state.best.value)) state.best = { step: state.step, value }
    return { ...evaluationMetrics(result), 'timing_s/evaluation': (performance.now() - started) / 1000 }
  }

  private async checkpoint(): Promise<void> {
    const { run, folder } = this
    const { state, config } = run
    if (this.lastCheckpoint === state.step) return
    try {
      await saveCheckpoint(folder.checkpoints, run.model, run.optimizer, state, trainedAdapters(run))
    } catch (error) {
      const last =
        this.lastCheckpoint < 0 ? 'there is no earlier one' : `step ${this.lastCheckpoint} is the last good one`
      throw new Error(
        `the checkpoint of step ${state.step} could not be written (${last}): ${(error as Error).message}`,
        {
          cause: error,
        },
      )
    }
    this.lastCheckpoint = state.step
    const warm = config.supervised && config.grpo ? [config.supervised.steps] : []
    await pruneCheckpoints(folder.checkpoints, config.checkpoints.keep, [
      ...warm,
      ...(state.best ? [state.best.step] : []),
    ])
    if (state.best) {
      const checkpoint = path.relative(folder.folder, checkpointFolder(folder.checkpoints, state.best.step))
      await folder.writeJson('best.json', { ...state.best, checkpoint })
    }
    await this.writeState('running')
  }
}

/** Watches the GPU that TensorFlow computes on; null on a CPU, and where nvidia-smi does not say which GPU that is. */
function newGpuMonitor(): GpuMonitor | null {
  const gpu = deviceReport().device === 'GPU' ? gpuInUse(listGpus()) : null
  return gpu && new GpuMonitor({ gpu: gpu.index })
}

/** What a GPU was doing in the step, as a share of the time, and its most memory in use, of all processes; nothing where nothing was seen. */
function gpuMetrics(monitor: GpuMonitor | null): Record<string, number> {
  const use = monitor?.take()
  return use ? { 'perf/gpu_utilization': use.utilization, 'memory/gpu_gb': use.peakBytes / 1e9 } : {}
}

/** The numbers beside the bar. */
function note(line: MetricsLine): string {
  const show = (name: string, text: string, digits = 3) => {
    const value = line[name]
    return typeof value === 'number' ? [`${text} ${value.toFixed(digits)}`] : []
  }
  return line.phase === 'grpo'
    ? [
        ...show('reward', 'reward'),
        ...show('completions/mean_length', 'length', 1),
        ...show('entropy', 'entropy'),
      ].join(', ')
    : show('loss', 'loss').join()
}
