import type { LiftRow } from './liftRow'
import { comparison, type PaperComparison } from './paperComparison'
import { CLAIMS, PAPER_SETTING, PAPER_VALUES } from './paperValues'
import type { RecordedTables } from './tableFiles'

/** The tables of a model that `rhythm analyze` wrote, and the name of their folder. */
export interface ModelTables {
  folder: string
  tables: RecordedTables
}

const LLAMA_SETTING = 'Llama-3.1-8B'
const LLAMA_MODEL = 'llama-3.1-8b'
const LAPTOP_MODEL = 'smollm2-135m-instruct'
const rhythm = (command: string) => `npm run -s rhythm -- ${command}`

/** Traces, their control, Table 1's roll-outs and all tables of a model. */
function analysisCommand(name = LAPTOP_MODEL): string {
  const [set, control] = [`data/traces/${name}`, `data/traces/${name}-permuted`]
  return [
    rhythm(`traces --model ${name === LLAMA_MODEL ? 'meta-llama/Llama-3.1-8B' : name} --limit 80 --output ${set}`),
    rhythm(`traces --control permuted --base ${set} --output ${control}`),
    rhythm(`perturb ${set} --limit 72`),
    rhythm(
      `analyze ${set} --control ${control} --rollouts ${set}/perturbation.jsonl --heads both --output data/results/${name} ` +
        '--formats json,csv --digits 5 --leave-out peakOverlapByTrace',
    ),
  ].join(' && ')
}

/** Figures without numbers of their own: what draws ours. */
export function comparedFigures(): PaperComparison[] {
  const drawn = (result: string, quantity: string): PaperComparison => ({
    ...{ result, quantity, unit: '%', paper: null, paperSign: null, paperSetting: 'Qwen3-4B-Base' },
    ...{ ours: null, low: null, high: null, ourSetting: 'drawn in notebook 01, SmolLM2-135M-Instruct' },
    verdict: 'no number',
    command: 'npm run reproduce -- --notebook 01',
  })
  return [
    drawn('Fig. 2 left', 'sawtooth of the local heads, stripes of the global heads'),
    drawn('Fig. 2 right', 'receiver FAI, global FAI, WAAD and entropy of each token'),
    drawn('Fig. 9', 'the text coloured by FAI and WAAD'),
  ]
}

/** Tables 1, 2, 10 and 20 of each model, Table 12 of Llama models. Rows without a record are `not run`. */
export function comparedTables(models: readonly ModelTables[]): PaperComparison[] {
  const llamas = models.filter(({ folder }) => /llama/i.test(folder))
  const orNone = (of: readonly ModelTables[]) => (of.length > 0 ? of : [null])
  return [
    ...orNone(models).flatMap(table1),
    ...orNone(models).flatMap((model) => lifts('Table 2', model)),
    ...orNone(models).flatMap(table10),
    ...orNone(llamas).flatMap((model) => lifts('Table 12', model)),
    ...orNone(models).flatMap(table20),
  ]
}

function table1(model: ModelTables | null): PaperComparison[] {
  const set = model?.tables.summary[0]?.set ?? LAPTOP_MODEL
  const rows = model?.tables.perturbation ?? []
  const paper = (quantity: string) => PAPER_VALUES.find((v) => v.table === '1' && v.quantity === quantity)!.observed!
  const [top, bottom, probability] = [
    'Jaccard of top-FAI positions',
    'Jaccard of bottom-FAI positions',
    'Pr(top < bottom)',
  ]
  const compared = [
    { quantity: top!, unit: 'similarity' as const, scale: 1, value: paper(top!), noEffect: null },
    { quantity: bottom!, unit: 'similarity' as const, scale: 1, value: paper(bottom!), noEffect: null },
    {
      quantity: 'bottom less top',
      unit: 'similarity' as const,
      scale: 1,
      value: paper(bottom!) - paper(top!),
      noEffect: 0,
    },
    { quantity: probability!, unit: '%' as const, scale: 100, value: paper(probability!), noEffect: 50 },
  ]
  return compared.map(({ quantity, unit, scale, value, noEffect }) => {
    const row = rows.find((own) => own.quantity === quantity)
    return comparison({
      ...{
        result: 'Table 1',
        quantity,
        unit,
        noEffect,
        paper: Number((scale * value).toPrecision(4)),
        paperSetting: PAPER_SETTING,
      },
      ...scaled(row, scale, ['value', 'low', 'high']),
      ourSetting: row ? `${set}, ${row.problems} problems` : null,
      command: analysisCommand(model?.folder),
    })
  })
}

