import { comparison, type PaperComparison } from './paperComparison'
import type { RecordedRuns } from './recordedRuns'
import type { RecordedSweep } from './recordedSweeps'
import { pairKey, type SweepRow } from './sweepRow'
import { meanOverSeeds } from './sweepTables'

type Paired = { row: { warmup: number | null }; value: number }

/** Share of a step that the attention pass and credit take, in percent, in the paper's cheapest setting. */
const PAPER_COST = { value: 2, setting: '8B, 1K (4B, 1K: 2.2 %; 4B, 8K: 3.3 %)' }

/**
 * What rhythm credit costs. The paper makes an attention pass of its own; ours rides on a pass that GRPO needs anyway, so gammas are timed alone, which the paper
 * does not, and whole runs with and without credit in pairs. Seconds of a busy machine say little: `npm run bench` measures the same in alternation.
 */
export function comparedCost(runs: RecordedRuns | null, sweeps: readonly RecordedSweep[]): PaperComparison[] {
  const strategies = sweeps.find(({ name }) => name === 'strategies')
  const shares = (runs?.runs ?? []).flatMap(({ metrics }): Paired[] => {
    const [credit, step] = ['timing_s/credit', 'timing_s/step'].map((name) => sum(metrics.grpo?.[name]))
    return credit && step ? [{ row: { warmup: null }, value: credit / step }] : []
  })
  const ratios = pairedSeconds(strategies?.record?.rows ?? [])
  const row = (
    quantity: string,
    paper: number | null,
    noEffect: 0 | null,
    values: Paired[],
    setting: string,
    command: string,
  ) => {
    const { value, low, high } = meanOverSeeds(values)
    const percent = (share: number | null) => (share === null ? null : 100 * share)
    return comparison({
      ...{ result: 'cost of credit', quantity, unit: '%', noEffect, paper, paperSetting: PAPER_COST.setting },
      ...{ ours: percent(value), low: percent(low), high: percent(high) },
      ourSetting: values.length > 0 ? setting : null,
      command,
    })
  }
  return [
    row(
      'gammas alone, of a step',
      null,
      null,
      shares,
      `0.8M parameters, ${shares.length} runs`,
      'npm run -s rhythm -- train data/configs/countdown-laptop.jsonc --run data/runs/countdown-laptop && ' +
        'npm run -s rhythm -- collect data/runs/countdown-laptop --output data/results/countdown-laptop/runs.json',
    ),
    row(
      'a run with coupled credit, above uniform',
      PAPER_COST.value,
      0,
      ratios,
      `0.8M parameters, ${ratios.length} pairs`,
      strategies?.commands.join(' && ') ?? '',
    ),
  ]
}

const sum = (values: readonly (number | null)[] | undefined) => (values ?? []).reduce<number>((a, b) => a + (b ?? 0), 0)

/** How much longer a run with coupled credit takes than its pair without, as a share. */
function pairedSeconds(rows: readonly SweepRow[]): Paired[] {
  const finished = (arm: string) => rows.filter((row) => row.arm === arm && row.state === 'finished')
  return finished('coupled').flatMap((row) => {
    const other = finished('uniform').find((own) => pairKey(own) === pairKey(row))
    return other && other.seconds > 0 ? [{ row, value: row.seconds / other.seconds - 1 }] : []
  })
}
