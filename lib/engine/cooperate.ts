/** Thrown inside long work after an interrupt (Jupyter's stop button, Ctrl-C in the command line tool, an AbortSignal). */
export class Interrupted extends Error {
  constructor(message = 'interrupted: the computation stopped at your request') {
    super(message)
    this.name = 'Interrupted'
  }
}

/** Interrupts seen by this process. The kernel's preload counts into the same slot, before and after this module is reloaded. */
interface InterruptCounter {
  count: number
}
const slot = Symbol.for('reasoning-rhythm.interrupts')
const holder = globalThis as unknown as Record<symbol, InterruptCounter | undefined>

function counter(): InterruptCounter {
  holder[slot] ??= { count: 0 }
  return holder[slot]
}

/** Tells all work in progress in this process to stop at its next pause. */
export function interrupt(): void {
  counter().count++
}

/** How long work may hold the event loop before it lets messages, interrupts and timers through, in milliseconds. */
export const YIELD_INTERVAL = 200

/**
 * A pause for long work: call it often. It returns at once unless `YIELD_INTERVAL` has passed since it last let the event
 * loop run. Throws `Interrupted` if an interrupt arrived since the pacer was made, or if `signal` was aborted.
 */
export function pacer(signal?: AbortSignal): () => Promise<void> {
  const interruptsAtStart = counter().count
  let last = performance.now()
  const check = () => {
    if (counter().count !== interruptsAtStart) throw new Interrupted()
    if (signal?.aborted) throw new Interrupted(`interrupted: ${signal.reason ?? 'the given AbortSignal was aborted'}`)
  }
  return async () => {
    check()
    if (performance.now() - last < YIELD_INTERVAL) return
    // Two turns: ZeroMQ reads on one and answers on the next.
    await new Promise((resolve) => setTimeout(resolve, 0))
    await new Promise((resolve) => setImmediate(resolve))
    last = performance.now()
    check()
  }
}
