import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Interrupted, pacer } from '../engine/cooperate'
import { creditedRollouts, rolloutRhythm } from '../plots/rolloutRhythm'
import { escapeMarkup } from '../plots/tokenText'
import { trainingCurves } from '../plots/trainingCurves'
import { type RolloutRecord, readRollouts, rolloutSteps } from '../training/runFolder'
import type { AttachedRun, RunStatus } from '../training/startRun'
import type { TrainingConfig } from '../training/trainingConfig'
import { LiveFigure } from './liveFigure'
import { progress, progressHtml, progressLine } from './progress'
import { phaseViews } from './trainingProgress'
import { type TslabHost, tslabHost, type UpdatableDisplay } from './tslabHost'

export interface WatchOptions {
  /** Ends the watching, never the run. */
  signal?: AbortSignal
  /** Milliseconds between looks into the folder. Default 1000. */
  every?: number
}

/**
 * Shows a run while it trains: how far it is and on which device, its curves, and where the credit of the newest recorded
 * responses went, all in place. Resolves to how the run stands when it has ended. Interrupting the cell ends the watching alone: the run
 * goes on, and watching it again shows all of it. Throws if the run failed or its process died, with the last lines of its log.
 */
export async function watchTraining(run: AttachedRun, options: WatchOptions = {}): Promise<RunStatus> {
  const { signal, every = 1000 } = options
  // Before anything is awaited: an interrupt counts from here on.
  const pause = pacer(signal)
  const host = tslabHost()
  if (!host) {
    const bar = progress('training', 1, { unit: 'steps' })
    return run.follow({ signal, every, onProgress: bar.callback })
  }
  const view = new TrainingView(run, await run.config(), host)
  for (;;) {
    const status = run.status()
    const failure = await run.failure()
    const over = failure !== null || status.state === 'finished' || status.state === 'stopped'
    if (over) {
      await view.finish(status)
      if (failure) throw new Error(failure)
      return status
    }
    await view.draw(status)
    try {
      // In short waits: an interrupt should end the cell at once.
      for (let waited = 0; waited < every; waited += 100) {
        await sleep(100)
        await pause()
      }
    } catch (error) {
      if (error instanceof Interrupted) view.leave(run.status())
      throw error
    }
  }
}

/** Responses of the newest recorded step after `since` in which there was credit to give; empty where there is none. */
async function newestCredited(folder: string, since: number): Promise<RolloutRecord[]> {
  const steps = (await rolloutSteps(folder)).filter((step) => step > since)
  for (const step of steps.reverse()) {
    const credited = creditedRollouts(await readRollouts(folder, step))
    if (credited.length > 0) return credited
  }
  return []
}

/** How much of the time may go into drawing: one part in so many. Training needs the cores more than its picture does. */
const DRAWING_SHARE = 4

/** The places in the running cell's output. */
class TrainingView {
  private readonly words: UpdatableDisplay
  private readonly curves: LiveFigure
  private readonly responses: LiveFigure[]
  private linesDrawn = 0
  private rolloutsDrawn = 0
  private nextDrawing = 0

  constructor(
    private readonly run: AttachedRun,
    private readonly config: TrainingConfig,
    host: TslabHost,
  ) {
    this.words = host.newDisplay()
    this.curves = new LiveFigure(host.newDisplay())
    this.responses = [new LiveFigure(host.newDisplay()), new LiveFigure(host.newDisplay())]
  }

  async draw(status: RunStatus): Promise<void> {
    this.drawWords(status)
    const started = performance.now()
    if (started < this.nextDrawing) return
    await this.drawFigures()
    const ended = performance.now()
    this.nextDrawing = ended + (DRAWING_SHARE - 1) * (ended - started)
  }

  /** The last state of all, live. */
  async finish(status: RunStatus): Promise<void> {
    this.drawWords(status)
    await this.drawFigures()
    for (const figure of [this.curves, ...this.responses]) figure.finish()
  }

  /** The watching ends before the run: what was drawn last stays, with no time for more. */
  leave(status: RunStatus): void {
    this.drawWords(
      status,
      'You stopped watching; the run goes on. Run this cell again to watch it. `await run.stop()` ends the run after the step in progress, with a checkpoint.',
    )
    for (const figure of [this.curves, ...this.responses]) figure.finish()
  }

  private async drawFigures(): Promise<void> {
    const metrics = this.run.metrics()
    if (metrics.length > 0 && metrics.length !== this.linesDrawn) {
      this.linesDrawn = metrics.length
      const { phase } = metrics.at(-1)!
      await this.curves.draw(trainingCurves(metrics, { phase, steps: this.config[phase]?.steps }))
    }
    const rollouts = await newestCredited(this.run.folder, this.rolloutsDrawn)
    if (rollouts.length > 0) this.rolloutsDrawn = rollouts[0]!.step
    for (const [i, rollout] of rollouts.entries()) {
      const title = `Where does the credit of a ${rollout.correct ? 'right' : 'wrong'} response go?`
      await this.responses[i]!.draw(rolloutRhythm(rollout, { title }))
    }
  }

  private drawWords(status: RunStatus, addition?: string): void {
    const { state, device, pid } = status
    const views = phaseViews(this.config, this.run.metrics(), state)
    const where = path.relative(process.cwd(), this.run.folder) || '.'
    const process_ = state === 'running' ? `, process ${pid}, which outlives this notebook` : ''
    const line = `${where}: ${STATES[state]}${device ? ` on ${device}` : ''}${process_}`
    const lines = [line, ...(addition ? [addition] : [])]
    this.words.bundle({
      'text/html': `${lines.map((text) => `<div>${withCode(text)}</div>`).join('')}${views.map(progressHtml).join('')}`,
      'text/plain': [...lines, ...views.map((view) => progressLine(view))].join('\n'),
    })
  }
}

const STATES: Record<RunStatus['state'], string> = {
  running: 'trains',
  starting: 'is being started',
  finished: 'finished; it was trained',
  stopped: 'stopped, to be taken up again; it was trained',
  failed: 'failed',
  interrupted: 'its process died',
}

/** Text between backquotes as code. */
const withCode = (text: string) => escapeMarkup(text).replace(/`([^`]*)`/g, '<code>$1</code>')
