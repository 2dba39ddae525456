import { existsSync } from 'node:fs'
import path from 'node:path'
import { storedConfig } from '../training/runConfig'
import { RunFolder } from '../training/runFolder'
import type { SweepPlan } from './planSweep'
import { runKey } from './runKey'
import { runProgress, SweepFolder } from './sweepFolder'

/**
 * Finished runs of other sweeps that are cells of this plan, by cell name: the same configuration, threads and warm-up. Cells that have
 * a folder of their own here keep it. Throws if one of the folders holds no sweep.
 */
export async function reusableRuns(plan: SweepPlan, folders: readonly string[]): Promise<Map<string, string>> {
  const byKey = new Map<string, string>()
  const recorded = await new SweepFolder(plan.folder).read()
  for (const cell of recorded?.cells ?? []) {
    const at = path.resolve(plan.folder, cell.folder)
    if (path.dirname(at) !== path.join(plan.folder, 'cells') && isFinished(at, cell.steps)) byKey.set(cell.key, at)
  }
  for (const given of folders) {
    const sweep = await new SweepFolder(given).read()
    if (!sweep) throw new Error(`${given} holds no sweep whose runs could be used: expected a folder with sweep.json`)
    for (const { key, folder, steps } of sweep.cells) {
      const at = path.resolve(given, folder)
      if (isFinished(at, steps)) byKey.set(key, at)
    }
  }
  const reused = new Map<string, string>()
  for (const { name, key, folder, config } of plan.cells) {
    const found = byKey.get(key)
    if (!found || existsSync(folder)) continue
    // The key goes by today's defaults; what was run is written there. The warm-up is part of the key.
    const stored = await storedConfig(new RunFolder(found))
    if (stored && runKey(stored, plan.threads) === runKey({ ...config, model: stored.model }, plan.threads))
      reused.set(name, found)
  }
  return reused
}

const isFinished = (folder: string, steps: number) => runProgress({ folder, steps }).state === 'finished'
