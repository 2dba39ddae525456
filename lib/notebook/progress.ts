import { Interrupted } from '../engine/cooperate'
import { escapeMarkup } from '../plots/tokenText'
import { interruptCount, kernelState } from './kernelState'
import { tslabHost } from './tslabHost'

/** A picture of how far some work has come: in place in a notebook and on a terminal, a line now and then elsewhere. */
export interface ProgressBar {
  /** `done` of the total are done. Throws `Interrupted` after an interrupt, which ends the loop that calls it. */
  update(done: number, note?: string): void
  /** The work is over, whether or not the total was reached. Reaching the total does the same. */
  finish(note?: string): void
  /** Fits every `onProgress` option of this library. The total it is given replaces the bar's. */
  readonly callback: (done: number, total: number, note?: string) => void
}

export interface ProgressOptions {
  /** What is counted, in the plural: 'tokens', 'responses'. */
  unit?: string
}

/** What a bar shows. Times are in seconds; `left` is null while it cannot be told. */
export interface ProgressView {
  label: string
  done: number
  total: number
  unit: string
  note: string
  state: 'running' | 'finished' | 'stopped'
  elapsed: number
  left: number | null
}

const REDRAW_MS = 200
const PLAIN_LINE_MS = 10_000
/** The time left follows the speed of the last minute, so that items found already done do not flatter it. */
const SPEED_WINDOW_MS = 60_000
/** After its cell has ended and nothing came for this long, a bar stands still. */
const IDLE_MS = 5_000

/** 75 as '1:15', 3675 as '1:01:15'. */
export function clockTime(seconds: number): string {
  const whole = Math.round(seconds)
  const two = (value: number) => String(value).padStart(2, '0')
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor(whole / 60) % 60
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}

const count = (value: number) => (Number.isInteger(value) ? String(value) : value.toFixed(1))

/** The words beside the bar. */
export function progressWords(view: ProgressView): string {
  const amount = `${count(view.done)}/${count(view.total)}${view.unit ? ` ${view.unit}` : ''}`
  const time = clockTime(view.elapsed)
  const left = view.left === null ? '' : `, about ${clockTime(view.left)} left`
  const words = {
    running: `${amount}, ${time}${left}`,
    finished: `${amount} in ${time}`,
    stopped: `stopped at ${amount} after ${time}`,
  }
  return words[view.state] + (view.note ? ` · ${view.note}` : '')
}

function share(view: ProgressView): number {
  if (view.total <= 0) return view.state === 'finished' ? 1 : 0
  return Math.min(1, Math.max(0, view.done / view.total))
}

/** One line: label, bar, words. `width` is the line's longest length in characters. */
export function progressLine(view: ProgressView, width = Number.POSITIVE_INFINITY): string {
  const cells = 20
  const full = Math.round(share(view) * cells)
  const line = `${view.label} ${'█'.repeat(full)}${'░'.repeat(cells - full)} ${progressWords(view)}`
  return line.length > width ? `${line.slice(0, Math.max(0, width - 1))}…` : line
}

/** The same for a notebook's output; its colours follow JupyterLab's theme. */
export function progressHtml(view: ProgressView): string {
  const percent = (100 * share(view)).toFixed(1)
  const colour = {
    running: 'var(--jp-brand-color1, #1976d2)',
    finished: 'var(--jp-success-color1, #388e3c)',
    stopped: 'var(--jp-warn-color1, #f57c00)',
  }[view.state]
  const words = escapeMarkup(progressWords(view))
  return (
    `<div style="display: flex; flex-wrap: wrap; align-items: center; gap: 0 0.75em; font-variant-numeric: tabular-nums">` +
    `<span>${escapeMarkup(view.label)}</span>` +
    `<div role="progressbar" aria-label="${escapeMarkup(view.label)}" aria-valuemin="0" aria-valuemax="100" aria-valuenow="${percent}" ` +
    `aria-valuetext="${words}" style="width: 16em; height: 0.6em; border-radius: 0.3em; overflow: hidden; background-color: rgba(128, 128, 128, 0.3)">` +
    `<div style="width: ${percent}%; height: 100%; background-color: ${colour}"></div></div>` +
    `<span>${words}</span></div>`
  )
}

