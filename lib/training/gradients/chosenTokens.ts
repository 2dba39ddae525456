import { bfloat16Product, toBfloat16 } from '../../engine/bfloat16'
import { crossEntropy, product, sumByRow, tidy } from '../../engine/gradientOps'
import { add, concat, indexTensor, multiply, scalar, sumOver, take } from '../../engine/ops'
import { Scope } from '../../engine/scope'
import { execute, tf } from '../../engine/tensorflow'
import type { Decoder } from '../../model/decoder'
import type { GradientStore } from './gradientStore'
import { norm, normGradient } from './normGradient'

/** Rows of states that predict a response token, and the tokens. */
export interface Predictions {
  /** Row of each in the states `[T, hidden]`. */
  rows: Int32Array
  chosen: Int32Array
}

/** What the backward pass of the head needs. */
export interface KeptHead {
  /** States after the last layer of the rows that predict, `[R, hidden]`. */
  states: tf.Tensor
  /** Of each chunk of rows, the gradient of minus the log-probability with respect to the logits; empty if it is computed again. */
  slopes: tf.Tensor[]
  entropy: Float32Array
}

/** How the head is applied. */
export interface HeadOptions {
  temperature: number
  /** Whether the gradients with respect to the logits are kept from the forward pass. */
  keepSlopes: boolean
  /** Logits exist for at most this many numbers at a time, or one row. */
  logitNumbers: number
  pause: () => Promise<void>
}

/** Log-probability and entropy, in nats, of the response tokens of one group of sequences, logits in chunks of rows. */
export async function headForward(
  decoder: Decoder,
  lastStates: tf.Tensor,
  { rows, chosen }: Predictions,
  options: HeadOptions,
): Promise<{ logprob: Float32Array; entropy: Float32Array; kept: KeptHead }> {
  const { head } = decoder.weights
  const logprob = new Float32Array(chosen.length)
  const entropy = new Float32Array(chosen.length)
  const scope = new Scope()
  try {
    const states = scope.keep(tidy(() => take(lastStates, indexTensor(rows))))
    const slopes: tf.Tensor[] = []
    // Read once, after all chunks: a GPU would stand still each time.
    const losses: tf.Tensor[] = []
    const differences: tf.Tensor[] = []
    for (const [from, to] of chunks(decoder, chosen.length, options)) {
      const [loss, less, slope] = tidy(() => {
        const classes = indexTensor(chosen.subarray(from, to))
        const inputs = headInputs(decoder, states, from, to, options.temperature)
        const logits = product(inputs, head, { transposeB: true })
        const [loss, gradient] = crossEntropy(logits, classes)
        // Entropy is the loss less the sum of (probability - [chosen]) · logit.
        return [loss, sumOver(multiply(gradient, logits), 1), options.keepSlopes ? gradient : null] as const
      })
      losses.push(scope.keep(loss))
      differences.push(scope.keep(less))
      if (slope) slopes.push(scope.keep(slope))
      await options.pause()
    }
    const [loss, difference] = [losses, differences].map(numbersOf)
    scope.release(...losses, ...differences)
    for (let i = 0; i < chosen.length; i++) {
      logprob[i] = -loss![i]!
      entropy[i] = loss![i]! - difference![i]!
    }
    for (const tensor of [states, ...slopes]) scope.give(tensor)
    return { logprob, entropy, kept: { states, slopes, entropy } }
  } finally {
    scope.end()
  }
}

/**
 * Gradient with respect to the states after the last layer, `[T, hidden]`, from those of log-probabilities and entropies;
 * adds those of the head and the last norm.
 */
