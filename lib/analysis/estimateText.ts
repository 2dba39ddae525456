/** A share as percent with its interval: `12.3 % [10.1, 14.2]`; `undefined` where it has no value, no brackets without an interval. */
export function shareText(value: number | null, low: number | null = null, high: number | null = null): string {
  return text(value, low, high, (share) => (100 * share).toFixed(1))
}

/** A lift as percent with its sign and interval: `+20.6 % [17.0, 24.1]`. */
export function liftText(lift: number | null, low: number | null = null, high: number | null = null): string {
  return text(lift, low, high, (share) => `${share < 0 ? '-' : '+'}${Math.abs(100 * share).toFixed(1)}`)
}

function text(value: number | null, low: number | null, high: number | null, shown: (share: number) => string): string {
  if (value === null) return 'undefined'
  const interval =
    low === null || high === null ? '' : ` [${[low, high].map((end) => (100 * end).toFixed(1)).join(', ')}]`
  return `${shown(value)} %${interval}`
}
