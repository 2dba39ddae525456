/** The running cell, or the last one, as the kernel's preload (kernels/reasoning-rhythm/cells.cjs) records it. */
export interface KernelCell {
  number: number
  state: 'running' | 'ok' | 'failed'
}

interface KernelState {
  cell: KernelCell | null
  refreshTypes(folder: string): void
}

const slots = globalThis as unknown as Record<symbol, unknown>

/** Null outside a notebook. */
export function kernelState(): KernelState | null {
  return (slots[Symbol.for('reasoning-rhythm.kernel')] as KernelState | undefined) ?? null
}

/** How many interrupts this process has seen (lib/engine/cooperate.ts). */
export function interruptCount(): number {
  return (slots[Symbol.for('reasoning-rhythm.interrupts')] as { count: number } | undefined)?.count ?? 0
}
