import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { comparedCost } from './comparedCost'
import { comparedSweeps } from './comparedSweeps'
import { comparedFigures, comparedTables } from './comparedTables'
import type { PaperComparison } from './paperComparison'
import { readRecordedRuns } from './recordedRuns'
import { recordedSweeps } from './recordedSweeps'
import { readTables } from './tableFiles'

/**
 * Every result of the paper that we know of with what `folder` (data/results) has recorded of it: the tables of each model in MODEL/table2.json, the
 * sweeps in sweeps/NAME/runs.json, and training runs in countdown-laptop/runs.json. What has no record is there too, as `not run`.
 */
export function compareWithPaper(folder: string): PaperComparison[] {
  const names = existsSync(folder) ? readdirSync(folder).sort() : []
  const models = names
    .filter((name) => existsSync(join(folder, name, 'table2.json')))
    .map((name) => ({ folder: name, tables: readTables(join(folder, name)) }))
  const sweeps = recordedSweeps(join(folder, 'sweeps'))
  const runs = readRecordedRuns(join(folder, 'countdown-laptop', 'runs.json'))
  return [...comparedFigures(), ...comparedTables(models), ...comparedSweeps(sweeps), ...comparedCost(runs, sweeps)]
}
