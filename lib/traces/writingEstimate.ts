/** A decoding step costs about as much as this many more tokens in it would (SmolLM2 on 2 cores; more on a GPU). */
const STEP_COST = 4.5

/**
 * How far the writing of responses has come, from the lengths of those that are finished: a response rarely uses all of
 * `maxNewTokens`. Lengths follow a Weibull distribution of shape 2 (the longer a response, the sooner it ends), fitted by maximum
 * likelihood to the finished and the unfinished, and to half of `maxNewTokens` as one length before any is known.
 */
export class WritingEstimate {
  private readonly finished: { tokens: number; ended: boolean }[] = []
  private spent = 0
  private shown = 0

  constructor(
    private readonly requests: number,
    private readonly batch: number,
    private readonly maxNewTokens: number,
  ) {}

  /** A batch is done, of responses of these lengths in tokens; `ended` is false for one that was cut off. */
  addBatch(lengths: readonly { tokens: number; ended: boolean }[]): void {
    this.finished.push(...lengths)
    const tokens = lengths.map((length) => length.tokens)
    this.spent += sum(tokens) + STEP_COST * Math.max(0, ...tokens)
  }

  /**
   * The share of the work that is done, from 0 to 1, at a step of the next batch; never less than it was.
   * @param step tokens that a response has by now which has not ended
   * @param lengths tokens of each response of the batch
   */
  share(step: number, lengths: readonly number[]): number {
    const ended = lengths.filter((tokens) => tokens < step)
    const active = lengths.length - ended.length
    const scale = this.scale([...this.finished, ...ended.map((tokens) => ({ tokens, ended: true }))], step, active)
    const rest = Math.max(0, this.requests - this.finished.length - lengths.length)
    const spent = this.spent + sum(lengths) + STEP_COST * step
    const left =
      this.cost(active, step, scale) +
      Math.floor(rest / this.batch) * this.cost(this.batch, 0, scale) +
      this.cost(rest % this.batch, 0, scale)
    this.shown = Math.max(this.shown, spent / (spent + left))
    return this.shown
  }

  /** Mean square of the lengths, of which the likeliest distribution follows. */
  private scale(finished: readonly { tokens: number; ended: boolean }[], step: number, active: number): number {
    const squares = sum(finished.map(({ tokens }) => tokens ** 2)) + active * step ** 2
    const ends = finished.filter(({ ended }) => ended).length
    return (squares + (this.maxNewTokens / 2) ** 2) / (ends + 1)
  }

  /** Expected work on `responses` that have been written for `step` tokens: their tokens, and steps until the last ends. */
  private cost(responses: number, step: number, scale: number): number {
    let cost = 0
    for (let t = step; t < this.maxNewTokens; t++) {
      const going = Math.exp((step ** 2 - t ** 2) / scale)
      if (responses * going < 1e-3) break
      cost += responses * going + STEP_COST * (1 - (1 - going) ** responses)
    }
    return cost
  }
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
