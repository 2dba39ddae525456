import type { ModelConfig } from './config'
import { expectedTensors } from './expectedTensors'

/** The matrices of a layer that can be adapted, by their names in checkpoints and in peft. */
export const LORA_TARGETS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const

export type LoraTarget = (typeof LORA_TARGETS)[number]

/** Low-rank adaptation (Hu et al., 2021): `W + alpha / rank · B A`, where W stays and A `[rank, in]` and B `[out, rank]` are trained. */
export interface LoraOptions {
  rank: number
  /** The product is multiplied by `alpha / rank`. */
  alpha: number
  /** Adapted in every layer. */
  targets: readonly LoraTarget[]
}

/** A matrix that is adapted, and where the decoder holds it. */
export interface AdaptedMatrix {
  /** As a checkpoint names its module: `model.layers.3.self_attn.q_proj`. */
  name: string
  layer: number
  /** The tensor of `LayerWeights` that holds it; queries, keys and values are stacked in one. */
  weight: 'queryKeyValue' | 'output' | 'gate' | 'up' | 'down'
  /** Its first row there. */
  firstRow: number
  rows: number
  columns: number
}

/** The matrices that `targets` name in a decoder of this shape. Throws a RangeError on a rank that no matrix could use. */
export function adaptedMatrices(config: ModelConfig, { rank, targets }: LoraOptions): AdaptedMatrix[] {
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = config
  const places = {
    q_proj: { module: 'self_attn.q_proj', weight: 'queryKeyValue', firstRow: 0 },
    k_proj: { module: 'self_attn.k_proj', weight: 'queryKeyValue', firstRow: H * D },
    v_proj: { module: 'self_attn.v_proj', weight: 'queryKeyValue', firstRow: (H + K) * D },
    o_proj: { module: 'self_attn.o_proj', weight: 'output', firstRow: 0 },
    gate_proj: { module: 'mlp.gate_proj', weight: 'gate', firstRow: 0 },
    up_proj: { module: 'mlp.up_proj', weight: 'up', firstRow: 0 },
    down_proj: { module: 'mlp.down_proj', weight: 'down', firstRow: 0 },
  } as const
  const shapes = expectedTensors(config)
  return Array.from({ length: config.numHiddenLayers }, (_, layer) => layer).flatMap((layer) =>
    LORA_TARGETS.filter((target) => targets.includes(target)).map((target) => {
      const { module, ...place } = places[target]
      const name = `model.layers.${layer}.${module}`
      const [rows, columns] = shapes.get(`${name}.weight`) as [number, number]
      if (!(Number.isInteger(rank) && rank >= 1 && rank <= Math.min(rows, columns)))
        throw new RangeError(
          `lora.rank is ${rank}; expected a whole number from 1 to ${Math.min(rows, columns)}, the smaller side of ${target} ([${rows}, ${columns}])`,
        )
      return { name, layer, ...place, rows, columns }
    }),
  )
}
