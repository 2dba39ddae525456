import { escapeMarkup } from '../plots/tokenText'
import type { RunView, SweepView } from '../sweeps/sweepView'
import { clockTime } from './progress'
import { tableHtml, tableOf, tableText } from './table'
import { tslabHost } from './tslabHost'

/** Shows how a sweep stands: in place in a notebook and on a terminal, elsewhere a line for each event and now and then. */
export interface SweepDisplay {
  update(view: SweepView): void
  /** Something happened: a line of its own where there is no table, else the last of them is below it. */
  event(text: string): void
}

const REDRAW_MS = 500
const PLAIN_LINE_MS = 60_000

export function sweepDisplay(): SweepDisplay {
  const draw = canvas()
  let drawn = Number.NEGATIVE_INFINITY
  return {
    update(view) {
      const now = performance.now()
      if (!view.over && now - drawn < draw.interval) return
      drawn = now
      draw.view(view)
    },
    event: draw.event,
  }
}

interface Canvas {
  interval: number
  view(view: SweepView): void
  event(text: string): void
}

function canvas(): Canvas {
  const host = tslabHost()
  let last = ''
  const event = (text: string) => {
    last = text
  }
  if (host) {
    const display = host.newDisplay()
    return {
      interval: REDRAW_MS,
      view: (view) =>
        display.bundle({ 'text/plain': sweepText(view, last).join('\n'), 'text/html': sweepHtml(view, last) }),
      event,
    }
  }
  const { stderr } = process
  if (!stderr.isTTY)
    return {
      interval: PLAIN_LINE_MS,
      view: (view) => stderr.write(`${headline(view)}\n`),
      event: (text) => stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`),
    }
  let lines = 0
  return {
    interval: REDRAW_MS,
    view(view) {
      // One row is left for the cursor: a table as high as the terminal would scroll and could not be drawn over.
      const room = Math.max(3, (stderr.rows || 24) - 1)
      const width = stderr.columns || 80
      const shown = sweepText(view, last, room).map((line) =>
        line.length > width ? `${line.slice(0, width - 1)}…` : line,
      )
      const up = lines > 0 ? `\u001b[${lines}A` : ''
      stderr.write(`${up}${shown.map((line) => `\r${line}\u001b[K\n`).join('')}\u001b[J`)
      lines = view.over ? 0 : shown.length
    },
    event,
  }
}

/** `strategies: 12 of 58 done, 2 running, 44 waiting, 0 failed, 0:41:10, about 3:20:00 left`. */
export function headline(view: SweepView): string {
  const { counts, runs } = view
  const states = [
    `${counts.done} of ${runs.length} done`,
    `${counts.running} running`,
    `${counts.waiting} waiting`,
    ...(counts.stopped > 0 ? [`${counts.stopped} stopped`] : []),
    `${counts.failed} failed`,
  ]
  const left = view.left === null ? '' : `, about ${clockTime(view.left)} left`
  return `${view.name}: ${states.join(', ')}; ${clockTime(view.elapsed)}${left}${view.note ? ` · ${view.note}` : ''}`
}

/** One row for each arm, in the sweep's order. */
export function armRows(runs: readonly RunView[]) {
  const arms = new Map<string, RunView[]>()
  for (const run of runs) {
    const arm = run.kind === 'warmup' ? 'warm-ups' : run.arm
    arms.set(arm, [...(arms.get(arm) ?? []), run])
  }
  return [...arms].map(([arm, own]) => {
    const count = (state: RunView['state']) => own.filter((run) => run.state === state).length
    const known = own.flatMap(({ state, accuracy }) => (state === 'done' && accuracy !== null ? [accuracy] : []))
    const mean = known.reduce((sum, value) => sum + value, 0) / known.length
    return {
      arm,
      done: count('done'),
      running: count('running'),
      waiting: count('waiting') + count('stopped'),
      failed: count('failed'),
      'accuracy %': known.length > 0 ? (100 * mean).toFixed(1) : null,
    }
  })
}

/** Those that run, have failed, were stopped, or wait for something else than their turn, one line each. */
export function runLines(runs: readonly RunView[]): string[] {
  const of = (state: RunView['state']) => runs.filter((run) => run.state === state)
  const percent = (share: number | null) => (share === null ? '' : `, accuracy ${(100 * share).toFixed(1)} %`)
  const pace = (seconds: number | null) => (seconds === null ? '' : `, ${seconds.toPrecision(2)} s a step`)
  return [
    ...of('running').map(
      (run) =>
        `running: ${run.name}: step ${run.step} of ${run.steps}${pace(run.secondsPerStep)}${percent(run.accuracy)}` +
        `${run.message ? ` (${run.message})` : ''}`,
    ),
    ...of('failed').map((run) => `failed: ${run.name}: ${(run.message ?? '').split('\n').at(-1)}`),
    ...[...of('waiting'), ...of('stopped')]
      .filter(({ message }) => message !== null && !message.endsWith(' is not done'))
      .map((run) => `${run.state}: ${run.name}: ${run.message}`),
  ]
}

/** The table as lines; where there is no room for all of it, arms go first. */
export function sweepText(view: SweepView, last = '', room = Number.POSITIVE_INFINITY): string[] {
  const table = tableText(tableOf(armRows(view.runs), { limit: 1000 })).split('\n')
  const runs = [...runLines(view.runs), ...lastLine(view, last)]
  const all = [headline(view), ...table, ...runs]
  if (all.length <= room) return all
  const short = [headline(view), ...runs]
  return short.length <= room ? short : [...short.slice(0, room - 1), `… and ${short.length - room + 1} more lines`]
}

export function sweepHtml(view: SweepView, last = ''): string {
  const lines = [...runLines(view.runs), ...lastLine(view, last)].map((line) => `<div>${escapeMarkup(line)}</div>`)
  return `<div>${escapeMarkup(headline(view))}</div>${tableHtml(tableOf(armRows(view.runs), { limit: 1000 }))}${lines.join('')}`
}

/** What happened last, while the sweep goes on. */
const lastLine = (view: SweepView, last: string) => (last === '' || view.over ? [] : [`last: ${last.split('\n')[0]}`])
