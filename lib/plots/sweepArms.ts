import { armsOf, type SweepRecord } from '../analysis/sweepRow'
import { baselineOf } from '../analysis/sweepTables'
import { InvalidArgument } from '../rhythm/invalidArgument'
import { COLOURS, NEUTRAL } from './theme'

/** What a strategy is drawn in: after the series that it goes by; controls in a colour of their own. */
const STRATEGY_COLOURS: Record<string, string> = {
  random: '#96703c',
  shuffled: '#96703c',
  entropy: COLOURS.entropy,
  'local-chunk': COLOURS.waad,
  'global-anchor': COLOURS.fai,
  coupled: COLOURS.receiver,
}

/** The arms of a sweep as a figure has them: those that others are compared with in grey. Throws if none of its runs is finished. */
export function drawnArms(record: SweepRecord, given?: string) {
  const finished = record.rows.filter(({ state }) => state === 'finished')
  if (finished.length === 0)
    throw new InvalidArgument(`no run of ${record.name} is finished: there is nothing to draw yet`)
  const arms = armsOf(finished)
  const all = baselineOf(record, given)
  // Of a sweep in progress, those that have a finished run.
  const compared = all.compared.filter((pair) => arms.includes(pair.arm) && arms.includes(pair.baseline))
  const baseline = { ...all, compared }
  const isBaseline = (arm: string) => baseline.compared.some((one) => one.baseline === arm) || arm === baseline.arm
  const colourOf = (arm: string) =>
    isBaseline(arm) ? NEUTRAL : (STRATEGY_COLOURS[arm] ?? STRATEGY_COLOURS[strategyOf(arm)] ?? COLOURS.waad)
  return { record: { ...record, rows: finished }, arms, baseline, colourOf }
}

/** The strategy of an arm of several axes, `strategy coupled, normalize mean`. */
const strategyOf = (arm: string): string => /\bstrategy ([^,]+)/.exec(arm)?.[1] ?? ''

/** `8 seeds over 2 warm-ups`, where arms differ `5 to 8 seeds`. */
export function seedsText({ rows }: SweepRecord): string {
  const counts = armsOf(rows).map((arm) => rows.filter((row) => row.arm === arm).length)
  const [least, most] = [Math.min(...counts), Math.max(...counts)]
  const seeds = least === most ? `${least}` : `${least} to ${most}`
  const warmups = new Set(rows.flatMap(({ warmup }) => (warmup === null ? [] : [warmup]))).size
  const start = warmups > 1 ? ` over ${warmups} warm-ups` : ''
  return `${seeds} ${most === 1 ? 'seed' : 'seeds'}${start}`
}
