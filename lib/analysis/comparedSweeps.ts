import { PAPER_ABLATIONS, PAPER_ACCURACIES, type PaperAblation } from './paperAccuracies'
import { comparison, type PaperComparison } from './paperComparison'
import { type RecordedSweep, sweepCommands } from './recordedSweeps'
import { type ComparisonRow, comparisonTable } from './sweepTables'

const BASELINE = 'uniform'
const LAPTOP = 'Countdown of 3 numbers, 0.8M parameters'
/** The comparison of the paper that each ready sweep is, where it is one. */
const SWEEP_OF: Record<PaperAblation, string | null> = {
  ...{ strategies: 'strategies', 'top share': 'top-share', 'bottom share': 'bottom-share', sign: 'sign' },
  ...{ layers: 'layers', heads: 'heads', models: null },
}

/** Sweeps of which we have no number of the paper's. */
const WITHOUT_PAPER = [
  'equal-credit',
  'shuffled',
  'window',
  'horizon',
  'horizon-paper',
  'alpha',
  'lookback',
  'amplification',
]

/**
 * The paper's accuracies and ours as points above plain GRPO (`uniform`), whose level depends on task and model: the first benchmark of each ablation beside the
 * recorded sweep, other benchmarks and models, which no sweep of ours repeats, as `not run` under the benchmark's name; then sweeps of which we have no number of the paper's.
 */
export function comparedSweeps(sweeps: readonly RecordedSweep[]): PaperComparison[] {
  const sweepNamed = (name: string | null) => sweeps.find((sweep) => sweep.name === name)
  const withPaper = PAPER_ABLATIONS.flatMap((ablation) => ofPaper(ablation, sweepNamed(SWEEP_OF[ablation])))
  const withoutPaper = WITHOUT_PAPER.flatMap((name) => ofOurs(name, sweepNamed(name)))
  return [...withPaper, ...withoutPaper]
}

function ofPaper(ablation: PaperAblation, sweep: RecordedSweep | undefined): PaperComparison[] {
  const own = PAPER_ACCURACIES.filter((value) => value.ablation === ablation)
  const first = own[0]!
  const ours = differences(sweep)
  return own.flatMap(({ arm, benchmark, model, accuracy }) => {
    if (arm === BASELINE) return []
    const plain = own.find((v) => v.arm === BASELINE && v.benchmark === benchmark && v.model === model)!
    const isOurs = sweep !== undefined && benchmark === first.benchmark && model === first.model
    const row = isOurs ? ours.find((value) => value.arm === arm) : undefined
    return comparison({
      ...{ result: isOurs ? ablation : `${benchmark}, ${model}`, quantity: `${arm} above ${BASELINE}`, unit: 'points' },
      ...{ paper: rounded(accuracy - plain.accuracy), paperSetting: `${model}, ${benchmark}`, noEffect: 0 },
      ...ownColumns(row, LAPTOP),
      command: isOurs ? sweep.commands.join(' && ') : trainCommand(benchmark, model),
    })
  })
}

function ofOurs(name: string, sweep: RecordedSweep | undefined): PaperComparison[] {
  const rows = differences(sweep)
  const setting = name === 'horizon-paper' ? 'Countdown of 4 numbers, Qwen3-4B-Base' : LAPTOP
  const common = { result: name, unit: 'points', paper: null, paperSetting: null, noEffect: 0 } as const
  const command = (sweep?.commands ?? sweepCommands(name)).join(' && ')
  if (rows.length === 0)
    return [
      comparison({ ...common, quantity: `each value above ${BASELINE}`, ...ownColumns(undefined, setting), command }),
    ]
  return rows.map((row) =>
    comparison({ ...common, quantity: `${row.arm} above ${row.baseline}`, ...ownColumns(row, setting), command }),
  )
}

const differences = (sweep: RecordedSweep | undefined): ComparisonRow[] =>
  sweep?.record ? comparisonTable(sweep.record).filter(({ pairs }) => pairs > 0) : []

/** A comparison counts if p, corrected for all of its sweep, is below this. */
const LEVEL = 0.05

/** Shares to points. */
function ownColumns(row: ComparisonRow | undefined, setting: string) {
  const points = (share: number | null | undefined) => (share === null || share === undefined ? null : 100 * share)
  return {
    ...{ ours: points(row?.difference), low: points(row?.low), high: points(row?.high) },
    ourSetting: row ? `${setting}, ${row.pairs} pairs` : null,
    isDistinct: row?.adjustedP != null && row.adjustedP < LEVEL,
  }
}

const HUB: Readonly<Record<string, string>> = {
  'Llama-3.2-3B': 'meta-llama/Llama-3.2-3B',
  'Llama-3.1-8B': 'meta-llama/Llama-3.1-8B',
  'R1-Distill-Llama-8B': 'deepseek-ai/DeepSeek-R1-Distill-Llama-8B',
}

/** Changes to a configuration that make it the benchmark's task; its items are files that the user fetches. */
const TASKS: Readonly<Record<string, string>> = {
  'CrossThink-QA': `'task={"name": "multiple-choice", "options": {"train": "./train.jsonl", "test": "./test.jsonl"}}'`,
  ZebraLogic: `'task={"name": "logic-grid", "options": {"train": "./train.jsonl", "test": "./test.jsonl"}}'`,
}

/** The runs that a benchmark of the paper at its scale takes, one a strategy, on a GPU. */
function trainCommand(benchmark: string, model: string): string {
  const [name, context] = model.split(', ') as [string, string?]
  const task = TASKS[benchmark]
  const short = context === '1K' ? ' grpo.maxNewTokens=1024 evaluation.maxNewTokens=1024' : ''
  const config = task ? 'paper-1k' : 'paper-8k'
  const run = `data/runs/${name}-${(task ? benchmark : 'math').toLowerCase()}-$strategy`
  return (
    `for strategy in uniform random entropy local-chunk global-anchor coupled; do npm run -s rhythm -- train data/configs/${config}.jsonc --run ${run} ` +
    `--set grpo.credit.strategy=$strategy model.from=${HUB[name] ?? `Qwen/${name}`}${task ? ` ${task}` : short}; done`
  )
}

const rounded = (points: number) => Number(points.toFixed(2))
