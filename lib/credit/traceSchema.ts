import { z } from 'zod'
import { InvalidArgument } from '../rhythm/invalidArgument'
import type { TraceRhythm } from './traceRhythm'

const index = z.number().int().nonnegative()
const head = z.tuple([index, index])
const sharePeaks = z.object({ share: z.number(), prominence: z.number().nullable(), indices: z.array(index) })
const block = z.object({
  layers: z.array(index).min(1),
  window: z.number().positive(),
  horizon: z.tuple([index, index.nullable()]),
  localHeads: z.array(head).min(1),
  globalHeads: z.array(head).min(1),
  waad: z.array(z.number()),
  fai: z.array(z.number()),
  faiValid: z.array(z.boolean()),
  delta: z.array(z.number().nullable()),
  peaks: z.record(z.string(), z.object({ waad: z.array(index), fai: z.array(index) })),
  sharePeaks: z.object({ waad: sharePeaks, fai: sharePeaks }).optional(),
  credit: z.record(z.string(), z.array(z.number().nonnegative())),
  coupling: z.object({
    dominated: z.array(index),
    introducers: z.array(index),
    introducedBy: z.array(index).optional(),
  }),
})
const record = z.object({
  ids: z.array(index).min(2),
  promptLength: z.number().int().positive(),
  entropy: z.array(z.number()),
  logprob: z.array(z.number()),
  spans: z.array(z.array(z.number()).min(1)).min(1),
  analysis: block,
  rl: block,
  receiver: z.object({
    variant: z.enum(['token', 'sentence']),
    kurtosis: z.array(z.array(z.number().nullable())),
    heads: z.array(head),
    fai: z.array(z.number().nullable()),
    peaks: z.record(z.string(), z.array(index)),
    sharePeaks: sharePeaks.optional(),
  }),
})

/**
 * Checks that a value read from a trace file is a trace record: fields, types, and that every per-token array has one
 * entry for each response token. More keys may be there and are kept.
 * @param source named in the error, such as the file's path
 */
export function parseTraceRhythm(value: unknown, source = 'trace record'): TraceRhythm {
  const result = record.safeParse(value)
  if (!result.success) {
    const [issue] = result.error.issues
    throw new InvalidArgument(
      `${source}: ${path(issue!.path)}: ${issue!.message}${more(result.error.issues.length - 1)}`,
    )
  }
  const trace = result.data
  const length = trace.ids.length - trace.promptLength
  if (length < 1)
    throw new InvalidArgument(
      `${source}: promptLength ${trace.promptLength} leaves no response token of ${trace.ids.length} ids`,
    )
  const perToken: [string, ArrayLike<unknown>][] = [
    ['entropy', trace.entropy],
    ['logprob', trace.logprob],
    ['receiver.fai', trace.receiver.fai],
  ]
  const positions: [string, number[]][] = Object.entries(trace.receiver.peaks).map(([p, at]) => [
    `receiver.peaks.${p}`,
    at,
  ])
  for (const name of ['analysis', 'rl'] as const) {
    const { waad, fai, faiValid, delta, credit, coupling, peaks } = trace[name]
    for (const [field, values] of Object.entries({ waad, fai, faiValid, delta }))
      perToken.push([`${name}.${field}`, values])
    for (const [strategy, gammas] of Object.entries(credit)) perToken.push([`${name}.credit.${strategy}`, gammas])
    for (const [prominence, at] of Object.entries(peaks)) {
      positions.push([`${name}.peaks.${prominence}.waad`, at.waad], [`${name}.peaks.${prominence}.fai`, at.fai])
    }
    positions.push([`${name}.coupling.dominated`, coupling.dominated])
    positions.push([`${name}.coupling.introducers`, coupling.introducers])
  }
  for (const [name, values] of perToken)
    if (values.length !== length)
      throw new InvalidArgument(`${source}: ${name} has ${values.length} entries for ${length} response tokens`)
  for (const [name, at] of positions)
    for (const t of at)
      if (t >= length)
        throw new InvalidArgument(`${source}: ${name} names token ${t}, but the response has tokens 0-${length - 1}`)
  return value as TraceRhythm
}

function path(keys: PropertyKey[]): string {
  return keys.reduce<string>(
    (text, key) => text + (typeof key === 'number' ? `[${key}]` : text ? `.${String(key)}` : String(key)),
    '',
  )
}

function more(count: number): string {
  return count > 0 ? ` (and ${count} more)` : ''
}
