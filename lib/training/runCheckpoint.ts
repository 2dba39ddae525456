import path from 'node:path'
import { checkpointFolder, checkpointSteps } from './checkpoint'
import { RunFolder } from './runFolder'

/**
 * The folder of a run's checkpoint, below `run` as it was given: `best` (the newest where no evaluation chose one; the default), `last`, or by
 * name, `step-2400`. Throws, naming those that there are.
 */
export async function runCheckpoint(run: string, name = 'best'): Promise<string> {
  const folder = new RunFolder(run)
  const steps = await checkpointSteps(folder.checkpoints)
  if (steps.length === 0) throw new Error(`${run} has no checkpoint yet`)
  const at = (step: number) => checkpointFolder(path.join(run, 'checkpoints'), step)
  const best = name === 'best' ? await folder.readJson<{ step: number }>('best.json') : null
  const found =
    name === 'best' || name === 'last' ? (best?.step ?? steps.at(-1)) : steps.find((s) => name === `step-${s}`)
  if (found === undefined)
    throw new Error(
      `${run} has no checkpoint ${name}: it has ${steps.map((s) => `step-${s}`).join(', ')}, or best, last`,
    )
  return at(found)
}
