/** How the learning rate moves after warm-up: not at all, or down to `finalShare` of it at the last update. */
export type LearningRateSchedule = 'constant' | 'linear' | 'cosine'

export interface LearningRateOptions {
  /** Highest rate. */
  rate: number
  /** Updates of linear warm-up from 0; the first update already uses `rate / warmupUpdates`. */
  warmupUpdates: number
  schedule: LearningRateSchedule
  /** Rate of the last update as a share of `rate` (linear, cosine). */
  finalShare: number
}

/** The learning rate of update `update` (from 0) of `updates`. */
export function learningRate(options: LearningRateOptions, update: number, updates: number): number {
  const { rate, warmupUpdates, schedule, finalShare } = options
  if (update < warmupUpdates) return (rate * (update + 1)) / warmupUpdates
  if (schedule === 'constant') return rate
  const after = Math.max(1, updates - 1 - warmupUpdates)
  const progress = Math.min(1, (update - warmupUpdates) / after)
  const left = schedule === 'linear' ? 1 - progress : (1 + Math.cos(Math.PI * progress)) / 2
  return rate * (finalShare + (1 - finalShare) * left)
}
