/** A value of arXiv 2510.13554 (v2 = ICML 2026). Lifts are fractions: 0.5197 = +51.97 %. */
export interface PaperValue {
  table: string
  /** Row of Table 2 that the value belongs to; null for other tables. */
  row: 1 | 2 | 3 | null
  quantity: string
  model: string
  observed: number | null
  baseline: number | null
  /** As printed. */
  lift: number | null
  /** +1 where the paper says that the lift is positive without our having its number. */
  sign: 1 | null
  note: string | null
}

/** The setting of Tables 1, 2 and 10. */
export const PAPER_SETTING = 'Qwen3-4B-Base, 70 GSM8K problems'

const BASE = 'Qwen3-4B-Base'
const LLAMA = 'Llama-3.1-8B'

const value = (given: Partial<PaperValue> & Pick<PaperValue, 'table' | 'quantity' | 'model'>): PaperValue => ({
  row: null,
  observed: null,
  baseline: null,
  lift: null,
  sign: null,
  note: null,
  ...given,
})

/** What each row of Table 2 measures. */
export const CLAIMS: Record<1 | 2 | 3, string> = {
  1: 'entropy at WAAD peaks',
  2: 'receiver-FAI peaks that are FAI peaks',
  3: 'FAI peaks at or one after a WAAD peak',
}

/** The paper's values of Tables 1, 2, 10 and 12. */
export const PAPER_VALUES: readonly PaperValue[] = [
  value({ table: '1', quantity: 'Jaccard of top-FAI positions', model: BASE, observed: 0.534 }),
  value({ table: '1', quantity: 'Jaccard of bottom-FAI positions', model: BASE, observed: 0.631 }),
  value({ table: '1', quantity: 'Pr(top < bottom)', model: BASE, observed: 0.8714 }),
  value({
    table: '2',
    row: 1,
    quantity: CLAIMS[1],
    model: BASE,
    observed: 0.3608,
    baseline: 0.2386,
    lift: 0.5197,
    note: '0.3608 / 0.2386 is +51.2 %, though +51.97 % is printed here and +51.60 % in a later table',
  }),
  value({ table: '2', row: 2, quantity: CLAIMS[2], model: BASE, observed: 0.6084, baseline: 0.2241, lift: 1.7149 }),
  value({ table: '2', row: 3, quantity: CLAIMS[3], model: BASE, observed: 0.5253, baseline: 0.3687, lift: 0.4247 }),
  ...([1, 2, 3] as const).flatMap((row) =>
    ['bottom', 'middle', 'top'].map((third) =>
      value({ table: '10', row, quantity: `${CLAIMS[row]}, ${third} third of layers`, model: BASE, sign: 1 }),
    ),
  ),
  ...[1.987, 0.282, 0.341].map((lift) =>
    value({ table: '12', quantity: 'a lift of Table 2', model: LLAMA, lift, note: 'in the order of Table 12' }),
  ),
]
