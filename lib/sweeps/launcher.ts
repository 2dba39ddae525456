/** What one process of a sweep needs. A job that needs more than a launcher has fails with a message that says so. */
export interface JobResources {
  /** Cores that the job is counted as. */
  cpus: number
  gpus: number
  /** Threads that TensorFlow may use; set in the job's environment by whoever plans the sweep. */
  threads: number
}

/** One process that a sweep wants started. */
export interface LaunchedJob {
  /**
   * Unique among all sweeps, of letters, digits, `_` and `-`; a later attempt at the same cell has another one. A launcher that already
   * has a job of this id is asked by a sweep that was killed while it submitted: it is that job.
   */
  id: string
  /** Program and arguments, with absolute paths that are the same on every machine that may run it. */
  command: string[]
  workingDirectory: string
  /** Added to the environment that the process would have anyway. */
  environment: Record<string, string>
  resources: JobResources
  /** Where the process's output goes, where the launcher can choose it. */
  logFile: string
  /** Creating this file asks the running process to end after its step; before it has begun to train, it does not see it. */
  stopFile: string
}

/** `lost`: the launcher no longer knows the job; its run folder says how far it came. */
export type JobState = 'waiting' | 'running' | 'succeeded' | 'failed' | 'stopped' | 'lost'

export interface JobStatus {
  state: JobState
  /** Why, for people, where the launcher knows more than the state. */
  message?: string
  exitCode?: number | null
}

/** Thrown by a launcher that cannot be asked now (its server does not answer): the sweep says so, and asks again later. */
export class LauncherUnavailable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'LauncherUnavailable'
  }
}

/**
 * Where the runs of a sweep happen. The truth about a run is its folder; a launcher only starts, watches and ends processes.
 * Each method may throw LauncherUnavailable. What else `submit` throws says why this job cannot be started: its cell has failed.
 */
export interface Launcher {
  readonly name: string
  /** How many jobs may be submitted at once. */
  readonly slots: number
  /** Starts a job. Resolves to the id by which it is known from now on, also to a later sweep command where the launcher outlives one. */
  submit(job: LaunchedJob): Promise<string>
  status(id: string): Promise<JobStatus>
  /** The newest lines of the job's output. */
  logs(id: string): Promise<string>
  /**
   * Asks a job to end, after the step in progress where possible (by its stop file where signals are followed by a kill); a second
   * call: at once. Returns before it has ended.
   */
  stop(id: string): Promise<void>
  /** Lets go of what the launcher itself holds. Jobs of launchers that outlive the sweep command go on. */
  close(): Promise<void>
}