export async function headBackward(
  decoder: Decoder,
  { rows, chosen }: Predictions,
  kept: KeptHead,
  dLogprob: Float32Array,
  dEntropy: Float32Array | null,
  into: GradientStore,
  count: number,
  options: HeadOptions,
): Promise<tf.Tensor> {
  const { head, finalNorm, layers } = decoder.weights
  const scope = new Scope()
  // Logits are float32; what is multiplied with their gradient need not be.
  const inBfloat16 = Boolean(layers[0]?.products)
  const operand = (x: tf.Tensor) => (inBfloat16 ? toBfloat16(x) : x)
  const multiplied = inBfloat16 ? bfloat16Product : product
  try {
    const matrix = inBfloat16 ? scope.keep(toBfloat16(head)) : head
    const parts: tf.Tensor[] = []
    for (const [i, [from, to]] of chunks(decoder, chosen.length, options).entries()) {
      parts.push(
        scope.keep(
          tidy(() => {
            const inputs = headInputs(decoder, kept.states, from, to, options.temperature)
            const column = (values: Float32Array, factor: number) =>
              tf.tensor2d(
                Float32Array.from(values.subarray(from, to), (v) => factor * v),
                [to - from, 1],
              )
            const perLogprob = column(dLogprob, -1)
            if (dEntropy) {
              const dLogits = operand(
                logitGradient(inputs, perLogprob, column(dEntropy, -1), column(kept.entropy, 1), from, to),
              )
              into.addLinear(head, dLogits, operand(inputs))
              return multiply(multiplied(dLogits, matrix), scalar(1 / options.temperature))
            }
            const slope = operand(kept.slopes[i] ?? slopeOf(product(inputs, head, { transposeB: true }), from, to))
            into.addLinear(head, slope, operand(multiply(inputs, perLogprob)))
            return multiply(multiplied(slope, matrix), multiply(perLogprob, scalar(1 / options.temperature)))
          }),
        ),
      )
      const used = kept.slopes[i]
      used?.dispose()
      await options.pause()
    }
    return tidy(() => {
      const dNormed = concat(parts, 0)
      const { inverse } = norm(kept.states, finalNorm, decoder.config.rmsNormEps)
      const { dx, dWeight } = normGradient(kept.states, inverse, finalNorm, dNormed)
      into.add(finalNorm, dWeight)
      return sumByRow(dx, indexTensor(rows), count)
    })
  } finally {
    scope.end()
  }

  function slopeOf(logits: tf.Tensor, from: number, to: number): tf.Tensor {
    return crossEntropy(logits, indexTensor(chosen.subarray(from, to)))[1]
  }

  /** d entropy / d logit = -p (log p + entropy). */
  function logitGradient(
    inputs: tf.Tensor,
    perLogprob: tf.Tensor,
    perEntropy: tf.Tensor,
    entropy: tf.Tensor,
    from: number,
    to: number,
  ): tf.Tensor {
    const logits = product(inputs, head, { transposeB: true })
    const logProbabilities = execute('LogSoftmax', [logits])
    const ofEntropy = multiply(execute('Exp', [logProbabilities]), add(logProbabilities, entropy))
    return add(multiply(slopeOf(logits, from, to), perLogprob), multiply(ofEntropy, perEntropy))
  }
}

/** The numbers of some vectors, one after the other. */
const numbersOf = (parts: tf.Tensor[]): Float32Array => tidy(() => concat(parts, 0).dataSync() as Float32Array)

/** What the head multiplies, `[to - from, hidden]`: normed states over the temperature. */
function headInputs(decoder: Decoder, states: tf.Tensor, from: number, to: number, temperature: number): tf.Tensor {
  const { config, weights } = decoder
  const part = tf.slice(states, [from, 0], [to - from, config.hiddenSize])
  const { normed } = norm(part, weights.finalNorm, config.rmsNormEps)
  return temperature === 1 ? normed : multiply(normed, scalar(1 / temperature))
}

function chunks({ config }: Decoder, rows: number, { logitNumbers }: HeadOptions): [number, number][] {
  const size = Math.max(1, Math.floor(logitNumbers / config.vocabSize))
  return Array.from({ length: Math.ceil(rows / size) }, (_, i) => [i * size, Math.min(rows, (i + 1) * size)])
}
