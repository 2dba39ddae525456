import { type HeadGroupRow, headGroupChange } from './headGroupChange'
import { type ChangeRow, type MeasuredRun, type RhythmChangeOptions, rhythmChange } from './rhythmChange'

/** What the checkpoint after training read: responses of its own, or those that the one before wrote. */
export type Reading = 'own responses' | 'same responses'

/** The runs' traces, by what the checkpoint after reads; the traces before are the same. */
export interface ReadRuns {
  own: MeasuredRun[]
  same: MeasuredRun[]
}

export interface ChangeTables {
  change: (ChangeRow & { reading: Reading })[]
  headGroups: (HeadGroupRow & { reading: Reading })[]
}

/** Quantities that depend on what is written, not on how it is read. */
const OF_THE_TEXT = ['response length', 'responses that are right', 'responses cut short']

/** Both tables for both readings. `own responses`: all that training changes; `same responses`: what the weights change in the reading of one text. */
export async function changeTables(runs: ReadRuns, options: RhythmChangeOptions): Promise<ChangeTables> {
  const tables: ChangeTables = { change: [], headGroups: [] }
  for (const [reading, measured] of [['own responses', runs.own] as const, ['same responses', runs.same] as const]) {
    const rows = await rhythmChange(measured, options)
    for (const row of rows)
      if (reading === 'own responses' || !OF_THE_TEXT.includes(row.quantity)) tables.change.push({ reading, ...row })
    for (const row of headGroupChange(measured)) tables.headGroups.push({ reading, ...row })
  }
  return tables
}
