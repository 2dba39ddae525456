import { pacer } from '../../engine/cooperate'
import { tidy } from '../../engine/gradientOps'
import { indexTensor, take } from '../../engine/ops'
import { Scope } from '../../engine/scope'
import { tf } from '../../engine/tensorflow'
import type { ModelConfig } from '../../model/config'
import type { Decoder } from '../../model/decoder'
import { queryRows } from '../../model/forwardSizes'
import type { LossGradient, ResponseStatistics } from '../grpoLoss'
import { patternsAreSmall } from './activationBytes'
import type { AttentionPass } from './attention'
import { type BlockSizes, blockSizes } from './blockSizes'
import { type HeadOptions, headBackward, headForward, type KeptHead } from './chosenTokens'
import { type KeptLayer, keptTensors, layerBackward, layerForward } from './decoderLayer'
import type { GradientStore } from './gradientStore'
import { interleaving, type RotaryTurns, rotaryTurns } from './rotaryTurns'
import { checkBatch, type SequenceGroup, sequenceGroups, type TrainingBatch } from './trainingBatch'

export interface GradientOptions {
  /** Divides the logits. Default 1. */
  temperature?: number
  /** Keeps only the input of each layer and computes the rest again on the way back: less memory, a third more time, the same gradients. */
  recompute?: boolean
  /** Changes to what suits the device. */
  sizes?: Partial<BlockSizes>
  signal?: AbortSignal
}

/**
 * Runs the decoder over a batch, calls `loss` with the statistics of the response tokens, and adds the gradient of what it
 * describes to `into`, by reverse differentiation written out by hand. Calls add up: micro-batches sum to the full batch's gradient.
 * The same inputs give the same bits. Returns the statistics. Throws RangeErrors on a batch that does not fit the
 * model, what `loss` throws, and `Interrupted`; `into` then holds a part and must be zeroed.
 */
export async function accumulateGradients(
  decoder: Decoder,
  batch: TrainingBatch,
  loss: (statistics: ResponseStatistics) => LossGradient,
  into: GradientStore,
  options: GradientOptions = {},
): Promise<ResponseStatistics> {
  const { config } = decoder
  const { temperature = 1, recompute = false } = options
  checkBatch(config, batch)
  if (!(temperature > 0)) throw new RangeError(`gradients: temperature ${temperature}; expected a number above 0`)
  const pause = pacer(options.signal)
  const sizes = blockSizes(options.sizes)
  const scope = new Scope()
  try {
    const groups = sequenceGroups(batch, sizes.groupTokens)
    const predicted = groups.reduce((n, group) => n + group.predictions.rows.length, 0)
    const keepSlopes = predicted * config.vocabSize <= sizes.keptLogitNumbers
    const headOptions = { temperature, pause, keepSlopes, logitNumbers: sizes.logitNumbers }
    const passes = sharedPasses(config, groups, sizes, scope)
    const statistics: ResponseStatistics = {
      logprob: batch.sequences.map(() => new Float32Array(0)),
      entropy: batch.sequences.map(() => new Float32Array(0)),
    }
    const kept: KeptGroup[] = []
    for (const [i, group] of groups.entries()) {
      kept.push(await groupForward(decoder, passes[i]!, group, headOptions, recompute, scope, statistics))
    }
    const gradient = loss(statistics)
    checkGradient(statistics, gradient)
    for (const [i, group] of [...groups.entries()].reverse()) {
      await groupBackward(decoder, passes[i]!, group, kept[i]!, headOptions, gradient, into, scope)
    }
    return statistics
  } finally {
    scope.end()
  }
}

interface KeptGroup {
  /** Input of each layer, `[T, hidden]`. */
  inputs: tf.Tensor[]
  /** Null where it is computed again. */
  layers: (KeptLayer | null)[]
  head: KeptHead
}

