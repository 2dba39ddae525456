import type { ModelConfig } from './config'

/**
 * A checkpoint on disk, whatever its format, seen as named float32 arrays in the Hugging Face layout:
 * names such as `model.layers.0.self_attn.q_proj.weight`, matrices `[out, in]`, row-major.
 */
export interface WeightSource {
  /** Where it came from, for messages. */
  readonly path: string
  readonly config: ModelConfig
  names(): string[]
  /** Throws if there is no such tensor. */
  shape(name: string): number[]
  /** Reads one tensor, converted to float32. Throws on unreadable bytes or NaN/Infinity. */
  read(name: string): Promise<Float32Array>
  close(): Promise<void>
}
