import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { isLockHeld, lockForProcess } from '../model/processLock'

const holderFile = (folder: string) => path.join(folder, 'run.lock')

/**
 * Takes a run folder for this process (see `lockForProcess`), which makes the folder; resolves to a function that lets it go.
 * Throws if another process holds it, naming that process.
 */
export async function lockRun(folder: string): Promise<() => Promise<void>> {
  mkdirSync(folder, { recursive: true })
  const advice = 'stop that run, wait for it, or choose another folder'
  return lockForProcess(folder, { purpose: 'run', holderFile: holderFile(folder), advice })
}

/** Whether a process trains in the folder now. */
export const isLocked = (folder: string): boolean => isLockHeld(holderFile(folder))
