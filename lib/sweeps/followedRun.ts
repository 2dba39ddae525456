import type { JobStatus } from './launcher'
import type { PlannedRun } from './planSweep'
import type { JobRecord, RunProgress } from './sweepFolder'
import type { RunViewState } from './sweepView'

/** One run as a sweep follows it. */
export interface FollowedRun {
  run: PlannedRun
  state: RunViewState
  /** Why it failed, or what it waits for. */
  message: string | null
  /** Its last job. */
  job: JobRecord | null
  /** Step at which its process began. */
  beganAt: number
  /** How many processes in a row ended without having got further. */
  fruitless: number
  /** It is a run of another sweep. */
  reused: boolean
}

/** What has become of a run whose process has ended. `printed`: why is what it printed last. */
export type Verdict =
  | { state: 'done' }
  | { state: 'stopped'; message: string | null }
  | { state: 'failed'; message: string }
  | { state: 'printed' }
  | { state: 'again'; how: string; fruitless: number }

/** Times that a run may be killed without having made a step since, before it counts as failed. */
const FRUITLESS_ATTEMPTS = 3

/** Judges by the run's folder first, then by how its process ended. `stopping`: it was asked to end. */
export function verdict(
  { job, beganAt, fruitless: before }: FollowedRun,
  progress: RunProgress,
  status: JobStatus,
  stopping: boolean,
): Verdict {
  if (progress.state === 'finished') return { state: 'done' }
  // What the folder says may be of an earlier process.
  const own = progress.changedAt !== job?.changedBefore
  if (own && progress.state === 'failed') return { state: 'failed', message: progress.error ?? 'it did not say why' }
  if (stopping) return { state: 'stopped', message: null }
  if (own && progress.state === 'stopped')
    return { state: 'stopped', message: 'was stopped by others; the next sweep goes on with it' }
  // A shell's 128 + n is signal n.
  if (typeof status.exitCode === 'number' && status.exitCode <= 128) return { state: 'printed' }
  // One that its cluster lost before it began says nothing about the run.
  const fruitless = progress.step > beganAt ? 0 : status.state === 'lost' && !own ? before : before + 1
  const how = status.message ?? status.state
  return fruitless < FRUITLESS_ATTEMPTS
    ? { state: 'again', how, fruitless }
    : {
        state: 'failed',
        message: `${how}, ${fruitless} times at step ${progress.step}: is there memory enough, and are checkpoints close enough (checkpoints.every)?`,
      }
}
