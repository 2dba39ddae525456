import { tidy } from '../../engine/gradientOps'
import { inOneCallWith } from '../../engine/oneCall'
import { tf } from '../../engine/tensorflow'
import { computingTensors, type LayerWeights, layerTensors } from '../../model/weights'
import { type AttentionPass, attentionBackward, attentionForward, type KeptAttention } from './attention'
import { type KeptMlp, mlpBackward, mlpForward } from './gatedMlp'
import type { GradientPart, GradientSink, GradientStore } from './gradientStore'

/** What the backward pass of one decoder layer needs; the tensors are the owner's to free. */
export interface KeptLayer {
  attention: KeptAttention
  mlp: KeptMlp
}

/** The layer's output `[T, hidden]` and what its gradient needs; `input` is among that. Call it within a `tidy`, which owns all but `input`. */
export function layerForward(pass: AttentionPass, layer: LayerWeights, input: tf.Tensor): [tf.Tensor, KeptLayer] {
  const { tensors, layout } = given(pass, layer)
  const [[output, ...kept], patterns] = inOneCallWith(`layerForward ${layout}`, [input, ...tensors], () => {
    const [output, kept] = tidy(() => {
      const [middle, attention] = tidy(() => attentionForward(pass, layer, input))
      const [output, mlp] = tidy(() => mlpForward(layer, pass.config.rmsNormEps, middle))
      return [output, { attention, mlp }] as [tf.Tensor, KeptLayer]
    })
    return [[output, ...keptTensors(kept)], kept.attention.patterns.length]
  })
  return [output!, keptLayer(input, kept, patterns)]
}

/** Gradient with respect to the layer's input, from that of its output; adds those of its weights. Call it within a `tidy`. */
export function layerBackward(
  pass: AttentionPass,
  layer: LayerWeights,
  kept: KeptLayer,
  dOutput: tf.Tensor,
  into: GradientStore,
): tf.Tensor {
  const { tensors, layout } = given(pass, layer)
  const beside = into.beside(layerTensors(layer).map(([, tensor]) => tensor))
  const inputs = [dOutput, kept.attention.input, ...keptTensors(kept), ...tensors, ...beside.tensors]
  const key = `layerBackward ${kept.attention.patterns.length} ${layout} ${beside.layout}`
  const [[dInput, ...parts], trained] = inOneCallWith(key, inputs, () => {
    const { sink, found } = collector(into)
    try {
      const dMiddle = mlpBackward(layer, pass.config.rmsNormEps, kept.mlp, dOutput, sink)
      const dInput = attentionBackward(pass, layer, kept.attention, dMiddle, sink)
      dMiddle.dispose()
      return [[dInput, ...found.map(({ part }) => part)], found.map(({ trained }) => inputs.indexOf(trained))]
    } catch (error) {
      tf.dispose(found.map(({ part }) => part))
      throw error
    }
  })
  for (const [i, at] of trained.entries()) into.accept({ trained: inputs[at]!, part: parts[i]! })
  return dInput!
}

/** A sink that collects what a store would add, kept from every `tidy`. */
function collector(into: GradientStore): { sink: GradientSink; found: GradientPart[] } {
  const found: GradientPart[] = []
  const collect = (parts: GradientPart[]) => {
    for (const { part } of parts) tf.keep(part)
    found.push(...parts)
  }
  const sink: GradientSink = {
    add: (...given) => collect(into.parts(...given)),
    addLinear: (...given) => collect(into.linearParts(...given)),
  }
  return { sink, found }
}

/** What a layer of a pass reads beside its input, and a line for all that decides the shapes of its ops. */
function given(pass: AttentionPass, layer: LayerWeights): { tensors: tf.Tensor[]; layout: string } {
  const { config, B, N, rows, keepPatterns, turns, interleaving, mask } = pass
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D, hiddenSize, rmsNormEps } = config
  const { tensors, shapes } = computingTensors([layer])
  return {
    tensors: [...Object.values(turns), ...Object.values(interleaving), mask, ...tensors],
    layout: `${[B, N, rows, keepPatterns, H, K, D, hiddenSize, rmsNormEps]} ${shapes}`,
  }
}

/** All tensors of a kept layer but its input. */
export function keptTensors({ attention, mlp }: KeptLayer): tf.Tensor[] {
  const { queries, keys, values, attended, patterns, unnormed } = attention
  return [queries, keys, values, attended, mlp.input, mlp.gate, mlp.up, ...patterns, ...(unnormed ?? [])]
}

/** The layer that `keptTensors` took apart, of which so many are patterns. */
function keptLayer(input: tf.Tensor, tensors: readonly tf.Tensor[], patternCount: number): KeptLayer {
  const [queries, keys, values, attended, middle, gate, up, ...rest] = tensors
  const [patterns, unnormed] = [rest.slice(0, patternCount), rest.slice(patternCount)]
  return {
    attention: {
      ...{ input, queries: queries!, keys: keys!, values: values!, attended: attended!, patterns },
      unnormed: unnormed.length > 0 ? (unnormed as [tf.Tensor, tf.Tensor]) : null,
    },
    mlp: { input: middle!, gate: gate!, up: up! },
  }
}