async function groupForward(
  decoder: Decoder,
  pass: AttentionPass,
  group: SequenceGroup,
  options: HeadOptions,
  recompute: boolean,
  scope: Scope,
  statistics: ResponseStatistics,
): Promise<KeptGroup> {
  const { weights } = decoder
  const inputs: tf.Tensor[] = []
  const layers: (KeptLayer | null)[] = []
  let x = scope.keep(tf.tidy(() => take(weights.embedding, indexTensor(group.ids))))
  for (const layer of weights.layers) {
    inputs.push(x)
    const [output, kept] = tidy(() => layerForward(pass, layer, x))
    x = scope.keep(output)
    for (const tensor of keptTensors(kept)) scope.keep(tensor)
    if (recompute) scope.release(...keptTensors(kept))
    layers.push(recompute ? null : kept)
    await options.pause()
  }
  const { logprob, entropy, kept: head } = await headForward(decoder, x, group.predictions, options)
  for (const tensor of [head.states, ...head.slopes]) scope.keep(tensor)
  scope.release(x)
  for (const { sequence, from, to } of group.responses) {
    statistics.logprob[sequence] = logprob.slice(from, to)
    statistics.entropy[sequence] = entropy.slice(from, to)
  }
  return { inputs, layers, head }
}

async function groupBackward(
  decoder: Decoder,
  pass: AttentionPass,
  group: SequenceGroup,
  { inputs, layers, head }: KeptGroup,
  options: HeadOptions,
  gradient: LossGradient,
  into: GradientStore,
  scope: Scope,
): Promise<void> {
  const { weights } = decoder
  const dLogprob = gathered(group, gradient.logprob)
  const dEntropy = gradient.entropy ? gathered(group, gradient.entropy) : null
  const idle = (values: Float32Array | null) => values === null || values.every((v) => v === 0)
  if (!idle(dLogprob) || !idle(dEntropy)) {
    const counted = idle(dEntropy) ? null : dEntropy
    let dx = scope.keep(
      await headBackward(decoder, group.predictions, head, dLogprob, counted, into, group.ids.length, options),
    )
    for (let i = layers.length - 1; i >= 0; i--) {
      const layer = weights.layers[i]!
      const before = dx
      dx = scope.keep(
        tf.tidy(() => {
          const kept = layers[i] ?? layerForward(pass, layer, inputs[i]!)[1]
          return layerBackward(pass, layer, kept, before, into)
        }),
      )
      scope.release(before, inputs[i]!, ...(layers[i] ? keptTensors(layers[i]!) : []))
      await options.pause()
    }
    into.addRows(weights.embedding, group.ids, dx)
    scope.release(dx)
  }
  scope.release(head.states, ...head.slopes, ...inputs, ...layers.flatMap((kept) => (kept ? keptTensors(kept) : [])))
}

/** What each group's layers share. Tables depend on the longest sequence only: groups of one length have one set. */
function sharedPasses(config: ModelConfig, groups: SequenceGroup[], sizes: BlockSizes, scope: Scope): AttentionPass[] {
  const order = interleaving(config)
  for (const tensor of Object.values(order)) scope.keep(tensor)
  const tables = new Map<string, { turns: RotaryTurns; mask: tf.Tensor }>()
  return groups.map(({ B, N }) => {
    const rows = queryRows(sizes, B * config.numAttentionHeads * N)
    const key = `${N},${rows}`
    let shared = tables.get(key)
    if (!shared) {
      shared = { turns: rotaryTurns(config, N), mask: scope.keep(causalMask(N, rows)) }
      for (const tensor of Object.values(shared.turns)) scope.keep(tensor)
      tables.set(key, shared)
    }
    return { config, B, N, rows, interleaving: order, keepPatterns: patternsAreSmall(config, N), ...shared }
  })
}

/** Zeros and -Infinity, `[rows, N + rows]`: columns from `N - start` on are the mask of query rows that begin at `start`. */
function causalMask(N: number, rows: number): tf.Tensor {
  const width = N + rows
  const mask = new Float32Array(rows * width)
  for (let row = 0; row < rows; row++) mask.fill(Number.NEGATIVE_INFINITY, row * width + N + row + 1, (row + 1) * width)
  return tf.tensor2d(mask, [rows, width])
}

/** One number for each prediction of a group. */
function gathered(group: SequenceGroup, values: Float32Array[]): Float32Array {
  const all = new Float32Array(group.predictions.rows.length)
  for (const { sequence, from } of group.responses) all.set(values[sequence]!, from)
  return all
}

function checkGradient(statistics: ResponseStatistics, gradient: LossGradient): void {
  for (const [name, values] of Object.entries(gradient) as [keyof LossGradient, Float32Array[] | undefined][]) {
    if (values === undefined) continue
    statistics[name].forEach((expected, b) => {
      if (values[b]?.length !== expected.length) {
        throw new RangeError(
          `gradients: the loss gave ${values[b]?.length ?? 'no'} derivatives by ${name} for sequence ${b}, whose response has ${expected.length} tokens`,
        )
      }
    })
  }
}
