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
}

export function parameterCounts(model: ModelConfig, lora: TrainingConfig['lora']): ParameterCounts {
  const sizes = [...expectedTensors(model).values()].map((shape) => shape.reduce((product, n) => product * n, 1))
  const all = sizes.reduce((sum, n) => sum + n, 0)
  const large = sizes.reduce((sum, n) => sum + inBlocks(4 * n, 4 * n).large, 0)
  const counts = { all, largest: Math.max(...sizes), weights: { bytes: 4 * all, large } }
  if (!lora) return { ...counts, trained: all, adapted: 0 }
  const matrices = adaptedMatrices(model, lora)
  const trained = matrices.reduce((sum, { rows, columns }) => sum + lora.rank * (rows + columns), 0)
  // Queries, keys and values are one tensor, kept whole if any of them has adapters.
  const stacked = (model.numAttentionHeads + 2 * model.numKeyValueHeads) * model.headDim * model.hiddenSize
  const tensors = new Map(
    matrices.map((m) => [`${m.layer}.${m.weight}`, m.weight === 'queryKeyValue' ? stacked : m.rows * m.columns]),
  )
  return { ...counts, trained, adapted: [...tensors.values()].reduce((sum, n) => sum + n, 0) }
}