/** Table 2 in each peak mode; Table 12 has its values in an order that we do not know, so they count as positive. */
function lifts(result: 'Table 2' | 'Table 12', model: ModelTables | null): PaperComparison[] {
  const all = model?.tables.table2 ?? []
  const own = all.filter(({ heads }) => heads === all[0]!.heads)
  const rows = own.length > 0 ? own : ([1, 2, 3] as const).map((row) => ({ row, claim: CLAIMS[row] }))
  return rows.map((row) => {
    const known = 'lift' in row ? row : null
    const paper = result === 'Table 2' ? PAPER_VALUES.find((v) => v.table === '2' && v.row === row.row)!.lift! : null
    return comparison({
      ...{ result, quantity: quantityOf(row, known?.peakMode), unit: '%', noEffect: 0 },
      ...(paper === null ? { paper, paperSign: 1 } : { paper: Number((100 * paper).toPrecision(5)) }),
      paperSetting: result === 'Table 2' ? PAPER_SETTING : LLAMA_SETTING,
      ...scaled(known, 100, ['lift', 'liftLow', 'liftHigh']),
      ourSetting: known && tracesText(known),
      command: analysisCommand(model?.folder ?? (result === 'Table 2' ? LAPTOP_MODEL : LLAMA_MODEL)),
    })
  })
}

/** Table 10 in the first peak mode. */
function table10(model: ModelTables | null): PaperComparison[] {
  const all = model?.tables.layerThirds ?? []
  const own = all.filter(({ peakMode }) => peakMode === all[0]!.peakMode)
  const thirds = ['bottom', 'middle', 'top']
  const rows =
    own.length > 0
      ? own
      : thirds.flatMap((third) => ([1, 2, 3] as const).map((row) => ({ row, claim: CLAIMS[row], third })))
  return rows.map((row) => {
    const known = 'lift' in row ? row : null
    return comparison({
      ...{ result: 'Table 10', quantity: `${quantityOf(row)}, ${row.third} third`, unit: '%', noEffect: 0 },
      ...{ paper: null, paperSign: 1, paperSetting: PAPER_SETTING },
      ...scaled(known, 100, ['lift', 'liftLow', 'liftHigh']),
      ourSetting: known && tracesText(known),
      command: analysisCommand(model?.folder),
    })
  })
}

const PAIRS = [
  ['WAAD', 'entropy'],
  ['FAI', 'WAAD'],
  ['receiver FAI', 'FAI'],
] as const

/** Table 20, whose numbers our restatement of the paper does not have: how much more peaks coincide than at random. */
function table20(model: ModelTables | null): PaperComparison[] {
  const all = model?.tables.peakOverlap ?? []
  return PAIRS.map(([first, second]) => {
    const row = all.find((own) => own.first === first && own.second === second)
    return comparison({
      ...{ result: 'Table 20', quantity: `${first} peaks on ${second} peaks, above chance`, unit: '%', noEffect: 0 },
      ...{ paper: null, paperSetting: PAPER_SETTING },
      ...scaled(row, 100, ['lift', 'liftLow', 'liftHigh']),
      ourSetting: row ? tracesText(row) : null,
      command: analysisCommand(model?.folder),
    })
  })
}

const quantityOf = ({ claim, alignment }: { claim: string; alignment?: string | null }, peakMode?: string) =>
  `${claim}${alignment === 'next token' ? ' (next token)' : ''}${peakMode ? `, ${peakMode.startsWith('share') ? "paper's peak shares" : peakMode}` : ''}`

const tracesText = ({ set, traces }: Pick<LiftRow, 'set' | 'traces'>) => `${set}, ${traces} traces`

/** Value and interval of a row in the comparison's unit; null where there is no row. */
function scaled<Name extends string>(
  row: { [K in Name]: number | null } | null | undefined,
  scale: number,
  [value, low, high]: readonly [Name, Name, Name],
) {
  const of = (name: Name) => (row && row[name] !== null ? scale * row[name] : null)
  return { ours: of(value), low: of(low), high: of(high) }
}