/** Where a bar is drawn: `draw` is called at most every `interval` ms, but for the last time, which closes it. */
interface Canvas {
  interval: number
  draw(view: ProgressView): void
}

function canvas(): Canvas {
  const host = tslabHost()
  if (host) {
    const display = host.newDisplay()
    return {
      interval: REDRAW_MS,
      draw: (view) => display.bundle({ 'text/plain': progressLine(view), 'text/html': progressHtml(view) }),
    }
  }
  const { stderr } = process
  if (stderr.isTTY) {
    return {
      interval: REDRAW_MS,
      draw(view) {
        stderr.write(`\r${progressLine(view, stderr.columns)}\u001b[K${view.state === 'running' ? '' : '\n'}`)
      },
    }
  }
  return { interval: PLAIN_LINE_MS, draw: (view) => stderr.write(`${view.label}: ${progressWords(view)}\n`) }
}

/**
 * Shows the progress of work that counts to `total`. In a notebook the bar is in the cell that runs when this is called.
 * After an interrupt, or when that cell fails, the bar says that it stopped.
 */
export function progress(label: string, total: number, options: ProgressOptions = {}): ProgressBar {
  const checked = (name: string, value: number) => {
    if (Number.isFinite(value) && value >= 0) return value
    throw new RangeError(`progress('${label}'): ${name} must be a finite number, 0 or more, got ${value}`)
  }
  const view: ProgressView = {
    label,
    done: 0,
    total: checked('total', total),
    unit: options.unit ?? '',
    note: '',
    state: 'running',
    elapsed: 0,
    left: null,
  }
  const target = canvas()
  const start = performance.now()
  const interruptsAtStart = interruptCount()
  const cell = kernelState()?.cell ?? null
  const samples = [{ time: start, done: 0 }]
  // The plain form's first line comes after its interval.
  let drawn = target.interval === PLAIN_LINE_MS ? start : Number.NEGATIVE_INFINITY
  let updated = start
  let timer: NodeJS.Timeout | null = null

  const draw = (now: number) => {
    drawn = now
    view.elapsed = (now - start) / 1000
    while (samples.length > 1 && now - samples[1]!.time > SPEED_WINDOW_MS) samples.shift()
    const { time, done } = samples[0]!
    view.left = view.done > done ? ((view.total - view.done) * (now - time)) / (view.done - done) / 1000 : null
    target.draw(view)
  }
  const close = (state: 'finished' | 'stopped') => {
    if (timer) clearInterval(timer)
    timer = null
    view.state = state
    draw(performance.now())
  }
  const watch = () => {
    const now = performance.now()
    if (interruptCount() !== interruptsAtStart || cell?.state === 'failed') close('stopped')
    else if (cell && cell.state !== 'running' && now - updated > IDLE_MS) {
      if (timer) clearInterval(timer)
      timer = null
    } else if (now - drawn >= Math.max(1000, target.interval)) draw(now)
  }
  const update = (done: number, note?: string) => {
    view.done = checked('done', done)
    if (note !== undefined) view.note = note
    const now = performance.now()
    if (interruptCount() !== interruptsAtStart) {
      if (view.state === 'running') close('stopped')
      throw new Interrupted()
    }
    const before = view.state
    view.state = 'running'
    updated = now
    if (now - samples.at(-1)!.time >= 1000) samples.push({ time: now, done })
    if (view.total > 0 && done >= view.total) {
      if (before !== 'finished') close('finished')
      else view.state = before
      return
    }
    timer ??= setInterval(watch, REDRAW_MS).unref()
    if (now - drawn >= target.interval) draw(now)
  }
  timer = setInterval(watch, REDRAW_MS).unref()
  if (target.interval === REDRAW_MS) draw(start)

  return {
    update,
    finish(note) {
      if (note !== undefined) view.note = note
      if (view.state === 'running' || note !== undefined) close(view.state === 'stopped' ? 'stopped' : 'finished')
    },
    callback(done, newTotal, note) {
      view.total = checked('total', newTotal)
      update(done, note)
    },
  }
}
