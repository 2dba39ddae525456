import type { Precision } from '../../engine/precision'
import type { ModelConfig } from '../../model/config'
import { expectedTensors } from '../../model/expectedTensors'
import { adaptedMatrices } from '../../model/lora'
import type { TrainingConfig } from '../trainingConfig'
import { inBlocks, type Part } from './parts'

export interface ParameterCounts {
  /** Of the model. */
  all: number
  /** Those that gradients and optimizer move: all, or the adapters'. */
  trained: number
  /** Numbers of the tensors that have adapters, of which the originals are kept; 0 without adapters. */
  adapted: number
  /** Of the largest tensor. */
  largest: number
  /** Memory of all weights in float32. */
  weights: Part
  /** Memory that weights take: with the copies that bfloat16 products use, or, of adapted models, with matrices in bfloat16 alone. */
  held: Part
  /** Memory of the same weights frozen. */
  frozen: Part
}

/** Numbers of the matrices that bfloat16 products use: output projections and MLPs. */
const narrowNumbers = (m: ModelConfig): number =>
  m.numHiddenLayers * m.hiddenSize * (m.numAttentionHeads * m.headDim + 3 * m.intermediateSize)

export function parameterCounts(
  model: ModelConfig,
  lora: TrainingConfig['lora'],
  precision: Precision = 'float32',
): ParameterCounts {
  const sizes = [...expectedTensors(model).values()].map((shape) => shape.reduce((product, n) => product * n, 1))
  const all = sizes.reduce((sum, n) => sum + n, 0)
  const large = sizes.reduce((sum, n) => sum + inBlocks(4 * n, 4 * n).large, 0)
  const weights = { bytes: 4 * all, large }
  const narrow = precision === 'bf16' ? narrowNumbers(model) : 0
  // Matrices of layers are rarely in large blocks: those that are not float32 any more are counted as small ones.
  const frozen = { bytes: 4 * all - 2 * narrow, large: Math.min(large, 4 * (all - narrow)) }
  const held = lora ? frozen : { bytes: 4 * all + 2 * narrow, large }
  const counts = { all, largest: Math.max(...sizes), weights, held, frozen }
  if (!lora) return { ...counts, trained: all, adapted: 0 }
  const matrices = adaptedMatrices(model, lora)
  const trained = matrices.reduce((sum, { rows, columns }) => sum + lora.rank * (rows + columns), 0)
  // Matrices in bfloat16 have their adapters beside them. Queries, keys and values are one tensor, kept whole if any of them has adapters.
  const stacked = (model.numAttentionHeads + 2 * model.numKeyValueHeads) * model.headDim * model.hiddenSize
  const tensors = new Map(
    matrices
      .filter(({ weight }) => precision === 'float32' || weight === 'queryKeyValue')
      .map((m) => [`${m.layer}.${m.weight}`, m.weight === 'queryKeyValue' ? stacked : m.rows * m.columns]),
  )
  return { ...counts, trained, adapted: [...tensors.values()].reduce((sum, n) => sum + n, 0) }
}
