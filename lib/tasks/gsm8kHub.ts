import { hubFile, parquetRows } from './hubFile'
import { parseProblem } from './problemLines'
import type { Problem } from './problems'

/** The dataset's name on the hub. */
export const GSM8K = 'openai/gsm8k'
export type Gsm8kSplit = 'test' | 'train'
export const gsm8kSplits: readonly Gsm8kSplit[] = ['test', 'train']

export interface Gsm8kHubOptions {
  split?: Gsm8kSplit
  /** Where the file is kept. */
  downloadsFolder: string
  endpoint?: string
  signal?: AbortSignal
}

/** GSM8K's problems from the hub's Parquet file, with the ids `gsm8k-test-1`, …; downloaded once, checked, and kept. */
export async function readGsm8kFromHub(options: Gsm8kHubOptions): Promise<Problem[]> {
  const { split = 'test', ...rest } = options
  const file = await hubFile({
    repository: GSM8K,
    inRepository: `main/${split}-00000-of-00001.parquet`,
    otherwise:
      'Give the path of a copy of GSM8K in JSONL ({"question", "answer"}) instead, or give nothing to use the project\'s own problems.',
    ...rest,
  })
  const rows = await parquetRows(file, GSM8K, ['question', 'answer'])
  return rows.map((row, i) => parseProblem(row, `${file}, row ${i + 1}`, `gsm8k-${split}-${i + 1}`))
}
