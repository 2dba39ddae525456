import { existsSync } from 'node:fs'
import { Interrupted, pacer } from '../engine/cooperate'

/**
 * The wish that a run end after the step in progress: a stop file, a signal of the process, an AbortSignal, or an interrupt of
 * the cell.
 */
export class StopRequest {
  private wish: string | null = null
  /** Sees interrupts that come while nothing else looks for them. */
  private readonly pause = pacer()

  constructor(
    private readonly stopFile: string,
    signal?: AbortSignal,
  ) {
    if (signal?.aborted) this.request('the given AbortSignal was aborted')
    signal?.addEventListener('abort', () => this.request('the given AbortSignal was aborted'), { once: true })
  }

  request(reason: string): void {
    this.wish ??= reason
  }

  /** Why the run should end, null while it should not. Lets the event loop run now and then. */
  async asked(): Promise<string | null> {
    try {
      await this.pause()
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error
      this.request('it was interrupted')
    }
    if (existsSync(this.stopFile)) this.request(`the file ${this.stopFile} asked for it`)
    return this.wish
  }

  /** What `asked` last found. */
  get reason(): string | null {
    return this.wish
  }

  /**
   * Does a part of a step that an interrupt may break off and that can be done again from its beginning: it is, once, and the
   * run ends after the step. A second interrupt ends the run at once; it then goes on from its last checkpoint.
   */
  async finishing<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Interrupted) || this.wish !== null) throw error
      this.request('it was interrupted')
      return work()
    }
  }
}
