import { type RandomStream, randomStream } from '../random/randomStream'

/**
 * The random streams of a run. Each is named by purpose and step, so that a resumed run needs no generator's position: any
 * step draws the same numbers whatever came before it.
 */
export const purposes = {
  order: 1,
  rollout: 2,
  updates: 3,
  credit: 4,
  buckets: 5,
  demonstrations: 6,
  evaluation: 7,
  lora: 8,
  rounding: 9,
}

export type Purpose = keyof typeof purposes

/** The stream of a purpose, step and further keys. */
export const runStream = (seed: number, purpose: Purpose, ...keys: number[]): RandomStream =>
  randomStream(seed, purposes[purpose], ...keys)

/** A seed for functions that take one. */
export const runSeed = (seed: number, purpose: Purpose, ...keys: number[]): number =>
  runStream(seed, purpose, ...keys).below(2 ** 31)

/** Items in an order that is new in each epoch: item of position `p` = 0, 1, …, without end. */
export class ItemOrder {
  private epoch = -1
  private order: number[] = []

  constructor(
    private readonly seed: number,
    private readonly count: number,
  ) {
    if (count < 1) throw new Error('the task has no training items')
  }

  at(position: number): number {
    const epoch = Math.floor(position / this.count)
    if (epoch !== this.epoch) {
      this.order = runStream(this.seed, 'order', epoch).permutation(this.count)
      this.epoch = epoch
    }
    return this.order[position % this.count]!
  }
}
