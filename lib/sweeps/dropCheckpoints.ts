import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { pruneCheckpoints } from '../training/checkpoint'
import { RunFolder } from '../training/runFolder'

/** Removes those checkpoints of a finished run that are not kept, and the note of the best one if that is among them. */
export async function dropCheckpoints(folder: string, keep: 'last' | 'all' | 'none'): Promise<void> {
  const files = new RunFolder(folder)
  if (keep === 'all' || !existsSync(files.checkpoints)) return
  if (keep === 'last') await pruneCheckpoints(files.checkpoints, 1, [])
  else await rm(files.checkpoints, { recursive: true, force: true })
  const best = await files.readJson<{ checkpoint: string }>('best.json')
  if (best && !existsSync(path.join(folder, best.checkpoint))) await rm(path.join(folder, 'best.json'), { force: true })
}
