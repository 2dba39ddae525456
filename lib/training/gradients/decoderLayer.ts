import { tidy } from '../../engine/gradientOps'
import type { tf } from '../../engine/tensorflow'
import type { LayerWeights } from '../../model/weights'
import { type AttentionPass, attentionBackward, attentionForward, type KeptAttention } from './attention'
import { type KeptMlp, mlpBackward, mlpForward } from './gatedMlp'
import type { GradientStore } from './gradientStore'

/** What the backward pass of one decoder layer needs; the tensors are the owner's to free. */
export interface KeptLayer {
  attention: KeptAttention
  mlp: KeptMlp
}

/** The layer's output `[T, hidden]` and what its gradient needs; `input` is among that. */
export function layerForward(pass: AttentionPass, layer: LayerWeights, input: tf.Tensor): [tf.Tensor, KeptLayer] {
  return tidy(() => {
    const [middle, attention] = tidy(() => attentionForward(pass, layer, input))
    const [output, mlp] = tidy(() => mlpForward(layer, pass.config.rmsNormEps, middle))
    return [output, { attention, mlp }]
  })
}

/** Gradient with respect to the layer's input, from that of its output; adds those of its weights. */
export function layerBackward(
  pass: AttentionPass,
  layer: LayerWeights,
  kept: KeptLayer,
  dOutput: tf.Tensor,
  into: GradientStore,
): tf.Tensor {
  const dMiddle = mlpBackward(layer, pass.config.rmsNormEps, kept.mlp, dOutput, into)
  const dInput = attentionBackward(pass, layer, kept.attention, dMiddle, into)
  dMiddle.dispose()
  return dInput
}

/** All tensors of a kept layer but its input. */
export function keptTensors({ attention, mlp }: KeptLayer): tf.Tensor[] {
  const { queries, keys, values, attended, patterns, unnormed } = attention
  return [queries, keys, values, attended, ...patterns, ...(unnormed ?? []), mlp.input, mlp.gate, mlp.up]
}
