import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { readSweepRecord } from './sweepRecord'
import type { SweepRecord } from './sweepRow'

/** The sweeps that are ready in data/configs/sweeps, and what each asks. */
export const READY_SWEEPS: Readonly<Record<string, string>> = {
  strategies: 'Which credit strategy ends highest?',
  'equal-credit': 'And if all give the same amount of credit?',
  shuffled: 'Does it matter where it falls in the response?',
  'top-share': 'How many tokens should be amplified?',
  'bottom-share': 'Does it matter which tokens?',
  sign: 'Which advantages should be scaled?',
  layers: 'Which layers give the best rhythm?',
  heads: 'Which heads?',
  window: 'How far may WAAD look back?',
  horizon: 'How far ahead is an anchor read?',
  'horizon-paper': "The same at the paper's horizons",
  alpha: 'How much of its bonus should an anchor share?',
  lookback: 'How far before an anchor may its introducer lie?',
  amplification: 'How strongly should credit be amplified?',
}

/** A sweep of which a record may be kept. */
export interface RecordedSweep {
  name: string
  question: string
  /** Null where none is kept, or none of its runs is finished. */
  record: SweepRecord | null
  /** The commands that make the record, from the repository's root. */
  commands: [sweep: string, compare: string]
}

/** The ready sweeps with what `rhythm compare` kept of them in `folder`/NAME, then any others that are kept there. */
export function recordedSweeps(folder: string): RecordedSweep[] {
  const kept = existsSync(folder)
    ? readdirSync(folder).filter((name) => existsSync(join(folder, name, 'runs.json')))
    : []
  const names = [...new Set([...Object.keys(READY_SWEEPS), ...kept.sort()])]
  return names.map((name) => {
    const record = readSweepRecord(join(folder, name))
    return {
      name,
      question: READY_SWEEPS[name] ?? `${name}?`,
      record: record?.rows.some(({ state }) => state === 'finished') ? record : null,
      commands: sweepCommands(name),
    }
  })
}

/** Where a sweep runs, and what it shares with others. */
function sweepOptions(name: string): string {
  if (name === 'horizon-paper') return '--on ray --gpus 1'
  return `--warmups data/runs/warmups${name === 'strategies' ? '' : ' --reuse data/runs/strategies'}`
}

/** What makes the record of a ready sweep. */
export const sweepCommands = (name: string): RecordedSweep['commands'] => [
  `npm run -s rhythm -- sweep data/configs/sweeps/${name}.jsonc --run data/runs/${name} ${sweepOptions(name)}`,
  `npm run -s rhythm -- compare data/runs/${name} --output data/results/sweeps/${name}`,
]
