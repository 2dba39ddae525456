import type { Precision } from '../../engine/precision'
import type { ModelConfig } from '../../model/config'
import { type ActivationShape, activationBytes } from '../gradients/activationBytes'
import type { BlockSizes } from '../gradients/blockSizes'
import { sequenceGroups } from '../gradients/trainingBatch'
import { byLength } from '../scoreResponses'
import type { ParameterCounts } from './parameterCounts'
import { inBlocks, most, type Part, type Parts, together } from './parts'
import type { SequenceLength } from './plannedLengths'

/** How gradients are computed. */
export interface GradientWork {
  microBatch: number
  sizes: BlockSizes
  recompute: boolean
  lora: boolean
  precision?: Precision
}

/**
 * Gradients and activations of one update at its most demanding moment. From the second micro-batch on the gradients of all weights are there
 * when activations are most; in the first they come as activations go.
 */
export function gradientParts(
  model: ModelConfig,
  counts: ParameterCounts,
  sequences: readonly SequenceLength[],
  work: GradientWork,
): Parts {
  const microBatches = byLength(
    sequences.map(({ prompt, response }) => prompt + response),
    work.microBatch,
  ).map((part) => part.map((i) => sequences[i]!))
  const all: Part = work.lora ? { bytes: 4 * counts.trained, large: 0 } : counts.weights
  // A layer's gradients are there together before they are added to what there is of earlier micro-batches.
  const layer = (all.bytes - (work.lora ? 0 : 4 * model.vocabSize * model.hiddenSize)) / model.numHiddenLayers
  // The head comes first on the way back.
  const head = Math.min(all.bytes, 4 * model.vocabSize * model.hiddenSize)
  const [first, second] = microBatches.slice(0, 2).map((part) => activationParts(model, part, work))
  if (second)
    return most([
      { gradients: inBlocks(head, head), ...first!.parts },
      { gradients: all, ...second.parts, working: together(second.parts.working!, inBlocks(layer, 0)) },
    ])
  const { parts, groups } = first!
  const left = (groups - 1) / groups
  const { bytes, large } = parts.activations!
  return most([
    { gradients: inBlocks(head, head), ...parts },
    { gradients: all, ...parts, activations: { bytes: left * bytes, large: left * large } },
  ])
}

function activationParts(
  model: ModelConfig,
  sequences: readonly SequenceLength[],
  { sizes, recompute, lora, precision = 'float32' }: GradientWork,
): { parts: Parts; groups: number } {
  const groups: ActivationShape[] = sequenceGroups(
    {
      sequences: sequences.map(({ prompt, response }) => new Uint8Array(prompt + response)),
      promptLengths: sequences.map(({ prompt }) => prompt),
    },
    sizes.groupTokens,
  ).map(({ B, N, predictions }) => ({ sequences: B, length: N, predicted: predictions.rows.length }))
  const { kept, working } = activationBytes(model, groups, sizes, recompute, precision, lora)
  const predicted = groups.reduce((sum, group) => sum + group.predicted, 0)
  const widest = 4 * model.intermediateSize * Math.max(...groups.map(({ sequences, length }) => sequences * length))
  const logits = 4 * predicted * model.vocabSize
  const chunk = Math.min(logits, 4 * sizes.logitNumbers)
  const keptLogits = predicted * model.vocabSize <= sizes.keptLogitNumbers ? inBlocks(logits, chunk).large : 0
  const activations = Math.max(inBlocks(kept, widest).large, keptLogits)
  return {
    parts: { activations: { bytes: kept, large: activations }, working: inBlocks(working, Math.max(widest, chunk)) },
    groups: groups.length,
  }
}
