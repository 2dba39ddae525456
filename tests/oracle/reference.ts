import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CreditOptions } from '../../lib/credit/creditOptions'
import type { TraceRhythm } from '../../lib/credit/traceRhythm'

/** The independent reference results (see tests/fixtures/reference/README.md). */
export const REFERENCE = join(__dirname, '..', 'fixtures', 'reference')

/** The names under which the reference's variants change options. */
export interface VariantOptions {
  window?: number
  horizon?: [number, number | null]
  headShare?: number
  topShare?: number
  lookback?: number
  alpha?: number
  amplification?: number
}

export interface ReferenceTrace extends TraceRhythm {
  variants?: { options: VariantOptions; expected: TraceRhythm['rl'] }[]
  logits?: { positions: number[]; values: number[][] }
}

export const TINY_MODELS = ['tiny-llama', 'tiny-qwen3'] as const
export const ALL_TRACES = [
  ...TINY_MODELS.map((name) => `${name}/expected.json`),
  'smollm2-00.json',
  'smollm2-01.json',
  'smollm2-02.json',
  'smollm2-03.json',
]

export function readReference<T = ReferenceTrace>(name: string): T {
  return JSON.parse(readFileSync(join(REFERENCE, name), 'utf8')) as T
}

/** The credit options among a variant's options. */
export function creditPart(options: VariantOptions): Partial<CreditOptions> {
  const { topShare, lookback, alpha, amplification } = options
  return Object.fromEntries(
    Object.entries({ topShare, lookback, alpha, amplification }).filter(([, value]) => value !== undefined),
  )
}

/** Largest difference of two series as a share of the expected one's largest magnitude. */
export function seriesError(actual: ArrayLike<number | null>, expected: ArrayLike<number | null>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  let scale = 0
  let worst = 0
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i]!
    const a = actual[i]!
    if (e === null || a === null) {
      if (e !== a) return Number.POSITIVE_INFINITY
      continue
    }
    scale = Math.max(scale, Math.abs(e))
    worst = Math.max(worst, Number.isNaN(a) ? Number.POSITIVE_INFINITY : Math.abs(a - e))
  }
  return worst / (scale || 1)
}
