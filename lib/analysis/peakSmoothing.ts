import { InvalidArgument } from '../rhythm/invalidArgument'

/**
 * The paper's smoothing of learning curves, the running mean of the peak: `E_0 = x_0`, `E_t = a max(x_t, E_{t-1}) + (1 - a) E_{t-1}`. Such a curve
 * can only rise, whatever the run does: show it beside the values themselves. The paper gives no `a`; our choice is 0.5.
 */
export function runningPeakMean(values: readonly number[], a = 0.5): number[] {
  if (!(a > 0 && a <= 1)) throw new InvalidArgument(`invalid a ${a}: expected a number in (0, 1]`)
  const smooth: number[] = []
  for (const [t, x] of values.entries()) {
    const before = smooth[t - 1] ?? x
    smooth.push(a * Math.max(x, before) + (1 - a) * before)
  }
  return smooth
}
