import { inFloat32 } from '../../engine/bfloat16'
import { sum } from '../../engine/gradientOps'
import { add, multiply, silu as siluOf, subtract, timesSigmoid } from '../../engine/ops'
import { tf } from '../../engine/tensorflow'
import type { LayerWeights } from '../../model/weights'
import type { GradientSink } from './gradientStore'
import { mapped, mappedBack, mappedToKeep, operand } from './layerProduct'
import { norm, normGradient } from './normGradient'

/**
 * What the backward pass of the MLP needs: its input `[rows, hidden]`, gate and up before activation `[rows, intermediate]`, these in bfloat16
 * where products without adapters have rounded them so anyway.
 */
export interface KeptMlp {
  input: tf.Tensor
  gate: tf.Tensor
  up: tf.Tensor
}

/** `x + down(silu(gate(norm x)) · up(norm x))` and what its gradient needs. */
export function mlpForward(layer: LayerWeights, epsilon: number, input: tf.Tensor): [tf.Tensor, KeptMlp] {
  const normed = operand(layer, norm(input, layer.postAttentionNorm, epsilon).normed)
  const gate = mappedToKeep(layer, 'gate', normed)
  const up = mappedToKeep(layer, 'up', normed)
  const activated = tf.tidy(() => {
    const wide = inFloat32(gate)
    return operand(layer, timesSigmoid(multiply(wide, inFloat32(up)), wide))
  })
  return [add(input, mapped(layer, 'down', activated)), { input, gate, up }]
}

/** Gradient with respect to the MLP's input, from that of its output; adds those of its weights. */
export function mlpBackward(
  layer: LayerWeights,
  epsilon: number,
  kept: KeptMlp,
  dOutput: tf.Tensor,
  into: GradientSink,
): tf.Tensor {
  const { input } = kept
  return tf.tidy(() => {
    const [dGate, dUp] = tf.tidy(() => {
      const [gate, up] = [inFloat32(kept.gate), inFloat32(kept.up)]
      const silu = siluOf(gate)
      const dy = operand(layer, dOutput)
      tf.tidy(() => into.addLinear(layer.down, dy, operand(layer, multiply(silu, up))))
      const dActivated = mappedBack(layer, 'down', dy)
      const dGate = tf.tidy(() => {
        const dSilu = multiply(dActivated, up)
        // silu' = sigmoid · (1 + gate - silu), so dSilu · silu' = crossed + sigmoid · (dSilu - crossed) with:
        const crossed = multiply(dSilu, silu)
        return operand(layer, add(crossed, timesSigmoid(subtract(dSilu, crossed), gate)))
      })
      return [dGate, operand(layer, multiply(dActivated, silu))]
    }) as [tf.Tensor, tf.Tensor]
    const { normed, inverse } = norm(input, layer.postAttentionNorm, epsilon)
    const x = operand(layer, normed)
    into.addLinear(layer.gate, dGate, x)
    into.addLinear(layer.up, dUp, x)
    const dNormed = sum(mappedBack(layer, 'gate', dGate), mappedBack(layer, 'up', dUp))
    const { dx, dWeight } = normGradient(input, inverse, layer.postAttentionNorm, dNormed, dOutput)
    into.add(layer.postAttentionNorm, dWeight)
    return dx
  })
}
