import { bfloat16Product, inFloat32, toBfloat16 } from '../../engine/bfloat16'
import { product, sum } from '../../engine/gradientOps'
import type { tf } from '../../engine/tensorflow'
import type { NARROW_MATRICES } from '../../model/layerProducts'
import { linear } from '../../model/linear'
import type { LayerWeights } from '../../model/weights'

type Name = (typeof NARROW_MATRICES)[number]

/** An operand of several products, rounded once if they are made in bfloat16. */
export const operand = ({ products }: LayerWeights, x: tf.Tensor): tf.Tensor => (products ? toBfloat16(x) : x)

/** `x Wᵀ` with a layer's matrix `W [out, in]`, `[rows, out]`; `x` is float32, or an `operand`. */
export function mapped(layer: LayerWeights, name: Name, x: tf.Tensor): tf.Tensor {
  const narrow = layer.products?.[name]
  return narrow ? linear(x, narrow) : product(x, layer[name], { transposeB: true })
}

/** The same for the way back: in bfloat16 where it is exactly that, since nothing is added to the product. */
export function mappedToKeep(layer: LayerWeights, name: Name, x: tf.Tensor): tf.Tensor {
  const narrow = layer.products?.[name]
  if (!narrow || narrow.adapter) return mapped(layer, name, x)
  return bfloat16Product(x, narrow.matrix, { transposeB: true, narrow: true })
}

/** `dy W`: the gradient of `x` from that of `x Wᵀ`; `dy` is float32, or an `operand`. */
export function mappedBack(layer: LayerWeights, name: Name, dy: tf.Tensor): tf.Tensor {
  const narrow = layer.products?.[name]
  if (!narrow) return product(dy, layer[name])
  const dx = bfloat16Product(dy, narrow.matrix)
  if (!narrow.adapter) return dx
  const { a, b } = narrow.adapter
  return sum(dx, product(product(inFloat32(dy), b), a))
}
