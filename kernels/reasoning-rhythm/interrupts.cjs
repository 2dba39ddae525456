'use strict'

// lib/engine/cooperate.ts compares this counter before and after each pause, and stops when it moved.
const slot = Symbol.for('reasoning-rhythm.interrupts')

function countInterrupt() {
  globalThis[slot] ??= { count: 0 }
  globalThis[slot].count++
}

function countInterrupts() {
  globalThis[slot] ??= { count: 0 }
  process.on('SIGINT', countInterrupt)
}

/**
 * Interrupting synchronous code ends it without running its `finally` blocks, so TensorFlow's scopes and gradient tapes
 * stay open: everything computed later would be kept for ever. Returns what closes those opened since.
 */
function guardTensorScopes() {
  const before = globalThis._tfengine?.state
  const scopes = before?.scopeStack.length ?? 0
  const depth = { gradientDepth: before?.gradientDepth ?? 0, kernelDepth: before?.kernelDepth ?? 0 }
  return () => {
    const engine = globalThis._tfengine
    if (!engine) return
    while (engine.state.scopeStack.length > scopes) engine.endScope()
    Object.assign(engine.state, depth)
    if (depth.gradientDepth === 0) engine.state.activeTape = null
  }
}

module.exports = { countInterrupt, countInterrupts, guardTensorScopes }
