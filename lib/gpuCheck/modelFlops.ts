import type { ModelConfig } from '../model/config'

/** Numbers of the matrices that every token goes through, the head left out, and of the head. */
function matrixNumbers(model: ModelConfig): { layers: number; head: number } {
  const { hiddenSize: D, intermediateSize: F, numAttentionHeads: H, numKeyValueHeads: K, headDim } = model
  const layer = D * (H + 2 * K) * headDim + H * headDim * D + 3 * D * F
  return { layers: model.numHiddenLayers * layer, head: model.vocabSize * D }
}

/** Floating-point operations of scores and their products with values, of one token that sees `keys` positions. */
const attentionFlops = (model: ModelConfig, keys: number): number =>
  4 * model.numHiddenLayers * model.numAttentionHeads * model.headDim * keys

/**
 * Floating-point operations that the model needs to read `tokens` positions from `first` on, predicting after `predicted` of them: two for
 * each weight of a matrix, and causal attention. Nothing that an implementation does beside that, as masked scores or recomputation, counts.
 */
export function forwardFlops(model: ModelConfig, first: number, tokens: number, predicted: number): number {
  const { layers, head } = matrixNumbers(model)
  const meanKeys = first + (tokens + 1) / 2
  return 2 * layers * tokens + 2 * head * predicted + attentionFlops(model, meanKeys) * tokens
}

/** The same, there and back: gradients of all weights cost twice the way there, of activations alone (LoRA) once. */
export const gradientFlops = (forward: number, lora: boolean): number => (lora ? 2 : 3) * forward
